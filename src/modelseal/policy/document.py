# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""YAML to policy, strictly: an unknown key or rule is an error with the nearest known one."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modelseal.attest.predicates.types import SIGNATURE, parse_predicate_type
from modelseal.documents import Fields, nearest, parse_yaml
from modelseal.errors import ContentError, InvalidPolicyError, UsageError
from modelseal.policy.checks.attested import Attested
from modelseal.policy.checks.check import Check
from modelseal.policy.checks.environment import Environment
from modelseal.policy.checks.provenance import BuiltBy
from modelseal.policy.checks.resource import LAYOUT, Resource, repository_of
from modelseal.policy.roles import Member, Role
from modelseal.trust.identity import (
    CLAIM_OIDS,
    COMPANY_ISSUER,
    NO_CLAIMS,
    Identity,
    KeyIdentity,
    Profile,
    SignerIdentity,
)

_ISSUER = re.compile(rf"https?://.+|{COMPANY_ISSUER}[0-9a-f]{{64}}", re.DOTALL)
API_VERSION = "modelseal.dev/v1"
KIND = "Policy"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: its rules, and whom a verifier has to know to apply them.

    Attributes:
        name: stands in every answer.
        checks: the rules.
        identities: of the roles that sign keylessly.
        profile: how keyless statements have to be verified.
        public_keys: (PEM) of the roles that sign with keys.

    Raises `InvalidPolicyError` without a rule: it would allow everything.
    """

    name: str
    checks: tuple[Check, ...]
    identities: frozenset[Identity] = frozenset()
    profile: Profile = Profile.KEYLESS
    public_keys: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not self.checks:
            raise InvalidPolicyError(
                f"the policy {self.name} has no rule", hint="a policy needs at least `use: signed`"
            )


def parse_policy(raw: bytes, what: str) -> Policy:
    """Read a policy document; `what` names the file in errors. Raises `InvalidPolicyError`."""
    try:
        return _policy(Fields(parse_yaml(raw, what), "", error=InvalidPolicyError))
    except ContentError as error:  # it names the file
        raise InvalidPolicyError(str(error)) from error
    except InvalidPolicyError as error:
        raise InvalidPolicyError(f"{what}: {error}", hint=error.hint) from error


def _policy(document: Fields) -> Policy:
    _expect(document, "apiVersion", API_VERSION)
    _expect(document, "kind", KIND)
    metadata = document.mapping("metadata", required=True)
    name = metadata.text("name", required=True)
    metadata.text("description")
    metadata.finish()
    spec = document.mapping("spec", required=True)
    document.finish()
    keys: list[bytes] = []
    roles = _roles(spec.mapping("roles", required=True), keys)
    checks = tuple(_check(entry, roles) for entry in spec.items("rules"))
    spec.finish()
    members = frozenset[Member]().union(*(role.members for role in roles.values()))
    identities = frozenset(m.signer for m in members if isinstance(m.signer, Identity))
    return Policy(name, checks, identities, _profile_of(members), tuple(keys))


def _profile_of(members: Iterable[Member]) -> Profile:
    """Return how keyless statements are verified: there is one trusted root, so one way."""
    profiles = {member.profile for member in members} - {Profile.KEY}
    if len(profiles) > 1:
        raise InvalidPolicyError(
            f"one role asks for the profile {min(profiles)}, another for {max(profiles)}",
            hint="a policy is applied under one trusted root: choose one of them for all roles",
        )
    return profiles.pop() if profiles else Profile.KEYLESS


def _expect(document: Fields, key: str, wanted: str) -> None:
    found = document.text(key, required=True)
    if found != wanted:
        raise InvalidPolicyError(f"{key} is {found!r}", hint=f"write {key}: {wanted}")


def _roles(fields: Fields, keys: list[bytes]) -> Mapping[str, Role]:
    roles = {}
    for name in fields.keys():  # noqa: SIM118 - Fields is no dictionary
        entry = fields.mapping(name, required=True)
        threshold = entry.integer("threshold", default=1)
        if entry.has("threshold") and entry.raw("threshold") is None:
            raise entry.wrong("threshold", "is empty", hint="write how many signers are needed")
        profile = _profile(entry)
        members = [_member(item, profile, keys) for item in entry.items("identities")]
        entry.finish()
        if len(set(members)) != len(members):
            raise InvalidPolicyError(f"the role {name} names one signer twice")
        roles[name] = Role(name, threshold, frozenset(members))
    return MappingProxyType(roles)


def _profile(entry: Fields) -> Profile | None:
    """Return the profile that a role asks for; None leaves it to the kind of each identity."""
    if not entry.has("profile"):
        return None
    name = entry.text("profile", required=True)
    try:
        return Profile(name)
    except ValueError as error:
        raise InvalidPolicyError(
            f"there is no profile {name!r}{nearest(name, Profile)}",
            hint=f"profiles: {', '.join(Profile)}",
        ) from error


def _member(item: Fields, profile: Profile | None, keys: list[bytes]) -> Member:
    claims = _claims(item)
    signer = _signer(item, keys)
    usual = Member.of(signer).profile
    asked = profile or usual
    fixed = {Profile.KEY, Profile.CERTIFICATE}  # the kind of identity says so already
    if asked is not usual and fixed & {asked, usual}:
        raise InvalidPolicyError(
            f"the profile {profile} and {signer} exclude each other",
            hint="the profile key goes with a publicKey, certificate with an issuer "
            f"{COMPANY_ISSUER}…, the others with an issuer's URL and a subject",
        )
    if claims and usual in fixed:
        raise InvalidPolicyError(
            "a publicKey has no claims, nor has a company's certificate",
            hint="claims stand in Fulcio's certificates, beside an issuer's URL",
        )
    return Member(signer, asked, claims)


def _claims(item: Fields) -> Mapping[str, str]:
    if not item.has("claims"):
        return NO_CLAIMS
    claims = item.mapping("claims", required=True)
    names = claims.keys()
    if not names:
        raise item.wrong("claims", "is empty", hint="leave it out, or say what has to be claimed")
    for name in names:
        if name not in CLAIM_OIDS:
            raise InvalidPolicyError(
                f"there is no claim {name!r}{nearest(name, CLAIM_OIDS)}",
                hint=f"claims of a certificate: {', '.join(CLAIM_OIDS)}",
            )
    return MappingProxyType({name: claims.text(name, required=True) for name in names})


def _signer(item: Fields, keys: list[bytes]) -> SignerIdentity:
    if item.has("publicKey"):
        pem = item.text("publicKey", required=True)
        item.finish("issuer", "subject", "claims")
        if item.has("issuer") or item.has("subject"):
            raise InvalidPolicyError(
                "an identity is a publicKey, or an issuer and a subject",
                hint="write {issuer: URL, subject: WHO}, or {publicKey: PEM}",
            )
        keys.append(pem.encode())
        return key_identity(pem)
    identity = Identity(
        issuer=item.text("issuer", required=True), subject=item.text("subject", required=True)
    )
    item.finish("publicKey", "claims")
    if not _ISSUER.fullmatch(identity.issuer):
        raise InvalidPolicyError(
            f"the issuer {identity.issuer!r} is not a URL",
            hint="write it as the certificate has it, for example "
            "https://token.actions.githubusercontent.com; a company's root is "
            f"{COMPANY_ISSUER} and 64 hex digits",
        )
    return identity


def key_identity(pem: str) -> KeyIdentity:
    """Return who a public key (PEM, SubjectPublicKeyInfo) is. Raises `InvalidPolicyError`."""
    lines = pem.strip().splitlines()
    framed = len(lines) > 2 and (lines[0], lines[-1]) == (  # noqa: PLR2004 - two frame lines
        "-----BEGIN PUBLIC KEY-----",
        "-----END PUBLIC KEY-----",
    )
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True) if framed else b""
    except binascii.Error:
        der = b""
    if not der:
        raise InvalidPolicyError(
            "publicKey is not a PEM public key",
            hint="put the text of the .pub file there, as a YAML block (publicKey: |)",
        )
    return KeyIdentity(f"sha256:{hashlib.sha256(der).hexdigest()}")


def _check(entry: Fields, roles: Mapping[str, Role]) -> Check:
    use = entry.text("use", required=True)
    make = _RULES.get(use)
    if make is None:
        raise InvalidPolicyError(
            f"there is no rule {use!r}{nearest(use, _RULES)}",
            hint=f"rules of this version: {', '.join(_RULES)}",
        )
    with_ = entry.mapping("with", required=True)
    check = make(entry.text("id") or use, roles, with_)
    with_.finish()
    entry.finish()
    return check


def _role(with_: Fields, roles: Mapping[str, Role]) -> Role:
    name = with_.text("role", required=True)
    role = roles.get(name)
    if role is None:
        raise InvalidPolicyError(
            f"there is no role {name!r}{nearest(name, roles)}", hint="name it under spec.roles"
        )
    return role


def _predicate_type(with_: Fields) -> str:
    try:
        return parse_predicate_type(with_.text("predicateType", required=True))
    except UsageError as error:
        raise InvalidPolicyError(str(error), hint=error.hint) from error


def _signed(rule: str, roles: Mapping[str, Role], with_: Fields) -> Check:
    return Attested(rule, SIGNATURE, _role(with_, roles))


def _attested(rule: str, roles: Mapping[str, Role], with_: Fields) -> Check:
    return Attested(rule, _predicate_type(with_), _role(with_, roles))


def _provenance(rule: str, roles: Mapping[str, Role], with_: Fields) -> Check:
    role = _role(with_, roles)
    # A key without a value asks for nothing, and whoever wrote it meant to ask for something.
    builder, source = (
        with_.text(key, required=with_.has(key)) for key in ("builderId", "sourceRepository")
    )
    return BuiltBy(rule, role, builder, source)


def _resource(rule: str, roles: Mapping[str, Role], with_: Fields) -> Check:
    repositories = _places(with_, "repositories")
    used_from = _places(with_, "usedFrom", LAYOUT)
    if not repositories and not used_from:
        raise with_.wrong("repositories", "is missing", hint="name repositories, usedFrom, or both")
    # Who names a repository matters only if one has to be named.
    role = _role(with_, roles) if repositories else None
    kind = _predicate_type(with_) if repositories and with_.has("predicateType") else ""
    return Resource(rule, role, repositories, used_from, kind)


def _places(with_: Fields, key: str, *also: str) -> tuple[str, ...]:
    places = with_.texts(key)
    if with_.has(key) and not places:
        raise with_.wrong(key, "is empty", hint="leave it out, or name a repository")
    for place in places:
        probe = f"{place[:-1]}x" if place.endswith("/*") else place
        if place not in also and repository_of(probe) != probe:
            raise with_.wrong(
                key,
                f"has {place!r}, which is no repository",
                hint="write registry/repository, or registry/path/* for all below it",
            )
    return places


_AK = re.compile(r"(?:000b[0-9a-f]{64}|000c[0-9a-f]{96}|000d[0-9a-f]{128}|sha256:[0-9a-f]{64})")
_PCR_VALUES = {"sha256": 64, "sha384": 96, "sha512": 128}


def _environment(rule: str, roles: Mapping[str, Role], with_: Fields) -> Check:
    keys = with_.texts("attestationKeys")
    if not keys or not all(_AK.fullmatch(key) for key in keys):
        raise with_.wrong(
            "attestationKeys",
            "does not list names of attestation keys",
            hint="write what `modelseal environment verify` shows: 000b and 64 hex digits, or "
            "sha256: and 64 for the key alone",
        )
    pcrs = with_.mapping("pcrs") if with_.has("pcrs") else None
    values = {} if pcrs is None else {bank: _bank(pcrs, bank) for bank in pcrs.keys()}  # noqa: SIM118
    if pcrs is not None and not values:
        raise with_.wrong("pcrs", "is empty", hint="leave it out, or say which values are asked")
    return Environment(rule, _role(with_, roles), frozenset(keys), MappingProxyType(values))


def _bank(pcrs: Fields, bank: str) -> Mapping[int, frozenset[str]]:
    size = _PCR_VALUES.get(bank)
    if size is None:
        raise pcrs.wrong(bank, "is no bank", hint=f"banks: {', '.join(_PCR_VALUES)}")
    values = pcrs.mapping(bank, required=True)
    found = {}
    for number in values.keys():  # noqa: SIM118 - Fields is no dictionary
        several = isinstance(values.raw(number), list)
        allowed = values.texts(number) if several else (values.text(number, required=True),)
        if not re.fullmatch(r"[0-9]|1[0-9]|2[0-3]", number) or not allowed:
            raise values.wrong(number, "is no PCR with a value", hint='write "7": HEX')
        for value in allowed:
            if not re.fullmatch(rf"[0-9a-f]{{{size}}}", value):
                raise values.wrong(number, f"is not {size} lower-case hex digits")
        found[int(number)] = frozenset(allowed)
    if not found:
        raise pcrs.wrong(bank, "is empty", hint='write "7": HEX')
    return MappingProxyType(found)


_RULES: Mapping[str, Callable[[str, Mapping[str, Role], Fields], Check]] = {
    "signed": _signed,
    "attested": _attested,
    "provenance": _provenance,
    "resource": _resource,
    "environment": _environment,
}
