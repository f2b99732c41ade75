# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Publish: build, push, sign, attest, verify what the store now holds, and only then tag.

The steps are those of docs/publishing.md, in its order and numbering.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelseal.attest.predicates.types import CYCLONEDX
from modelseal.errors import ConflictError
from modelseal.evidence.lineage.places import NOWHERE, DataPlaces
from modelseal.modelpack.build import Profile
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.store import BlobMounter
from modelseal.trust.oms import OmsVerifier
from modelseal.trust.signer import Signer
from modelseal.workflows.attest import SIGNATURE_CLAIM, Attached, Claim, attest_manifest
from modelseal.workflows.collect import Build, Collected, collect
from modelseal.workflows.collectors import ALL
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.oms import OmsVerification, verify_artifact
from modelseal.workflows.oms_signing import check_signer, oms_claim
from modelseal.workflows.package import package_for, push_package
from modelseal.workflows.scan import SCAN_ALL, ScanChoice, scan_model
from modelseal.workflows.services import Services
from modelseal.workflows.trust import trust_signer
from modelseal.workflows.verify import Verification, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A model that is in the store, signed, attested, verified and tagged."""

    tag: str
    subject: Descriptor
    attached: tuple[Attached, ...]
    verification: Verification
    collected: Collected
    """What was found out about the build: what was attested, and what is missing."""
    oms: OmsVerification | None = None


def publish(
    directory: Path,
    tag: str,
    *,
    signer: Signer,
    services: Services,
    environment: Mapping[str, str],
    profile: Profile = Profile.MODELPACK,
    oms: bool = False,
    scan: ScanChoice = SCAN_ALL,
    claims: Sequence[Claim] = (),
    data: DataPlaces = NOWHERE,
) -> Publication:
    """Publish the model in `directory` under `tag`.

    Args:
        directory: the model directory, with a `modelseal.yaml`.
        tag: the tag that is moved last, when everything else is there.
        signer: signs the signature and the provenance, with one login.
        services: the store, the clock and the events.
        environment: of the process; it tells the builder and `SOURCE_DATE_EPOCH`.
        profile: what kind of artifact.
        oms: attach also an OMS signature of the files, made from the manifest alone.
        scan: what pickles may import, and whether findings are accepted.
        data: where the data lie that the model learned from; their digests are compared.
        claims: what else to attest, with the same login; an ML-BOM takes the place of ours.

    Raises:
        HostileModelError: a file of the model is not harmless; nothing was sent.
        ConflictError: the tag is the same version made from other inputs, or it moved meanwhile.
        Error: of the step that failed; the tag stays where it was.
    """
    started = services.clock()
    if oms:
        check_signer(signer)
    signer.check()  # a missing token is told before the weights are hashed and sent

    # (1) Build: look into the files before anything is sent, hash them, make the manifest. What is
    #     hashed is sent meanwhile.
    scanned = scan_model(directory, scan, services.on_event)
    scanned.require_harmless()
    made = package_for(directory, tag, services, environment, profile)
    scanned.require_unchanged()

    # (2) Push by digest, the manifest last. Nobody finds it by the tag yet.
    subject = push_package(made, services)

    # (3) Sign and attest: one login and one certificate for all statements.
    build = Build(
        directory=directory,
        made=made,
        profile=profile,
        # In a registry: where on a disk is nobody's business.
        repository=str(services.store) if isinstance(services.store, BlobMounter) else "",
        environment=environment,
        started=started,
        finished=services.clock(),
        data=data,
        digests=services.digests,
        scanned=scanned,
    )
    collected = collect(build, ALL)
    brought = {claim.predicate_type for claim in claims} & {CYCLONEDX}
    gathered = [item for item in collected.claims if item.predicate_type not in brought]
    said = [SIGNATURE_CLAIM, *gathered, *claims]
    if oms:
        said.append(oms_claim(services.store, made.package.manifest))
    attached = attest_manifest(subject, said, signer, services)

    # (4) Verify what the store now holds, as a stranger would: by digest, over its referrers.
    services.on_event(StepStarted("verify", str(subject.digest)))
    verification = verify(
        subject.digest, trust_signer(signer), store=services.store, clock=services.clock
    )
    files = None
    if oms:
        verifier = OmsVerifier(signer.verifier())
        files = verify_artifact(subject.digest, verifier, services.store)
    services.on_event(StepFinished("verify", f"{len(verification.statements)} statements"))

    # (5) Tag last: until here the old release stood, and nobody met an unsigned one.
    services.store.tag(subject, tag)
    _check_tag(services, tag, subject)
    services.on_event(StepFinished("tag", tag))
    return Publication(
        tag=tag,
        subject=subject,
        attached=attached,
        verification=verification,
        collected=collected,
        oms=files,
    )


def _check_tag(services: Services, tag: str, subject: Descriptor) -> None:
    standing = services.store.resolve(tag)
    if standing.digest != subject.digest:
        raise ConflictError(
            f"{tag} points at {standing.digest} and not at {subject.digest}: it moved meanwhile",
            hint="somebody else publishes under this tag; refer to the model by its digest",
        )
