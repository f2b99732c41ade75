# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whom a caller believes: verifiers, and the policy that their statements have to satisfy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.policy.checks.attested import Attested
from modelseal.policy.document import Policy
from modelseal.policy.roles import Member, Role
from modelseal.trust.identity import Identity, Profile
from modelseal.trust.signer import Signer
from modelseal.trust.verifier import KeyVerifier, Verifier

if TYPE_CHECKING:
    from modelseal.trust.keys import PublicKey

KeylessVerifier: TypeAlias = Callable[[frozenset[Identity], Profile], Verifier]
"""Makes the verifier that believes these identities, under the trusted root of the settings."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Verifiers and a policy.

    `asked_type` is the one predicate type that is asked for when there is no policy file; it
    makes the errors plain.
    """

    verifiers: Sequence[Verifier]
    policy: Policy
    asked_type: str = ""

    @property
    def from_policy_file(self) -> bool:
        """Whether a policy file decides, and not the command line."""
        return not self.asked_type


def trust_policy(policy: Policy, keyless: KeylessVerifier) -> Trust:
    """Believe whom the policy's roles name; `keyless` is asked only if one of them is keyless.

    Raises:
        KeyFileError: a public key of the policy is of a kind that is not taken.
    """
    verifiers: list[Verifier] = []
    if policy.public_keys:
        from modelseal.trust.keys import parse_public_key

        name = f"a public key of the policy {policy.name}"
        verifiers.append(KeyVerifier([parse_public_key(pem, name) for pem in policy.public_keys]))
    if policy.identities:
        verifiers.append(keyless(policy.identities, policy.profile))
    return Trust(verifiers, policy)


def trust_identity(
    identity: Identity,
    keyless: KeylessVerifier,
    predicate_type: str = SIGNATURE,
    profile: Profile = Profile.KEYLESS,
) -> Trust:
    """Believe one keyless identity, verified as `profile` says."""
    verifier = keyless(frozenset({identity}), profile)
    return Trust([verifier], _one_rule(Member(identity, profile), predicate_type), predicate_type)


def trust_signer(signer: Signer, predicate_type: str = SIGNATURE) -> Trust:
    """Believe exactly the signer of this run, who has signed already. Raises `SigningError`."""
    verifier = signer.verifier()
    identity = signer.identity
    assert identity is not None  # whoever has a verifier is known
    return Trust([verifier], _one_rule(Member.of(identity), predicate_type), predicate_type)


def trust_key(key: "PublicKey", predicate_type: str = SIGNATURE) -> Trust:
    """Believe one public key."""
    return Trust(
        [KeyVerifier([key])], _one_rule(Member.of(key.identity), predicate_type), predicate_type
    )


def _one_rule(member: Member, predicate_type: str) -> Policy:
    role = Role("the signer", 1, frozenset({member}))
    rule = "signed" if predicate_type == SIGNATURE else "attested"
    return Policy("command line", (Attested(rule, predicate_type, role),))
