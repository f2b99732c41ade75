# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a verifier found out about a bundle, and whom it took for the signer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from modelseal.errors import VerificationError
from modelseal.trust.identity import NO_CLAIMS, Identity, SignerIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What holds about a bundle.

    Attributes:
        signer: who signed.
        signed_at: when at the latest; None when nothing verified says so.
        checks: what ran and passed, and only that.
        claims: what the certificate says besides.
    """

    signer: SignerIdentity
    signed_at: datetime | None
    checks: tuple[str, ...]
    claims: Mapping[str, str] = field(default_factory=lambda: NO_CLAIMS, hash=False)


def require_identity(signer: Identity, accepted: Collection[Identity]) -> None:
    """Refuse whoever is not exactly one of `accepted`.

    Raises:
        VerificationError: `other-issuer` when only the issuer differs, else `other-identity`.
    """
    if signer in accepted:
        return
    wanted = " or ".join(str(identity) for identity in sorted(accepted)[:3])
    if any(identity.subject == signer.subject for identity in accepted):
        raise VerificationError(
            f"{signer.subject} signed, but another issuer vouches: {signer.issuer}; "
            f"wanted is {wanted}",
            hint="check --certificate-oidc-issuer; it has to be exact",
            code="other-issuer",
        )
    raise VerificationError(
        f"signed by {signer}, not by {wanted}",
        hint="check --certificate-identity; it has to be exact",
        code="other-identity",
    )


def refuse_key_bundle() -> VerificationError:
    """Return the error for a key-signed bundle where a keyless identity was asked for."""
    return VerificationError(
        "the bundle is signed with a key, and a keyless identity was asked for",
        hint="verify with --key K.pub, if that is whom you believe",
        code="key-signed-bundle",
    )
