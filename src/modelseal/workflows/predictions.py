# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What other tools would make of an artifact, from what is known about certain versions of them.

What is said of cosign and model_signing is compared with those programs in
`tests/e2e/test_explain_matrix.py`. What is said of Kyverno and policy-controller rests on their
source and on the named issues, and is a prediction only. Pure: it reads facts and does nothing.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from modelseal.attest.predicates.oms import SHA256
from modelseal.attest.predicates.oms import Method as OmsMethod
from modelseal.attest.predicates.types import SIGNATURE
from modelseal.oci.manifest import Index
from modelseal.trust.bundle_facts import Method
from modelseal.workflows.explain import Explained, Explanation, Kind

OLD_DSSE = "dsse 0.0.2"


class Verdict(StrEnum):
    """What a tool would do."""

    ACCEPTS = "accepts"
    REFUSES = "refuses"
    DEPENDS = "depends"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, and what to do about it; `code` is a stable name for scripts."""

    code: str
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one tool would do, and why.

    Attributes:
        tool: its name.
        version: of which this is known.
        verdict: what it would do.
        copied: what it would do of a copy in a registry; None when it is asked where it lies.
        tested: whether tests compare such predictions with the real program.
        command: how it would be asked; empty for an admission controller, or when nobody is
            named whom it should believe.
        reasons: of the verdict, then what else is good to know.
    """

    tool: str
    version: str
    verdict: Verdict
    copied: Verdict | None = None
    tested: bool
    command: str
    reasons: tuple[Reason, ...]


Found: TypeAlias = tuple[Verdict, list[Reason]]


def bundles_of(item: Explanation) -> list[Explained]:
    """Return the referrers that tools take for bundles; others are passed over in silence."""
    return [
        found
        for found in item.items
        if found.listed is not None and found.facts is not None and found.facts.newest
    ]


def ask_cosign(item: Explanation) -> Found:
    """Tell what `cosign verify` would do: one statement by the signer is enough, of any type."""
    bundles = bundles_of(item)
    if not bundles:
        return no_bundle(item)
    blocked = {found.place: list(blockers(found, item)) for found in bundles}
    good = [found for found in bundles if not blocked[found.place]]
    if not good:
        return all_blocked(blocked)
    notes = list(_notes(item, good))
    if not item.believed.verifiers:
        return Verdict.DEPENDS, [NOBODY_NAMED, *notes]
    return Verdict.ACCEPTS, notes


NOBODY_NAMED = Reason(
    "nobody-named",
    "nobody was named who has to have signed, so no signature was checked",
    "say whom you believe: --key, or --certificate-identity and --certificate-oidc-issuer",
)


def no_bundle(item: Explanation) -> Found:
    """Tell what follows when there is no bundle that tools read."""
    broken = [_why(found) for found in item.items if found.kind is Kind.BROKEN]
    if any(found.listed and found.facts and not found.facts.newest for found in item.items):
        old = Reason(
            "old-bundle",
            "its bundle is of a version before 0.3, which is not taken from registries",
            "sign it anew: modelseal sign REF",
        )
        return Verdict.REFUSES, [old, *broken]
    if any(found.kind is Kind.LEGACY and found.place.endswith(".sig") for found in item.items):
        legacy = Reason(
            "legacy-signature",
            "there is only a signature in cosign's form from before bundles; it is not read here",
            "sign it as a bundle: modelseal sign REF, or cosign sign with its defaults",
        )
        return Verdict.DEPENDS, [legacy, *broken]
    nothing = Reason("nothing-attached", "no bundle is attached to it", "modelseal sign REF")
    return Verdict.REFUSES, [nothing, *broken]


def all_blocked(blocked: dict[str, list[Reason]]) -> Found:
    """Tell what follows when there is a reason against everything that is attached."""
    reasons = [reason for reasons in blocked.values() for reason in reasons]
    unsure = [all(r.code in _UNSURE for r in reasons) for reasons in blocked.values()]
    return Verdict.DEPENDS if any(unsure) else Verdict.REFUSES, reasons


_UNSURE = {"unsupported-log-entry", "company-certificate"}
"""What modelseal does not read, another tool may; and what hangs on how the tool is asked."""


def _why(found: Explained) -> Reason:
    error = found.refusal
    assert error is not None
    return Reason(error.reason, str(error), error.hint)


def blockers(found: Explained, item: Explanation) -> Iterator[Reason]:
    """Yield why sigstore-go 1.2 or newer, which cosign 3.1 and Kyverno 1.19 have, refuses it."""
    facts = found.facts
    assert facts is not None
    if not facts.names:
        yield _other_subject(found, item)
        return
    if facts.method is Method.CHAIN:
        yield Reason(
            "certificate-chain",
            "its bundle has a chain of certificates, which cosign takes only with "
            "--allow-certificate-chain",
            "sign keylessly or with a key; or keep it for model_signing",
        )
        return
    if facts.method is Method.CERTIFICATE:
        yield Reason(
            "company-certificate",
            "a certificate of a company's authority signed it, not one of Fulcio's",
            "name the authority in the trusted root that it is given (cosign trusted-root create "
            "--fulcio=…,certificate-chain=CHAIN.pem), and, where no log has it, say "
            "--insecure-ignore-tlog and --insecure-ignore-sct",
        )
    elif facts.method is Method.KEYLESS:
        yield from _keyless_blockers(found)
    elif item.believed.key_algorithm in {"ecdsa-p384", "ecdsa-p521"}:
        yield Reason(
            "key-algorithm",
            f"the key is {item.believed.key_algorithm}; cosign's defaults take ECDSA P-256, "
            "Ed25519 and RSA with PKCS#1 v1.5",
            "sign with another key: modelseal key generate --output K",
        )
        return
    if found.refusal is not None and not _told_already(found):
        yield _why(found)


def _told_already(found: Explained) -> bool:
    facts, error = found.facts, found.refusal
    assert facts is not None
    assert error is not None
    return error.reason in {"no-log-entry", "no-timestamp"} or (
        error.reason == "unsupported-log-entry" and OLD_DSSE in facts.log_kinds
    )


def _keyless_blockers(found: Explained) -> Iterator[Reason]:
    facts = found.facts
    assert facts is not None
    if not facts.log_kinds:
        yield Reason(
            "no-log-entry",
            "it was signed keylessly and has no transparency log entry",
            "sign with a signing config that names a log (Rekor)",
        )
    elif not facts.timestamps and not facts.log_time:
        yield Reason(
            "no-timestamp",
            "nothing in it says when it was signed: Rekor v2 gives no time, and there is no "
            "signed timestamp",
            "sign with a signing config that names a timestamp authority",
        )
    if OLD_DSSE in facts.log_kinds:
        yield Reason(
            "dsse-0.0.2",
            "its log entry is of the kind dsse 0.0.2, which sigstore-go 1.2 and newer refuse",
            "sign anew with modelseal, or with cosign 3.1 or newer",
        )


def _other_subject(found: Explained, item: Explanation) -> Reason:
    if found.kind is Kind.OMS:
        is_signed = any(other.kind is Kind.SIGNATURE for other in item.items)
        return Reason(
            "about-files",
            "an OMS signature is about the files, not about the manifest",
            "" if is_signed else "sign the manifest, too: modelseal sign REF",
        )
    return Reason(
        "wrong-subject",
        "a statement is about other content: it was moved here, or the tag pointed elsewhere",
        "sign this one: modelseal sign REF",
    )


def _notes(item: Explanation, good: Sequence[Explained]) -> Iterator[Reason]:
    """Yield what is good to know about what would be accepted."""
    if not any(found.kind is Kind.SIGNATURE for found in good):
        kinds = sorted({found.facts.predicate_type for found in good if found.facts})
        yield Reason(
            "any-statement",
            f"there is no signature, only {', '.join(kinds)}; it takes any statement by the signer "
            "for one, and modelseal verify does not",
            f"sign it (modelseal sign REF), or ask for exactly {SIGNATURE}",
        )
    by_key = all(found.facts and found.facts.method is Method.KEY for found in good)
    if by_key and any(found.facts and not found.facts.log_kinds for found in good):
        yield Reason(
            "no-log",
            "a key signed it, and no log has it",
            "say --insecure-ignore-tlog to cosign verify",
        )
    if isinstance(item.document, Index):
        yield Reason(
            "index",
            "the index is signed, which covers the manifests that it lists; who asks for one of "
            "those by its digest finds nothing",
            "sign each manifest, too, if it is used by its own digest",
        )


def cosign_command(item: Explanation, reference: str) -> str:
    """Return how cosign would be asked for whom the caller believes; empty for nobody."""
    believed = item.believed
    if believed.method not in {Method.KEY, Method.KEYLESS}:
        return ""
    unlogged = believed.method is Method.KEY and any(
        found.facts is not None and not found.facts.log_kinds for found in bundles_of(item)
    )
    ignore = ("--insecure-ignore-tlog",) * unlogged
    return shlex.join(("cosign", "verify", *believed.options, *ignore, reference))


def ask_model_signing(item: Explanation) -> Found:
    """Tell what `model_signing verify` would say of the files once they are pulled."""
    signatures = [found for found in item.items if found.kind is Kind.OMS]
    if not signatures:
        none = Reason(
            "no-oms-signature",
            "it reads OMS signatures only, and there is none",
            "modelseal sign REF --oms, which reads no file again",
        )
        return Verdict.REFUSES, [none]
    install = Reason(
        "pyopenssl",
        "model-signing 1.1.1 does not start without a package that it does not ask for",
        "pip install model-signing pyOpenSSL",
    )
    if item.comparable:
        archive = Reason(
            "not-comparable",
            f"whether the files are those that were signed is not told by the manifest: "
            f"{item.comparable}",
            "pull the model, and ask there: modelseal verify DIR --oms",
        )
        return Verdict.DEPENDS, [archive, install]
    blocked = {found.place: list(_oms_blockers(found, item)) for found in signatures}
    if all(blocked.values()):
        return all_blocked(blocked)
    if not item.believed.verifiers:
        return Verdict.DEPENDS, [NOBODY_NAMED, install]
    return Verdict.ACCEPTS, [install]


def _oms_blockers(found: Explained, item: Explanation) -> Iterator[Reason]:
    facts = found.facts
    assert facts is not None
    wanted = item.believed.oms_hint
    if found.refusal is not None:
        yield _why(found)
        return
    if facts.method is Method.KEYLESS:
        yield from _keyless_blockers(found)
    if facts.method is Method.KEY and wanted and facts.key_hint not in {"", wanted}:
        yield Reason(
            "oms-hint",
            "the bundle names its key in another way than the hex SHA-256 of its PEM form, which "
            "is all that model_signing takes",
            "sign it anew: modelseal sign REF --oms",
        )
    if found.oms is not None:
        predicate = found.oms.predicate
        if predicate.method is OmsMethod.SHARDS or predicate.hash_type != SHA256:
            yield Reason(
                "oms-method",
                "its command line verifies whole files with SHA-256 only, and these were signed as "
                f"{predicate.method} with {predicate.hash_type}",
                "sign it anew: modelseal sign REF --oms",
            )


def model_signing_command(item: Explanation, reference: str) -> str:
    """Return how model_signing would be asked, after the model was fetched to DIR."""
    believed = item.believed
    if not believed.options or not any(found.kind is Kind.OMS for found in item.items):
        return ""
    signed = any(found.kind is Kind.SIGNATURE and found.statement for found in item.items)
    options = believed.options if signed else ()  # or `pull` would refuse it
    fetch = ("modelseal", "pull", reference, "--output", "DIR", *options)
    write = ("modelseal", "verify", reference, "--oms", "--oms-file", "model.sig")
    whom: tuple[str, ...] = ("key", "DIR", "--public_key", believed.options[1])
    if believed.method is Method.CERTIFICATE:
        whom = ("certificate", "DIR", "--certificate_chain", believed.options[3])
    if believed.method is Method.KEYLESS:
        whom = ("sigstore", "DIR", "--identity", believed.options[1])
        whom += ("--identity_provider", believed.options[3])
        whom += ("--trust_config", "FILE") * believed.private_root
    verify = ("model_signing", "verify", *whom, "--signature", "model.sig")
    return " && ".join(map(shlex.join, (fetch, (*write, *believed.options), verify)))
