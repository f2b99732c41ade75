# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whom a caller believes: verifiers, and the policy that their statements have to satisfy."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.policy.checks.attested import Attested
from modelseal.policy.document import Policy
from modelseal.policy.roles import Member, Role
from modelseal.trust.identity import Identity, Profile
from modelseal.trust.verifier import KeyVerifier, Verifier

if TYPE_CHECKING:
    from modelseal.trust.company import Company
    from modelseal.trust.keys import PublicKey
    from modelseal.trust.proofs.root import Root
    from modelseal.trust.signer import Signer

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


def trust_policy(policy: Policy, keyless: KeylessVerifier, root: "Root | None" = None) -> Trust:
    """Believe whom the policy's roles name; `keyless` is asked only if one of them is keyless.

    With `root`, log entries and timestamps beside signatures by keys have to hold (`KeyVerifier`).

    Raises:
        KeyFileError: a public key of the policy is of a kind that is not taken.
    """
    verifiers: list[Verifier] = []
    if policy.public_keys:
        from modelseal.trust.keys import parse_public_key

        name = f"a public key of the policy {policy.name}"
        keys = [parse_public_key(pem, name) for pem in policy.public_keys]
        verifiers.append(KeyVerifier(keys, root))
    if policy.identities:
        verifiers.append(keyless(policy.identities, policy.profile))
    return Trust(verifiers, policy)


def trust_identities(
    identities: Collection[Identity],
    keyless: KeylessVerifier,
    predicate_type: str = SIGNATURE,
    *,
    profile: Profile = Profile.KEYLESS,
) -> Trust:
    """Believe any of these keyless identities, verified as `profile` says."""
    members = [Member(identity, profile) for identity in identities]
    policy = _one_rule(members, predicate_type)
    return Trust([keyless(frozenset(identities), profile)], policy, predicate_type)


def trust_signer(signer: "Signer", predicate_type: str = SIGNATURE) -> Trust:
    """Believe exactly the signer of this run, who has signed already. Raises `SigningError`."""
    verifier = signer.verifier()
    identity = signer.identity
    assert identity is not None  # whoever has a verifier is known
    return Trust([verifier], _one_rule([Member.of(identity)], predicate_type), predicate_type)


def trust_company(
    company: "Company", subject: str, verifier: Verifier, predicate_type: str = SIGNATURE
) -> Trust:
    """Believe one subject that any of a company's roots vouches for."""
    members = [Member.of(identity) for identity in sorted(company.identities(subject))]
    return Trust([verifier], _one_rule(members, predicate_type), predicate_type)


def trust_keys(
    keys: Sequence["PublicKey"],
    predicate_type: str = SIGNATURE,
    *,
    root: "Root | None" = None,
) -> Trust:
    """Believe any of these public keys; `root` is as in `trust_policy`."""
    policy = _one_rule([Member.of(key.identity) for key in keys], predicate_type)
    return Trust([KeyVerifier(keys, root)], policy, predicate_type)


def _one_rule(members: Sequence[Member], predicate_type: str) -> Policy:
    """Ask for one signer; how many of several have to agree is for a policy file to say."""
    role = Role("the signer", 1, frozenset(members))
    rule = "signed" if predicate_type == SIGNATURE else "attested"
    return Policy("command line", (Attested(rule, predicate_type, role),))
