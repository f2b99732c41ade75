# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What Kyverno and policy-controller would make of an artifact: predictions, and why.

They rest on the source of Kyverno 1.19.0 and policy-controller 0.15.1 and on the issues that are
named; no cluster was asked. Pure, as `predictions` is.
"""

from collections.abc import Iterator, Sequence

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.attest.referrers import BUNDLE_PREFIX
from modelseal.trust.bundle_facts import Method
from modelseal.workflows.explain import Explained, Explanation
from modelseal.workflows.predictions import (
    NOBODY_NAMED,
    OLD_DSSE,
    Found,
    Reason,
    Verdict,
    all_blocked,
    ask_cosign,
    blockers,
    bundles_of,
    no_bundle,
)

REFERRERS_OF_KYVERNO = 50
"""Most referrers that Kyverno's ClusterPolicy reads."""

LAYER_OF_KYVERNO = 10 << 20
"""Largest bundle that Kyverno's ClusterPolicy reads, in bytes."""


def ask_kyverno(item: Explanation) -> Found:
    """Tell what a policy of Kyverno's would do; it verifies as cosign does, with limits."""
    verdict, reasons = ask_cosign(item)
    reasons = [reason for reason in reasons if reason.code != "no-log"]
    good = [found for found in bundles_of(item) if not list(blockers(found, item))]
    limits = list(_kyverno_limits(item))
    if good and all(found.facts and found.facts.method is Method.KEY for found in good):
        limits += _kyverno_keys(good)
    if limits and verdict is Verdict.ACCEPTS:
        verdict = Verdict.DEPENDS
    reasons += limits
    if good and item.believed.private_root:
        reasons.append(
            Reason(
                "kyverno-private-root",
                "a Sigstore of one's own: ImageValidatingPolicy takes trustedRoot, and asks its "
                "TUF mirror all the same; ClusterPolicy knows the public one only",
                "use an ImageValidatingPolicy, and see that its tuf.mirror can be reached",
            )
        )
    return verdict, [*reasons, _volumes("kyverno#17555", "volumes under spec.images of the policy")]


def _kyverno_limits(item: Explanation) -> Iterator[Reason]:
    listed = [found for found in item.items if found.listed is not None]
    if len(listed) > REFERRERS_OF_KYVERNO:
        yield Reason(
            "kyverno-too-many-referrers",
            f"ClusterPolicy reads {REFERRERS_OF_KYVERNO} referrers, and here are {len(listed)}",
            "delete what is not needed, or use an ImageValidatingPolicy",
        )
    if any(_is_badly_listed(found) for found in listed):
        yield Reason(
            "fallback-index",
            "the list of referrers lacks the artifactType of a bundle, by which ClusterPolicy "
            "finds it; older go-containerregistry wrote such lists",
            "attach the statements anew with modelseal, which writes artifactType and annotations",
        )
    if any(found.facts and found.facts.size > LAYER_OF_KYVERNO for found in listed):
        yield Reason(
            "kyverno-large-bundle",
            "ClusterPolicy reads bundles of 10 MB, and one here is larger",
            "attest large documents by their digest",
        )


def _is_badly_listed(found: Explained) -> bool:
    assert found.listed is not None
    is_bundle = found.facts is not None
    return is_bundle and not found.listed.artifact_type.startswith(BUNDLE_PREFIX)


def _kyverno_keys(good: Sequence[Explained]) -> Iterator[Reason]:
    yield Reason(
        "kyverno-key-regression",
        "Kyverno 1.19.0 refuses every bundle that was signed with a key (kyverno#17363)",
        "run a release that has the correction (1.19.1 is to have it), or sign keylessly",
    )
    if any(found.facts and not found.facts.log_kinds for found in good):
        yield Reason(
            "kyverno-no-log",
            "no log has it: the policy has to say so, and for attestations 1.19 does not listen "
            "(kyverno#17109)",
            "ctlog.insecureIgnoreTlog (ImageValidatingPolicy), rekor.ignoreTlog (ClusterPolicy)",
        )


def ask_policy_controller(item: Explanation) -> Found:
    """Tell what a ClusterImagePolicy that asks for bundles would do."""
    bundles = bundles_of(item)
    if not bundles:
        return no_bundle(item)
    keyless = [found for found in bundles if found.facts and found.facts.method is Method.KEYLESS]
    volumes = _volumes("policy-controller#1974", "a release after 0.15.1")
    if not keyless:
        only = Reason(
            "policy-controller-key",
            "it verifies bundles of keyless signatures only (policy-controller#1958), and there is "
            "none",
            "sign keylessly",
        )
        return Verdict.REFUSES, [only]
    # Its sigstore-go, 1.1.4, still takes entries of the kind dsse 0.0.2; modelseal reads them not.
    blocked = {
        found.place: [r for r in blockers(found, item) if r.code != "dsse-0.0.2"]
        for found in keyless
    }
    good = [found for found in keyless if not blocked[found.place]]
    if not good:
        return all_blocked(blocked)
    how = Reason(
        "policy-controller-attestations",
        "its signature check does not know bundles; a policy has to ask for a statement instead "
        "(policy-controller#1899)",
        f"signatureFormat: bundle, and attestations with predicateType {_type_of(good)}",
    )
    reasons = [how]
    if item.believed.private_root:
        reasons.append(
            Reason(
                "policy-controller-private-root",
                "a Sigstore of one's own: a TrustRoot with sigstoreKeys does not work for bundles "
                "(policy-controller#1968)",
                "use a TrustRoot with remote or repository",
            )
        )
    old = any(OLD_DSSE in found.facts.log_kinds for found in good if found.facts)
    if not item.believed.verifiers or old:
        return Verdict.DEPENDS, [NOBODY_NAMED] * (not item.believed.verifiers) + [*reasons, volumes]
    return Verdict.ACCEPTS, [*reasons, volumes]


def _type_of(good: Sequence[Explained]) -> str:
    types = sorted({found.facts.predicate_type for found in good if found.facts})
    return SIGNATURE if SIGNATURE in types else types[0]


def _volumes(issue: str, fix: str) -> Reason:
    return Reason(
        "image-volume",
        f"a model that a pod mounts as an image volume is not looked at by default ({issue})",
        fix,
    )
