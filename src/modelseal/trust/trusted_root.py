# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whom we believe and where we sign: Sigstore's public instance, or the files of a private one.

Takes trusted roots and signing configs as sigstore's tools and cosign write them. cosign leaves
out what is empty, which sigstore-python does not read; so that, and nothing else, is filled in
(`_complete_*`). Sources: sigstore/protobuf-specs, `sigstore_trustroot.proto`.
"""

import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import ContentError, StorageError, UnavailableError, UsageError

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig, TrustedRoot

    from modelseal.trust.proofs.root import Root

Source: TypeAlias = Path | str
"""Where a trust file is: `read_source`."""

TRUSTED_ROOT: Final = "trusted_root.json"
SIGNING_CONFIG: Final = "signing_config.v0.2.json"
"""What Sigstore's TUF repositories call the two files."""

PUBLIC_INSTANCE: Final = "tuf+https://tuf-repo-cdn.sigstore.dev"
"""The TUF repository of Sigstore's public instance; `sigstore` brings its first root along."""

MAX_TRUST_FILE_BYTES: Final = 4 << 20
"""Largest trusted root or signing config, in bytes, that is read."""

_CONFIG_TYPE = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_SIGNING_TYPE = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
# What sigstore's verification cannot do without, in words.
_NEEDED = {
    "certificateAuthorities": "certificate authority (Fulcio)",
    "ctlogs": "certificate transparency log",
    "tlogs": "transparency log (Rekor)",
}
_WRITTEN_BY = "`cosign trusted-root create` and `cosign signing-config create` write these files"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def load_trusted_root(source: Source | None, *, offline: bool = False) -> "TrustedRoot":
    """Read the trusted root at `source`, or without one, that of Sigstore's public instance.

    Args:
        source: see `read_source`. If it is a file, nothing but this file is opened.
        offline: take a TUF repository's as it is cached or shipped, without asking for news.

    Raises:
        UsageError: not a trusted root, or one that lacks what keyless verification needs.
        UnavailableError: the repository did not answer.
        VerificationError: its metadata does not verify.
        StorageError: its cache cannot be written.
    """
    if source is None:
        return _public_instance(offline=offline).trusted_root
    return parse_trusted_root(read_source(source, TRUSTED_ROOT, offline=offline), str(source))


def parse_trusted_root(raw: bytes, name: str) -> "TrustedRoot":
    """Read a trusted root's JSON; `name` names it in errors. Raises `UsageError`."""
    return _build(_complete_root(raw, name), {"mediaType": _SIGNING_TYPE}, name).trusted_root


def parse_signing_config(raw: bytes, name: str) -> None:
    """See that a signing config is one; `name` names it in errors. Raises `UsageError`."""
    _complete_signing(raw, name)


def load_root(source: Source, *, offline: bool = False) -> "Root":
    """Read the trusted root at `source`, which may lack logs and timestamp authorities.

    Raises as `load_trusted_root` does.
    """
    from modelseal.trust.proofs.root import read_root

    raw, name = read_source(source, TRUSTED_ROOT, offline=offline), str(source)
    return read_root(_parse(raw, name, _ROOT_TYPE), name)


def read_source(source: Source, target: str, *, offline: bool = False) -> bytes:
    """Return the bytes of a trust file.

    Args:
        source: a file, `tuf+https://HOST/PATH[#ROOT.json]` (a TUF repository, and the first time
            its first root, which is known of Sigstore's public instance alone), or
            `k8s://NAMESPACE/NAME[/KEY]` (a Kubernetes secret).
        target: what the file is called in a TUF repository, and in a secret.
        offline: connect to nobody: of a TUF repository what is cached.

    Raises:
        UsageError, UnavailableError, VerificationError, StorageError.
    """
    text = str(source)
    if text.startswith("tuf+"):
        from modelseal.trust.tuf_repository import Repository, TufCache

        repository = Repository.parse(text)
        if offline:
            return TufCache().cached(repository, target)[0]
        return TufCache().fetch(repository, target)
    if text.startswith("k8s://"):
        from modelseal.trust.kubernetes import Secret, read_secret

        secret = Secret.parse(text, target)
        if offline:
            raise UsageError(
                f"{secret} is asked for over the network, and --offline asks nobody",
                hint="mount the secret and name the file: --trusted-root FILE",
                code="invalid-trust-file",
            )
        return read_secret(secret)
    return _read(Path(source))


def load_trust_config(
    trusted_root: Source | None, signing_config: Source | None, *, offline: bool = False
) -> "ClientTrustConfig":
    """Read what signing needs: both sources, or neither for Sigstore's public instance.

    With two files nothing but these is opened.

    Raises:
        UsageError: only one file is given, or one is not what it has to be.
        UnavailableError: the public instance's repository did not answer.
        StorageError: its cache cannot be written.
    """
    if trusted_root is None and signing_config is None:
        return _public_instance(offline=offline)
    if trusted_root is None or signing_config is None:
        missing = "--trusted-root" if trusted_root is None else "--signing-config"
        raise UsageError(
            f"signing with a private Sigstore needs both files, and {missing} is missing",
            hint=_WRITTEN_BY,
        )
    raw = read_source(trusted_root, TRUSTED_ROOT, offline=offline)
    root = _complete_root(raw, str(trusted_root))
    raw = read_source(signing_config, SIGNING_CONFIG, offline=offline)
    signing = _complete_signing(raw, str(signing_config))
    return _build(root, signing, f"{trusted_root} or {signing_config}")


def _public_instance(*, offline: bool) -> "ClientTrustConfig":
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import ClientTrustConfig

    try:
        return ClientTrustConfig.production(offline=offline)
    except SigstoreError as error:
        raise UnavailableError(
            "the trusted root of Sigstore's public instance cannot be brought up to date",
            hint="check the network, say --offline, or give --trusted-root FILE",
        ) from error
    except (OSError, ValueError) as error:
        raise StorageError(
            "the cached trusted root of Sigstore's public instance cannot be used: "
            f"{type(error).__name__}",
            hint="make the user's cache and data directories writable, or give --trusted-root FILE",
        ) from error


def _build(root: dict[str, Any], signing: dict[str, Any], name: str) -> "ClientTrustConfig":
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import ClientTrustConfig

    document = {"mediaType": _CONFIG_TYPE, "trustedRoot": root, "signingConfig": signing}
    try:
        config = ClientTrustConfig.from_json(canonical_json(document).decode())
        config.trusted_root.get_fulcio_certs()
        config.trusted_root.get_timestamp_authorities()
        if "caUrls" in signing:
            _ = config.signing_config
    except (SigstoreError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            f"{name} cannot be used: {reason}", hint=_WRITTEN_BY, code="invalid-trust-file"
        ) from error
    return config


def _complete_root(raw: bytes, name: str) -> dict[str, Any]:
    root = _parse(raw, name, _ROOT_TYPE)
    for part in ("certificateAuthorities", "ctlogs", "tlogs", "timestampAuthorities"):
        items = _objects(root.setdefault(part, []), f"{name}: {part}")
        if not items and part in _NEEDED:
            raise UsageError(
                f"{name} names no {_NEEDED[part]}, which keyless signatures are checked with",
                hint="complete it, or verify what it has: --profile keyless-private; or use --key",
                code="invalid-trust-file",
            )
        if part.endswith("Authorities"):
            for authority in items:
                subject = authority.setdefault("subject", {})
                if isinstance(subject, dict):
                    subject.setdefault("organization", "")
                    subject.setdefault("commonName", "")
    return root


def _complete_signing(raw: bytes, name: str) -> dict[str, Any]:
    signing = _parse(raw, name, _SIGNING_TYPE)
    for part in ("caUrls", "oidcUrls", "rekorTlogUrls", "tsaUrls"):
        for service in _objects(signing.setdefault(part, []), f"{name}: {part}"):
            service.setdefault("operator", "")
            if part in {"caUrls", "oidcUrls"}:
                _require_private(service.get("url"), name)
    for part in ("rekorTlogConfig", "tsaConfig"):
        if isinstance(signing.get(part), dict):
            signing[part].setdefault("selector", "ANY")
    if not signing["caUrls"] or not signing["rekorTlogUrls"]:
        lacking = "certificate authority (Fulcio)" if not signing["caUrls"] else "log (Rekor)"
        raise UsageError(
            f"{name} names no {lacking}, which keyless signing needs",
            hint="complete the signing config, or sign with --key",
            code="invalid-trust-file",
        )
    return signing


def _require_private(url: object, name: str) -> None:
    """Refuse to send an identity token in the clear to another machine."""
    try:
        parts = urllib.parse.urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise UsageError(
        f"{name}: {str(url)[:200]} would get the identity token without TLS",
        hint="use an https:// URL; http:// is taken only on loopback",
        code="invalid-trust-file",
    )


def _parse(raw: bytes, name: str, media_type: str) -> dict[str, Any]:
    try:
        value = parse_json_object(raw, name)
    except ContentError as error:
        raise UsageError(str(error), hint=_WRITTEN_BY, code="invalid-trust-file") from error
    if value.get("mediaType") != media_type:
        raise UsageError(
            f"{name} does not have the media type {media_type}",
            hint=_WRITTEN_BY,
            code="invalid-trust-file",
        )
    return value


def _objects(value: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise UsageError(
            f"{where} is not a list of objects", hint=_WRITTEN_BY, code="invalid-trust-file"
        )
    return value


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TRUST_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint=_WRITTEN_BY,
            code="invalid-trust-file",
        ) from error
    if len(raw) > MAX_TRUST_FILE_BYTES:
        raise UsageError(
            f"{path} is too large for a trust file", hint=_WRITTEN_BY, code="invalid-trust-file"
        )
    return raw
