# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Package: a model directory becomes an artifact, in a store."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from modelseal.errors import ConflictError
from modelseal.modelpack.build import ModelPackage, Profile, build, layer_of
from modelseal.modelpack.config import source_date
from modelseal.modelpack.digests import DigestCache
from modelseal.modelpack.inventory import SourceFile, scan
from modelseal.modelpack.media_types import INPUTS_DIGEST
from modelseal.modelpack.project import Metadata, Project
from modelseal.modelpack.project_file import load_project
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.events import TransferPlanned
from modelseal.oci.reference import LayoutDirectory, Location, TagReference, check_tag
from modelseal.oci.store import ReadableStore, Store
from modelseal.oci.transfer import Pusher, check_sizes, push_all
from modelseal.workflows.events import EventSink, StepFinished, StepStarted
from modelseal.workflows.services import Services
from modelseal.workflows.standing import standing


@dataclass(frozen=True, slots=True)
class Packaged:
    """A project and the artifact that was built from it; its manifest is not stored yet."""

    project: Project
    package: ModelPackage
    stored: frozenset[Digest] = frozenset()
    """What is in the store already."""

    @property
    def subject(self) -> Descriptor:
        """The manifest's descriptor."""
        return self.package.manifest.descriptor

    @property
    def files(self) -> Mapping[str, Digest]:
        """The digest of every file, by its path."""
        return self.package.files


def package(
    directory: Path,
    environment: Mapping[str, str],
    on_event: EventSink,
    *,
    profile: Profile = Profile.MODELPACK,
    digests: DigestCache | None = None,
    early: Callable[[Project], Pusher | None] = lambda _: None,
    store: object = None,
) -> Packaged:
    """Hash a model directory and build its manifest.

    Args:
        directory: the model directory.
        environment: of the process; it tells `SOURCE_DATE_EPOCH`.
        on_event: told about progress.
        profile: what kind of artifact.
        digests: of files that need not be read again.
        early: gives the pusher to which each file goes as soon as it is hashed, if any; they are
            all in the store when this returns.
        store: where they will go; one that knows that it takes no file so large is asked first.

    Raises:
        InvalidProjectError, UnsafePathError, StorageError.
        LimitExceededError: a file is too large for the store; none was read.
        Error: as `Pusher.finish` does.
    """
    on_event(StepStarted("build", str(directory)))
    project = load_project(directory)
    pusher: Pusher | None = None

    def planned(files: Sequence[tuple[str, int]]) -> None:
        nonlocal pusher
        check_sizes(store, files, on_event)
        pusher = early(project)
        if pusher is not None:
            on_event(TransferPlanned(len(files), sum(size for _, size in files)))

    def hashed(file: SourceFile) -> None:
        if pusher is not None:
            pusher.check()  # one that refuses the first file need not see the last one hashed
            pusher.add(*layer_of(file))

    inventory = scan(directory, project, on_plan=planned, on_file=hashed, known=digests)
    if digests is not None:
        digests.save()
    created = source_date(environment)
    made = build(directory, project, inventory, created=created, profile=profile)
    if pusher is not None:
        pusher.finish()
    on_event(StepFinished("build", str(made.manifest.descriptor.digest)))
    return Packaged(project, made, frozenset() if pusher is None else pusher.digests)


def early_pusher(
    services: Services, tag: str, stack: ExitStack, profile: Profile = Profile.MODELPACK
) -> Callable[[Project], Pusher | None]:
    """Return what gives a pusher, if files may go before all of them are hashed.

    They may not where the same version stands: then either nothing has changed, or
    `refuse_other_inputs` has its say before anything is sent.

    Args:
        services: the store and the events.
        tag: what will be published.
        stack: leaves the pusher.
        profile: only the files of a ModelPack are layers as they are.
    """

    def early(project: Project) -> Pusher | None:
        if profile is not Profile.MODELPACK:
            return None
        if standing(services.store, tag, project.metadata):
            return None
        return stack.enter_context(Pusher(services.store, services.on_event, services.neighbours))

    return early


def refuse_other_inputs(store: ReadableStore, tag: str, made: Packaged) -> None:
    """Refuse to make the same version of a model from other inputs.

    A version names one set of inputs (design: `inputsDigest`). Another version may take the tag.
    What stands where is looked for as `standing` says.

    Raises:
        ConflictError: the same version is there with other inputs, or what `tag` points at is it
            in another profile.
    """
    version = made.project.metadata.version
    made_type = made.package.manifest.artifact_type
    for name, manifest in standing(store, tag, made.project.metadata).items():
        if name == tag and manifest.artifact_type != made_type:
            raise ConflictError(
                f"{tag} is version {version} already, as a {manifest.artifact_type}",
                hint=f"give each profile a tag of its own, for example {tag}-image",
            )
        inputs = manifest.annotations.get(INPUTS_DIGEST)
        if inputs not in {None, str(made.package.inputs_digest)}:
            raise ConflictError(
                f"{name} is version {version} already, made from other inputs ({inputs})",
                hint="raise metadata.version in modelseal.yaml, and publish under the new version; "
                "`modelseal diff REF DIR` says how far",
            )


def push_package(made: Packaged, services: Services) -> Descriptor:
    """Store config, layers and then the manifest, without a tag; return the manifest's descriptor.

    Raises:
        ContentMismatchError: a file changed since it was hashed; the manifest is not stored.
        Error: as `ContentWriter.push` does.
    """
    services.on_event(StepStarted("push", str(made.subject.digest)))
    *blobs, manifest = made.package.contents()
    missing = [(blob, content) for blob, content in blobs if blob.digest not in made.stored]
    push_all(services.store, missing, services.on_event, neighbours=services.neighbours)
    services.store.push(*manifest)
    services.on_event(StepFinished("push", str(made.subject.digest)))
    return made.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An artifact in a local store."""

    reference: TagReference
    subject: Descriptor
    inputs_digest: Digest


def build_into(
    directory: Path,
    reference_for: Callable[[Metadata], TagReference],
    open_store: Callable[[Location], Store],
    *,
    environment: Mapping[str, str],
    on_event: EventSink,
    profile: Profile = Profile.MODELPACK,
    digests: DigestCache | None = None,
) -> Built:
    """Build the model in `directory` into the store that `reference_for` names.

    Raises:
        ConflictError: the same version was built there from other inputs.
        Error: as `package` and `push_package` do.
    """
    made = package(directory, environment, on_event, profile=profile, digests=digests)
    reference = reference_for(made.project.metadata)
    services = Services(store=open_store(reference.location), on_event=on_event)
    refuse_other_inputs(services.store, reference.tag, made)
    subject = push_package(made, services)
    services.store.tag(subject, reference.tag)
    return Built(reference=reference, subject=subject, inputs_digest=made.package.inputs_digest)


def local_reference(
    metadata: Metadata, environment: Mapping[str, str], profile: Profile = Profile.MODELPACK
) -> TagReference:
    """Return where a model is built to when nobody says: the user's local store.

    It is an OCI layout a model, below `XDG_DATA_HOME`, with the version as tag (`+` becomes `_`,
    which a tag can hold); an image's has `-image` at its end.
    """
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    layout = LayoutDirectory(Path(home) / "modelseal" / "store" / metadata.name)
    version = metadata.version.replace("+", "_")
    suffix = "" if profile is Profile.MODELPACK else f"-{profile}"
    return TagReference(layout, check_tag(f"{version}{suffix}"))


def push_directory(
    directory: Path,
    tag: str,
    services: Services,
    environment: Mapping[str, str],
    profile: Profile = Profile.MODELPACK,
) -> Descriptor:
    """Build the model in `directory`, store it and tag it; return the manifest's descriptor.

    Raises:
        ConflictError: the tag is the same version made from other inputs.
        Error: as `package` and `push_package` do; the tag stays where it was.
    """
    made = package_for(directory, tag, services, environment, profile)
    subject = push_package(made, services)
    services.store.tag(subject, tag)
    return subject


def package_for(
    directory: Path,
    tag: str,
    services: Services,
    environment: Mapping[str, str],
    profile: Profile = Profile.MODELPACK,
) -> Packaged:
    """Hash a model directory and build its manifest, to be stored under `tag`.

    Files go to the store while others are hashed, unless `tag` is of the same version.

    Raises:
        ConflictError: the tag is the same version made from other inputs.
        Error: as `package` does.
    """
    with ExitStack() as stack:
        made = package(
            directory,
            environment,
            services.on_event,
            profile=profile,
            digests=services.digests,
            early=early_pusher(services, tag, stack, profile),
            store=services.store,
        )
    refuse_other_inputs(services.store, tag, made)
    return made
