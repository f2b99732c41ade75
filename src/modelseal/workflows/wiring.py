# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Settings to parts: which store, which signer, whom to believe.

The command line and the Python API both come through here, so that they mean the same. Every
import of a heavy part stands in the function that needs it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.errors import KeyFileError, UnavailableError, UsageError
from modelseal.oci.cache import DEFAULT_LIMIT, BlobCache
from modelseal.oci.descriptor import Digest
from modelseal.oci.layout import LayoutStore
from modelseal.oci.private import cache_home
from modelseal.oci.reference import DigestReference, LayoutDirectory, Location, Reference
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.store import Store
from modelseal.workflows.files import read_file

if TYPE_CHECKING:  # who pushes, or pulls what nobody vouches for, does not import what verifies
    from modelseal.trust.company import Company
    from modelseal.trust.identity import Identity, Profile
    from modelseal.trust.proofs.root import Root
    from modelseal.trust.signer import Signer
    from modelseal.trust.verifier import Verifier
    from modelseal.workflows.trust import Trust

PASSPHRASE_VARIABLE = "MODELSEAL_KEY_PASSPHRASE"  # noqa: S105 - the name of it
PIN_VARIABLE = "MODELSEAL_PKCS11_PIN"


def no_passphrase() -> str:
    """Say that there is nobody to ask."""
    raise KeyFileError(
        "the private key is encrypted and no passphrase is at hand",
        hint=f"set {PASSPHRASE_VARIABLE}, or run in a terminal to be asked",
    )


def no_pin() -> str:
    """Say that there is nobody to ask."""
    raise KeyFileError(
        "the PKCS#11 token asks for its PIN and none is at hand",
        hint=f"set {PIN_VARIABLE}, or run in a terminal to be asked",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a caller chose. Paths are read when they are needed, not before.

    `key` is a file, or the URI of a key in a KMS (`trust.kms`). `trusted_root` and
    `signing_config` are sources as `trust.trusted_root.read_source` takes them.
    """

    registry: RegistryOptions = field(default_factory=RegistryOptions)
    key: Path | str | None = None
    passphrase: Callable[[], str] = field(default=no_passphrase, repr=False)
    pin: Callable[[], str] = field(default=no_pin, repr=False)
    identity_token: str = field(default="", repr=False)
    interactive: bool = False
    trusted_root: Path | str | None = None
    signing_config: Path | str | None = None
    certificate: Path | None = None
    certificate_chain: Path | None = None
    ca_roots: Path | None = None
    ca_intermediates: Path | None = None
    certificate_identity: str = ""
    certificate_oidc_issuer: str = ""
    profile: "Profile | None" = None
    policy: Path | None = None
    offline: bool = False
    cache: BlobCache | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


def open_store(location: Location, settings: Settings) -> Store:
    """Return the store at `location`; nothing is read or connected yet."""
    if isinstance(location, LayoutDirectory):
        return LayoutStore(location.path)
    from modelseal.oci.registry.store import RegistryStore
    from modelseal.oci.registry.uploads import UploadJournal

    journal = UploadJournal(cache_home(settings.environment) / "uploads")
    return RegistryStore(location, settings.registry, journal=journal)


def open_reading_store(location: Location, settings: Settings) -> Store:
    """Return the store at `location` to read from: through the cache, or offline the cache alone.

    Raises:
        UsageError: offline without a cache.
    """
    if isinstance(location, LayoutDirectory):
        return LayoutStore(location.path)
    from modelseal.oci.offline import OfflineStore, RememberingStore
    from modelseal.oci.registry.store import RegistryStore

    if settings.offline:
        if settings.cache is None:
            raise UsageError(
                "--offline and --no-cache exclude each other",
                hint="without a network there is only the cache: leave out one of them",
            )
        return OfflineStore(str(location), settings.cache)
    store = RegistryStore(location, settings.registry)
    return store if settings.cache is None else RememberingStore(store, settings.cache)


def cache_at(
    path: Path | None, environment: Mapping[str, str], limit: int = DEFAULT_LIMIT
) -> BlobCache:
    """Return the cache at `path`; without one, the user's: `XDG_CACHE_HOME`, else `~/.cache`."""
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return BlobCache(path or Path(home) / "modelseal", limit)


def name_of(reference: Reference) -> str | Digest:
    """Return the tag or the digest of a reference."""
    return reference.digest if isinstance(reference, DigestReference) else reference.tag


def tag_of(reference: Reference) -> str:
    """Return the tag to write. Raises `UsageError` for a digest."""
    if isinstance(reference, DigestReference):
        raise UsageError(
            f"{reference} is a digest: it cannot be chosen",
            hint="name a tag to publish under",
        )
    return reference.tag


def open_signer(settings: Settings) -> "Signer":
    """Return who signs: the key, if one is named, else a keyless identity.

    Raises:
        KeyFileError: the key cannot be used.
        UsageError, SigningError: trust files do not fit together, or nobody vouches for us.
    """
    if settings.key is not None:
        if settings.identity_token:
            raise UsageError(
                "--key and --identity-token exclude each other",
                hint="sign with a key, or keylessly with a token",
            )
        from modelseal.trust.signer import KeySigner
        from modelseal.workflows.signing_keys import open_signing_key

        key = open_signing_key(
            settings.key,
            passphrase=settings.passphrase,
            pin=settings.pin,
            offline=settings.offline,
        )
        if settings.certificate is None:
            return KeySigner(key)
        from modelseal.workflows.company import certified_signer

        return certified_signer(
            key,
            settings.certificate,
            settings.certificate_chain,
            trusted_root=settings.trusted_root,
            signing_config=settings.signing_config,
            offline=settings.offline,
        )
    if settings.certificate is not None or settings.certificate_chain is not None:
        raise UsageError(
            "--certificate and --certificate-chain need --key beside them",
            hint="give the private key that the certificate is for",
        )
    from modelseal.trust.oidc import IdentityTokens
    from modelseal.trust.signer import SigstoreSigner
    from modelseal.trust.trusted_root import load_trust_config

    tokens = IdentityTokens(
        explicit=settings.identity_token,
        environ=settings.environment,
        interactive=settings.interactive,
    )
    try:
        config = load_trust_config(
            settings.trusted_root, settings.signing_config, offline=settings.offline
        )
    except UnavailableError:
        tokens.check()  # what is missing here comes before what does not answer there
        raise
    return SigstoreSigner(config, tokens)


def trust_for(settings: Settings, predicate_type: str = SIGNATURE) -> "Trust | None":
    """Return whom the settings say to believe; None when they say nothing.

    Raises:
        UsageError: they say two things, or half of one.
        InvalidPolicyError, KeyFileError: a file is not what it has to be.
    """
    if settings.ca_roots is not None and settings.policy is None:
        return _trust_company(settings, predicate_type)
    if settings.ca_intermediates is not None and settings.ca_roots is None:
        raise UsageError("--ca-intermediates needs --ca-roots", hint="a root has to be trusted")
    identity = _identity(settings)
    chosen = [
        name
        for name, given in (
            ("--policy", settings.policy),
            ("--key", settings.key),
            ("--certificate-identity", identity),
        )
        if given is not None
    ]
    if settings.profile is not None:
        _require_fitting(settings.profile, chosen)
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="choose one of them")
    if settings.policy is not None and predicate_type != SIGNATURE:
        raise UsageError(
            "--policy and --type exclude each other: the policy says what is asked for",
            hint="let the policy ask: {use: attested, with: {role: …, predicateType: …}}",
        )
    if not chosen:
        return None
    from modelseal.trust.identity import Profile
    from modelseal.workflows import trust as believing

    keyless = partial(_keyless_verifier, settings)
    profile = settings.profile or Profile.KEYLESS
    if settings.policy is not None:
        from modelseal.policy.document import parse_policy

        raw = read_file(settings.policy, "policy")
        policy = parse_policy(raw, str(settings.policy))
        return believing.trust_policy(policy, keyless, _root_for_keys(settings, policy.public_keys))
    if settings.key is not None:
        from modelseal.workflows.signing_keys import open_public_key

        keys = [open_public_key(settings.key, pin=settings.pin, offline=settings.offline)]
        return believing.trust_keys(keys, predicate_type, root=_root_for_keys(settings, keys))
    if identity is not None:
        return believing.trust_identities([identity], keyless, predicate_type, profile=profile)
    return None


def _keyless_verifier(
    settings: Settings, identities: "frozenset[Identity]", profile: "Profile"
) -> "Verifier":
    from modelseal.trust.identity import Profile
    from modelseal.trust.trusted_root import load_root, load_trusted_root
    from modelseal.trust.verifier import PrivateVerifier, SigstoreVerifier

    if (profile is Profile.CERTIFICATE) is not (settings.ca_roots is not None):
        raise UsageError(
            "a company's authority is believed with --ca-roots FILE and the profile certificate, "
            "and one of them is missing",
            hint="an issuer x509:sha256:… in a policy goes with --ca-roots, a URL without",
        )
    if profile is Profile.CERTIFICATE:
        from modelseal.trust.company import CompanyVerifier

        return CompanyVerifier(_company(settings), identities)
    if profile is Profile.KEYLESS_PRIVATE:
        if settings.trusted_root is None:
            raise UsageError(
                "the profile keyless-private asks for what a trusted root names, and none is given",
                hint="give --trusted-root FILE; Sigstore's public instance is verified as keyless",
            )
        private = load_root(settings.trusted_root, offline=settings.offline)
        return PrivateVerifier(private, identities)
    root = load_trusted_root(settings.trusted_root, offline=settings.offline)
    return SigstoreVerifier(root, identities)


def _company(settings: Settings) -> "Company":
    from modelseal.workflows.company import company_of

    assert settings.ca_roots is not None
    return company_of(
        settings.ca_roots,
        settings.ca_intermediates,
        settings.trusted_root,
        offline=settings.offline,
    )


def _trust_company(settings: Settings, predicate_type: str) -> "Trust":
    """Return the trust in one subject of a company's authority. Raises `UsageError`."""
    others = {
        "--key": settings.key is not None,
        "--certificate-oidc-issuer": bool(settings.certificate_oidc_issuer),
        f"--profile {settings.profile}": settings.profile not in {None, "certificate"},
    }
    for name in (name for name, given in others.items() if given):
        raise UsageError(
            f"--ca-roots and {name} exclude each other",
            hint="the authority itself vouches: give --certificate-identity beside it",
        )
    if not settings.certificate_identity:
        raise UsageError(
            "--ca-roots needs --certificate-identity beside it",
            hint="an authority certifies many: say whom, for example release@acme.example",
        )
    from modelseal.trust.company import CompanyVerifier
    from modelseal.workflows.trust import trust_company

    company = _company(settings)
    verifier = CompanyVerifier(company, company.identities(settings.certificate_identity))
    return trust_company(company, settings.certificate_identity, verifier, predicate_type)


def _root_for_keys(settings: Settings, keys: Sequence[object]) -> "Root | None":
    """Return the root that logs beside key signatures are checked with, if one was given."""
    from modelseal.trust.trusted_root import load_root

    if not keys or not settings.trusted_root:
        return None
    return load_root(settings.trusted_root, offline=settings.offline)


def _require_fitting(profile: "Profile", chosen: Sequence[str]) -> None:
    """Refuse a profile beside what it is not for. Raises `UsageError`."""
    if "--policy" in chosen:
        raise UsageError(
            "--policy and --profile exclude each other: the policy says what is insisted on",
            hint="write it there: roles: {NAME: {profile: …, identities: […]}}",
        )
    wanted = "--key" if profile == "key" else "--certificate-identity"
    if wanted not in chosen:
        raise UsageError(f"--profile {profile} needs {wanted}")


def _identity(settings: Settings) -> "Identity | None":
    subject, issuer = settings.certificate_identity, settings.certificate_oidc_issuer
    if not subject and not issuer:
        return None
    if not issuer:
        raise UsageError(
            "--certificate-identity needs --certificate-oidc-issuer beside it",
            hint="an identity means nothing without the issuer that vouches for it, for example "
            "https://token.actions.githubusercontent.com",
        )
    if not subject:
        raise UsageError(
            "--certificate-oidc-issuer needs --certificate-identity beside it",
            hint="an issuer vouches for many: say for whom, for example a workflow's URI",
        )
    from modelseal.trust.identity import Identity

    return Identity(issuer=issuer, subject=subject)
