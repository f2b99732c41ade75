# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Package: a model directory becomes an artifact, in a store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelseal.errors import ConflictError, NotFoundError
from modelseal.modelpack.build import ModelPackage, Profile, build
from modelseal.modelpack.config import source_date
from modelseal.modelpack.inventory import scan
from modelseal.modelpack.media_types import INPUTS_DIGEST, VERSION
from modelseal.modelpack.project import Metadata, Project, load_project
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.reference import LayoutDirectory, Location, TagReference, check_tag
from modelseal.oci.store import ReadableStore, Store, fetch_manifest
from modelseal.oci.transfer import push_all
from modelseal.workflows.events import EventSink, StepFinished, StepStarted
from modelseal.workflows.services import Services


@dataclass(frozen=True, slots=True)
class Packaged:
    """A project and the artifact that was built from it; nothing is stored yet."""

    project: Project
    package: ModelPackage

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
) -> Packaged:
    """Hash a model directory and build its manifest.

    Raises:
        InvalidProjectError, UnsafePathError, StorageError.
    """
    on_event(StepStarted("build", str(directory)))
    project = load_project(directory)
    inventory = scan(directory, project)
    created = source_date(environment)
    made = build(directory, project, inventory, created=created, profile=profile)
    on_event(StepFinished("build", str(made.manifest.descriptor.digest)))
    return Packaged(project, made)


def refuse_other_inputs(store: ReadableStore, tag: str, made: Packaged) -> None:
    """Refuse to move `tag` to the same version of a model with other inputs.

    A version names one set of inputs (design: `inputsDigest`). Another version may take the tag.

    Raises:
        ConflictError: what `tag` points at has the same version and other inputs, or is of
            another profile.
    """
    try:
        standing = fetch_manifest(store, store.resolve(tag))
    except NotFoundError:
        return
    version = made.project.metadata.version
    made_type = made.package.manifest.artifact_type
    inputs = standing.annotations.get(INPUTS_DIGEST)
    same_version = standing.annotations.get(VERSION) == version
    if same_version and standing.artifact_type != made_type:
        raise ConflictError(
            f"{tag} is version {version} already, as a {standing.artifact_type}",
            hint=f"give each profile a tag of its own, for example {tag}-image",
        )
    if same_version and inputs not in {None, str(made.package.inputs_digest)}:
        raise ConflictError(
            f"{tag} is version {version} already, made from other inputs ({inputs})",
            hint="raise metadata.version in modelseal.yaml, and publish under the new version",
        )


def push_package(made: Packaged, services: Services) -> Descriptor:
    """Store config, layers and then the manifest, without a tag; return the manifest's descriptor.

    Raises:
        ContentMismatchError: a file changed since it was hashed; the manifest is not stored.
        Error: as `ContentWriter.push` does.
    """
    services.on_event(StepStarted("push", str(made.subject.digest)))
    *blobs, manifest = made.package.contents()
    push_all(services.store, blobs, services.on_event)
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
) -> Built:
    """Build the model in `directory` into the store that `reference_for` names.

    Raises:
        ConflictError: the same version was built there from other inputs.
        Error: as `package` and `push_package` do.
    """
    made = package(directory, environment, on_event, profile=profile)
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
    made = package(directory, environment, services.on_event, profile=profile)
    refuse_other_inputs(services.store, tag, made)
    subject = push_package(made, services)
    services.store.tag(subject, tag)
    return subject
