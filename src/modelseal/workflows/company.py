# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A company's authority in the settings: what it certified, and whom it vouches for."""

from pathlib import Path
from typing import TYPE_CHECKING

from modelseal.errors import KeyFileError, UsageError

if TYPE_CHECKING:
    from modelseal.trust.company import Company
    from modelseal.trust.company_signer import CertificateSigner
    from modelseal.trust.keys import SigningKey


def certified_signer(
    key: "SigningKey",
    certificate: Path,
    chain: Path | None,
    *,
    trusted_root: Path | str | None,
    signing_config: Path | str | None,
    offline: bool = False,
) -> "CertificateSigner":
    """Return who signs with a certified key.

    Args:
        key: whose certificate it is.
        certificate: PEM, one.
        chain: PEM: the certificates above it, the root last.
        trusted_root: only together with `signing_config`.
        signing_config: names timestamp authorities; without it nothing is stamped.
        offline: take both as they are cached, where they come from a TUF repository.

    Raises:
        UsageError: no chain, or trust files that do not fit together.
        KeyFileError: the certificate is not the key's, or nobody would believe it.
    """
    from modelseal.trust.company import Company, load_certificates
    from modelseal.trust.company_signer import CertificateSigner, stamps_of

    if chain is None:
        raise UsageError(
            "--certificate needs --certificate-chain beside it",
            hint="give the certificates above it as PEM, the root last",
        )
    leaf = load_certificates(certificate)
    if len(leaf) != 1:
        raise KeyFileError(
            f"{certificate} holds {len(leaf)} certificates",
            hint="give the signing certificate alone, and the others with --certificate-chain",
        )
    *above, root = load_certificates(chain)
    company = Company((root,), tuple(above))
    stamps = []
    if signing_config is not None:
        from modelseal.trust.trusted_root import load_trust_config

        config = load_trust_config(trusted_root, signing_config, offline=offline)
        stamps = stamps_of(config.signing_config)
    return CertificateSigner(key, leaf[0], company, stamps)


def company_of(
    roots: Path,
    intermediates: Path | None,
    trusted_root: Path | str | None,
    *,
    offline: bool = False,
) -> "Company":
    """Return whom `--ca-roots` makes believable.

    Args:
        roots: PEM: self-signed certificates.
        intermediates: PEM: what may stand between; not trusted.
        trusted_root: names the timestamp authorities that say when it was signed.
        offline: take it as it is cached, if it comes from a TUF repository.

    Raises:
        KeyFileError: a file is not what it has to be, or holds no root.
        UsageError: the trusted root cannot be used.
    """
    from modelseal.trust.company import Company, load_certificates, require_roots
    from modelseal.trust.trusted_root import load_root

    trusted = load_certificates(roots)
    require_roots(trusted, roots)
    return Company(
        trusted,
        load_certificates(intermediates) if intermediates else (),
        load_root(trusted_root, offline=offline).timestampers if trusted_root else (),
    )
