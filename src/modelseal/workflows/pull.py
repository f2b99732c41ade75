# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Pull: verify first when told who may sign, then write.

The steps are those of docs/pulling.md, in its order and numbering.
"""

from dataclasses import dataclass
from pathlib import Path

from modelseal.modelpack.readers.families import layers_of
from modelseal.modelpack.unpack import ModelFile, unpack_layers
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.workflows.choose import choose
from modelseal.workflows.blobs import WORKERS, reader_of, tidy
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.services import Services
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import Verification, verify_model


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
    verification: Verification | None


def pull(
    name: str | Digest,
    output: Path,
    *,
    trust: Trust | None,
    services: Services,
    overwrite: bool = False,
    platform: str = "",
) -> PulledModel:
    """Write the files of the model that `name` points at to `output`.

    Of an index, those of one platform are written (`choose`).

    Raises:
        NotVerifiedError, PolicyDeniedError: before a byte of the model was fetched.
        ContentMismatchError, UnsafePathError, ConflictError, StorageError: nothing appears in
            `output` then.
    """
    # (1) Resolve once, and (2) verify by digest: a tag that moves now changes nothing.
    verification = None
    if trust is not None:
        services.on_event(StepStarted("verify", str(name)))
        chosen, verification = verify_model(
            name, trust, store=services.store, clock=services.clock, platform=platform
        )
        services.on_event(StepFinished("verify", f"{len(verification.statements)} statements"))
    else:
        chosen = choose(name, services.store, platform)

    # (3) Check every name that the manifest tells before the first byte is fetched.
    layers = layers_of(services.store, chosen.manifest)

    # (4) Fetch; a file gets its final name only after its digest matched.
    services.on_event(StepStarted("pull", f"{len(layers)} layers"))
    reader = reader_of(services)
    files = unpack_layers(reader, layers, output, overwrite=overwrite, workers=WORKERS)
    tidy(services.cache)
    services.on_event(StepFinished("pull", str(output)))
    return PulledModel(
        path=output,
        subject=chosen.subject,
        index=chosen.index,
        files=files,
        verification=verification,
    )
