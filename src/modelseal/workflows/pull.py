# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Pull: verify first when told who may sign, then write.

The steps are those of docs/pulling.md, in its order and numbering.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelseal.modelpack.readers.families import layers_of
from modelseal.modelpack.readers.layer import Layer
from modelseal.modelpack.selection import ALL_FILES, Selection
from modelseal.modelpack.unpack import ModelFile, unpack_layers
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.events import TransferPlanned
from modelseal.workflows.blobs import WORKERS, here, reader_of, tidy
from modelseal.workflows.choose import Chosen, choose
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.services import Services

if TYPE_CHECKING:  # who pulls what nobody vouches for does not import what verifies
    from modelseal.workflows.trust import Trust
    from modelseal.workflows.verify import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledModel:
    """A model on disk.

    Attributes:
        path: the directory.
        subject: the manifest whose files these are.
        index: the index that it was chosen from, if there is one.
        files: what was written.
        verification: None when nobody said who may sign; its `subject` is `index` when somebody
            vouches for that, and not for this manifest alone.
    """

    path: Path
    subject: Descriptor
    index: Descriptor | None
    files: tuple[ModelFile, ...]
    verification: "Verification | None"


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer that a pull would write; `here` says how many of its bytes need no fetching."""

    layer: Layer
    here: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPlan:
    """What a pull would do.

    Attributes:
        subject: the manifest whose files these would be.
        index: the index that it was chosen from, if there is one.
        layers: what would be written.
        verification: None when nobody said who may sign.
    """

    subject: Descriptor
    index: Descriptor | None
    layers: tuple[PlannedLayer, ...]
    verification: "Verification | None"

    @property
    def size(self) -> int:
        """The bytes of all layers."""
        return sum(planned.layer.descriptor.size for planned in self.layers)

    @property
    def missing(self) -> int:
        """The bytes that would be fetched."""
        return self.size - sum(planned.here for planned in self.layers)


@dataclass(frozen=True, slots=True)
class _Found:
    chosen: Chosen
    layers: tuple[Layer, ...]
    verification: "Verification | None"


def _looked_at(
    name: str | Digest,
    trust: "Trust | None",
    services: Services,
    platform: str,
    selection: Selection,
) -> _Found:
    # (1) Resolve once, and (2) verify by digest: a tag that moves now changes nothing.
    verification = None
    if trust is not None:
        from modelseal.workflows.verify import verify_model

        services.on_event(StepStarted("verify", str(name)))
        chosen, verification = verify_model(
            name, trust, store=services.store, clock=services.clock, platform=platform
        )
        services.on_event(StepFinished("verify", f"{len(verification.statements)} statements"))
    else:
        chosen = choose(name, services.store, platform)

    # (3) Check every name that the manifest tells before the first byte is fetched.
    layers = layers_of(services.store, chosen.manifest)

    # (4) Leave out what nobody asked for.
    return _Found(chosen, selection.layers(layers), verification)


def pull(
    name: str | Digest,
    output: Path,
    *,
    trust: "Trust | None",
    services: Services,
    overwrite: bool = False,
    platform: str = "",
    selection: Selection = ALL_FILES,
) -> PulledModel:
    """Write the files of the model that `name` points at to `output`.

    Of an index, those of one platform are written (`choose`).

    Raises:
        NotVerifiedError, PolicyDeniedError: before a byte of the model was fetched.
        ContentMismatchError, UnsafePathError, ConflictError, StorageError: nothing appears in
            `output` then.
    """
    found = _looked_at(name, trust, services, platform, selection)

    # (5) Fetch; a file gets its final name only after its digest matched.
    services.on_event(StepStarted("pull", f"{len(found.layers)} layers"))
    size = sum(layer.descriptor.size for layer in found.layers)
    services.on_event(TransferPlanned(len(found.layers), size))
    files = unpack_layers(
        reader_of(services),
        found.layers,
        output,
        overwrite=overwrite,
        selection=selection,
        workers=WORKERS,
    )
    tidy(services.cache)
    services.on_event(StepFinished("pull", str(output)))
    return PulledModel(
        path=output,
        subject=found.chosen.subject,
        index=found.chosen.index,
        files=files,
        verification=found.verification,
    )


def plan_pull(
    name: str | Digest,
    *,
    trust: "Trust | None",
    services: Services,
    platform: str = "",
    selection: Selection = ALL_FILES,
) -> PullPlan:
    """Return what `pull` would do, with the same checks before; nothing is written.

    Raises:
        Error: as `pull` does before it fetches.
    """
    found = _looked_at(name, trust, services, platform, selection)
    return PullPlan(
        subject=found.chosen.subject,
        index=found.chosen.index,
        layers=tuple(
            PlannedLayer(layer, here(services, layer.descriptor)) for layer in found.layers
        ),
        verification=found.verification,
    )
