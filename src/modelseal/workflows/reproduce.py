# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reproduce: build a published model again, and name everything in which the two differ.

How it was built (profile, time, version of this tool) is read from its provenance. What nobody has
verified is called claimed; it decides nothing, because the digests decide.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelseal.attest.predicates.types import PROVENANCE
from modelseal.modelpack.build import Profile
from modelseal.modelpack.config import SOURCE_DATE_EPOCH
from modelseal.modelpack.digests import DigestCache
from modelseal.modelpack.media_types import CREATED, FILEPATH, INPUTS_DIGEST
from modelseal.modelpack.project import FILE_NAME
from modelseal.modelpack.readers.families import Family, family_of
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ReadableStore
from modelseal.version import __version__
from modelseal.workflows.choose import choose
from modelseal.workflows.diff import Change, Side, diff
from modelseal.workflows.events import EventSink
from modelseal.workflows.inspect import claims_about
from modelseal.workflows.local import store_of
from modelseal.workflows.package import package
from modelseal.workflows.services import Clock
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model was built, as far as it is told.

    Attributes:
        verified: whether a believed signer says so.
        signer: who says so; empty when no provenance was found.
        builder: `runDetails.builder.id`; empty when it is not told.
        modelseal: the version of this tool that built it; empty when it is not told.
        profile: what kind of artifact.
        time: what stands in it as `SOURCE_DATE_EPOCH`; None for no time.
    """

    verified: bool
    signer: str
    builder: str
    modelseal: str
    profile: Profile
    time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as published; an empty side does not have it."""

    part: str
    """`file`, `layer`, `config`, `annotation` or `manifest`."""
    name: str
    published: str
    rebuilt: str
    likely: str
    """The likely reason, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A published manifest, what the directory gives now, and in what the two differ."""

    published: Descriptor
    rebuilt: Descriptor
    recipe: Recipe
    profile: Profile
    """What it was packed as here."""
    differences: tuple[Difference, ...]

    @property
    def reproduced(self) -> bool:
        """Whether it is the same manifest, byte for byte."""
        return self.published.digest == self.rebuilt.digest


def reproduce(
    directory: Path,
    name: str | Digest,
    store: ReadableStore,
    *,
    trust: Trust | None,
    environment: Mapping[str, str],
    on_event: EventSink,
    clock: Clock,
    profile: Profile | None = None,
    digests: DigestCache | None = None,
) -> Reproduction:
    """Build the model in `directory` as `name` was built, and compare. Nothing is stored.

    Args:
        directory: the model directory.
        name: of the published model in `store`.
        store: where it is.
        trust: who is believed about how it was built; None believes nobody, and says so.
        environment: of the process; a `SOURCE_DATE_EPOCH` in it is taken instead of the model's.
        on_event: told about progress.
        clock: tells the time, for `trust`.
        profile: what to pack it as, instead of what it was packed as.
        digests: of files that need not be read again.

    Raises:
        NotVerifiedError, PolicyDeniedError: nobody of `trust` says how it was built.
        Error: as `choose` and `package` do.
    """
    chosen = choose(name, store)
    published = chosen.manifest
    recipe = _recipe(store, chosen.subject, published, trust, clock)
    kind = profile or recipe.profile
    again = dict(environment)
    if SOURCE_DATE_EPOCH not in again and recipe.time is not None:
        again[SOURCE_DATE_EPOCH] = str(int(recipe.time.timestamp()))
    made = package(directory, again, on_event, profile=kind, digests=digests).package
    differences: tuple[Difference, ...] = ()
    if made.descriptor.digest != chosen.subject.digest:
        comparison = diff(
            Side(store=store, name=chosen.subject.digest),
            Side(store=store_of(made), name=made.descriptor.digest, published=False),
        )
        rebuilt = made.manifest
        told = _Reasons(recipe, {change.name for change in comparison.files}, published, rebuilt)
        differences = (
            *_named("file", comparison.files if told.same_family else (), told.of_file),
            *_named("layer", _layers(published, rebuilt), told.of_layer),
            *_of_config(comparison.config, told),
        ) or (told.of_bytes(),)
    return Reproduction(
        published=chosen.subject,
        rebuilt=made.descriptor,
        recipe=recipe,
        profile=kind,
        differences=differences,
    )


def _recipe(
    store: ReadableStore,
    subject: Descriptor,
    manifest: Manifest,
    trust: Trust | None,
    clock: Clock,
) -> Recipe:
    found: list[tuple[str, Mapping[str, Any]]]
    if trust is not None:
        verified = verify(subject.digest, trust, store=store, clock=clock).statements
        found = [(str(s.signer), s.predicate) for s in verified if s.predicate_type == PROVENANCE]
    else:
        claimed = [claim.statement for claim in claims_about(store, subject)]
        found = [
            (said.signer, said.predicate)
            for said in claimed
            if said.predicate_type == PROVENANCE and str(subject.digest) in said.subjects
        ]
    signer, predicate = found[0] if found else ("", {})
    builder = _mapping(_mapping(predicate, "runDetails"), "builder")
    parameters = _mapping(_mapping(predicate, "buildDefinition"), "externalParameters")
    default = "image" if family_of(manifest) is Family.IMAGE else "modelpack"
    profile = parameters.get("profile", default)
    return Recipe(
        verified=trust is not None and bool(found),
        signer=signer,
        builder=_text(builder, "id"),
        modelseal=_text(_mapping(builder, "version"), "modelseal"),
        profile=Profile(profile if profile in set(Profile) else default),
        time=_time(manifest.annotations.get(CREATED, "")),
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def _named(
    part: str, changes: tuple[Change, ...], likely: Callable[[Change], str]
) -> Iterator[Difference]:
    for change in changes:
        yield Difference(
            part=part,
            name=change.name,
            published=change.left,
            rebuilt=change.right,
            likely=likely(change),
        )


def _of_config(changes: tuple[Change, ...], told: "_Reasons") -> Iterator[Difference]:
    for change in changes:
        head, _, name = change.name.partition(" ")
        part = head if head == "annotation" else "config"
        if change.name in {"packed as", "artifact type", "config type"}:
            part = "manifest"
        short = Change(name if part == "annotation" else change.name, change.left, change.right)
        yield from _named(part, (short,), told.of_field)


def _layers(left: Manifest, right: Manifest) -> tuple[Change, ...]:
    """Return in what layers with the same content differ: their types, annotations and order."""
    changes = []
    old, new = ({_key(layer): layer for layer in one.layers} for one in (left, right))
    for key in sorted(old.keys() & new.keys()):
        before, after = old[key], new[key]
        name = before.annotations.get(FILEPATH, str(before.digest))
        pairs = {
            "media type": (before.media_type, after.media_type),
            **{
                f"annotation {word}": (
                    before.annotations.get(word, ""),
                    after.annotations.get(word, ""),
                )
                for word in sorted(before.annotations.keys() | after.annotations.keys())
            },
        }
        changes += [
            Change(f"{name}: {what}", *pair) for what, pair in pairs.items() if len(set(pair)) > 1
        ]
    orders = [[str(layer.digest) for layer in one.layers] for one in (left, right)]
    if orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]):
        changes.append(Change("order", *(", ".join(order) for order in orders)))
    return tuple(changes)


def _key(layer: Descriptor) -> tuple[str, str]:
    return layer.annotations.get(FILEPATH, ""), str(layer.digest)


class _Reasons:
    """Why something is likely to differ."""

    def __init__(
        self, recipe: Recipe, files: set[str], published: Manifest, rebuilt: Manifest
    ) -> None:
        families = [family_of(published), family_of(rebuilt)]
        self.same_family = families[0] is families[1]
        self._profile = f"it was packed as {families[0]}, and here as {families[1]}"
        self._project = FILE_NAME in files
        self._files = bool(files - {FILE_NAME})
        self._times = [one.annotations.get(CREATED, "") for one in (published, rebuilt)]
        self._tool = "another tool built it, or another version of modelseal"
        if recipe.modelseal and recipe.modelseal != __version__:
            self._tool = f"modelseal {recipe.modelseal} built it, and this is {__version__}"
        elif recipe.modelseal:
            self._tool = f"modelseal {__version__} built it, as here: it was changed since"

    def of_file(self, change: Change) -> str:
        if not change.left:
            return "it is new in the directory, or spec.files left it out"
        if not change.right:
            return "it is no longer in the directory, or spec.files leaves it out"
        return "the file was changed since"

    def of_layer(self, change: Change) -> str:
        if self._project and change.name.endswith(("media type", "mediatype.untested")):
            return f"{FILE_NAME} was changed: spec.files gives it another kind"
        return self._tool

    def of_field(self, change: Change) -> str:
        if change.name in {CREATED, "descriptor.createdAt", "created"}:
            was, here = (f"is {time}" if time else "is not set" for time in self._times)
            return f"SOURCE_DATE_EPOCH {was.replace('is', 'was', 1)} then, and {here} here"
        if not self.same_family:
            return self._profile
        if change.name == INPUTS_DIGEST:
            return "it follows from the other inputs" if self._files else self._of_inputs()
        return f"{FILE_NAME} was changed" if self._project else self._tool

    def of_bytes(self) -> Difference:
        return Difference(
            part="manifest",
            name="bytes",
            published="",
            rebuilt="",
            likely=f"it says the same in other bytes: {self._tool}",
        )

    def _of_inputs(self) -> str:
        if self._project:
            return f"an input that {FILE_NAME} names was changed"
        return f"a file that {FILE_NAME} names and leaves out of the artifact was changed"


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
