# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The command line that the suite sigstore-conformance wants of a client, on top of the library.

Two commands, `sign-bundle` and `verify-bundle`; exit 0 when it holds. Source:
sigstore/sigstore-conformance, `docs/cli_protocol.md`. Run it with `tools/conformance`.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import quote

import platformdirs
from sigstore.errors import Error as SigstoreError
from sigstore.models import ClientTrustConfig

from modelseal.errors import Error, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.blobs import verify_blob, verify_blob_with_key
from modelseal.trust.bundle import MAX_BUNDLE_BYTES, BlobBundle, parse_any_bundle
from modelseal.trust.identity import CHECK_TRANSPARENCY_LOG, Identity
from modelseal.trust.keys import load_public_key
from modelseal.trust.oidc import IdentityTokens
from modelseal.trust.proofs.root import Root
from modelseal.trust.signer import SigstoreSigner
from modelseal.trust.trusted_root import load_root, load_trust_config
from modelseal.trust.verifier import KeyVerifier, PrivateVerifier

_REPOSITORIES = {
    False: "https://tuf-repo-cdn.sigstore.dev",
    True: "https://tuf-repo-cdn.sigstage.dev",
}


def main(arguments: list[str]) -> int:
    """Run one command of the protocol; return its exit code."""
    parser = argparse.ArgumentParser(prog="conformance")
    commands = parser.add_subparsers(dest="command", required=True)
    sign = commands.add_parser("sign-bundle")
    sign.add_argument("--in-toto", action="store_true")
    sign.add_argument("--identity-token", required=True)
    sign.add_argument("--signing-config", type=Path)
    verify = commands.add_parser("verify-bundle")
    verify.add_argument("--certificate-identity", default="")
    verify.add_argument("--certificate-oidc-issuer", default="")
    verify.add_argument("--key", type=Path)
    for command in (sign, verify):
        command.add_argument("--staging", action="store_true")
        command.add_argument("--bundle", type=Path, required=True)
        command.add_argument("--trusted-root", type=Path)
        command.add_argument("subject")
    options = parser.parse_args(arguments)
    try:
        (sign_bundle if options.command == "sign-bundle" else verify_bundle)(options)
    except Error as error:
        print(f"error: {error.reason}: {error}", file=sys.stderr)
        return 1
    return 0


def sign_bundle(options: argparse.Namespace) -> None:
    """Sign a file, or the statement in it, keylessly."""
    if options.staging and options.trusted_root is None:
        trust = ClientTrustConfig.staging()
    else:
        trust = load_trust_config(options.trusted_root, options.signing_config)
    signer = SigstoreSigner(trust, IdentityTokens(explicit=options.identity_token, environ={}))
    content = Path(options.subject).read_bytes()
    bundle = signer.sign([content])[0] if options.in_toto else signer.sign_blob(Digest.of(content))
    options.bundle.write_bytes(bundle)


def verify_bundle(options: argparse.Namespace) -> None:
    """Verify a bundle about a file or a digest: by a key, or by an exact identity and issuer."""
    root = load_root(options.trusted_root or public_root(staging=options.staging))
    with options.bundle.open("rb") as file:
        raw = file.read(MAX_BUNDLE_BYTES + 1)
    subject = subject_of(options.subject)
    is_blob = isinstance(parse_any_bundle(raw), BlobBundle)
    if options.key is not None:
        verify_with_key(raw, subject, options.key, root, is_blob=is_blob)
        return
    identity = Identity(options.certificate_oidc_issuer, options.certificate_identity)
    verifier = PrivateVerifier(root, {identity})
    if is_blob:
        verify_blob(raw, subject, root=root, identities={identity})
    else:
        verifier.verify(raw, subject=subject)


def verify_with_key(raw: bytes, subject: Digest, path: Path, root: Root, *, is_blob: bool) -> None:
    """Verify by a key; as cosign does by default, ask for a log entry beside it."""
    key = load_public_key(path)
    found = (
        verify_blob_with_key(raw, subject, key=key, root=root)
        if is_blob
        else KeyVerifier([key], root).verify(raw, subject=subject)
    )
    if root.logs and CHECK_TRANSPARENCY_LOG not in found.checks:
        raise VerificationError("no trusted log has an entry about it", code="no-log-entry")


def subject_of(text: str) -> Digest:
    """Return the digest that `sha256:HEX` is, unless a file has that name; else the file's."""
    if re.fullmatch("sha256:[0-9a-f]{64}", text) and not Path(text).exists():
        return Digest.parse(text)
    return Digest.of(Path(text).read_bytes())


def public_root(*, staging: bool, offline: bool = False) -> Path:
    """Return the trusted root of a public instance, as it lies in sigstore's cache.

    Args:
        staging: which instance.
        offline: do not ask whether it has changed; it is not asked either when nobody answers.
    """
    update = ClientTrustConfig.staging if staging else ClientTrustConfig.production
    try:
        update(offline=offline)
    except SigstoreError as error:
        print(f"not brought up to date: {error}", file=sys.stderr)
        update(offline=True)
    cache = platformdirs.user_cache_path("sigstore-python", "sigstore")
    return cache / "tuf" / quote(_REPOSITORIES[staging], safe="") / "trusted_root.json"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
