# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which step of the version a change asks for, and whether the versions take it.

SemVer (https://semver.org/spec/v2.0.0.html) speaks of an API; that of a model is what goes in and
comes out. So: major when the interface, the architecture or the labels change, minor when the model
was trained anew, from other data or to run elsewhere, patch when only its description or its
packaging is another. What cannot be compared is told, and never taken for equal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project import FILE_NAME, Dataset, Project, Tensor, Training
from modelseal.modelpack.semver import SemVer, parse_semver

_SHOWN = 5


class Step(IntEnum):
    """A step of a version, ordered by how much it tells whoever uses the model."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    @property
    def word(self) -> str:
        """How it is written: `minor`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that differs, and the step that it asks for."""

    step: Step
    text: str


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of a model; `kind` is None when nothing says what it is for."""

    digest: str
    kind: LayerKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is known of one model without its weights.

    Attributes:
        version: as it carries it; empty when it carries none.
        files: by path; an archive stands for all that is in it.
        project: its `modelseal.yaml`; None when it has none that can be read.
        labels: what says which label is which, and which architecture, by where it says so.
        config: fields of the config and of the annotations, as `modelseal diff` names them.
    """

    version: str
    files: Mapping[str, FileFact]
    project: Project | None
    labels: Mapping[str, str]
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The step that the changes from one model to another ask for.

    Attributes:
        left: the version before.
        right: the version after.
        step: the largest step that a reason asks for.
        reasons: the largest first.
        gaps: what could not be compared.
        taken: the step from `left` to `right`, in words; empty when one of them is no version.
        fits: whether that is step enough; None when it cannot be told.
        note: why it fits or not, with the version to take.
    """

    left: str
    right: str
    step: Step
    reasons: tuple[Reason, ...]
    gaps: tuple[str, ...]
    taken: str
    fits: bool | None
    note: str


def advise(left: Contents, right: Contents) -> Advice:
    """Compare two models: `right` is to follow `left`."""
    reasons = sorted(
        dict.fromkeys(_reasons(left, right)), key=lambda reason: reason.step, reverse=True
    )
    step = max((reason.step for reason in reasons), default=Step.NONE)
    taken, fits, note = judge(left.version, right.version, step)
    return Advice(
        left=left.version,
        right=right.version,
        step=step,
        reasons=tuple(reasons),
        gaps=tuple(_gaps(left, right)),
        taken=taken,
        fits=fits,
        note=note,
    )


def judge(left: str, right: str, asked: Step) -> tuple[str, bool | None, str]:
    """Return the step from one version to another, whether it is enough, and why.

    Before 1.0.0 a minor step is enough for everything (SemVer, item 4); from a pre-release to
    another of the same version, or to that version, everything may change (item 9).
    """
    before, after = parse_semver(left), parse_semver(right)
    if before is None or after is None:
        side = "neither carries" if before is after else "one of the two does not carry"
        return "", None, f"{side} a SemVer version"
    if after < before:
        return "back", False, f"{right} comes before {left}; name the earlier model first"
    if before == after:
        same = asked is Step.NONE
        note = f"one version stands for two models; take at least {_next(before, asked)}"
        return "none", same, "nothing differs" if same else note
    if before.core == after.core:
        kind = "pre-release" if after.prerelease else "release"
        return kind, True, f"until {_text(before.core)} is released, everything may change"
    taken = _taken(before, after)
    return taken.word, *_enough(before, taken, asked)


def _enough(before: SemVer, taken: Step, asked: Step) -> tuple[bool, str]:
    needed = min(asked, Step.MINOR) if before.major == 0 else asked
    if taken < needed:
        return False, f"take at least {_next(before, asked)}"
    if taken < asked:
        return True, "before 1.0.0 a minor step is enough for every change"
    return True, "more than is asked for" if taken > asked else "as is asked for"


def _taken(before: SemVer, after: SemVer) -> Step:
    if after.major != before.major:
        return Step.MAJOR
    return Step.MINOR if after.minor != before.minor else Step.PATCH


def _next(version: SemVer, asked: Step) -> str:
    major, minor, patch = version.core
    if version.prerelease:
        return _text(version.core)
    if asked is Step.MAJOR and major:
        return _text((major + 1, 0, 0))
    return _text((major, minor, patch + 1) if asked is Step.PATCH else (major, minor + 1, 0))


def _text(core: tuple[int, int, int]) -> str:
    return ".".join(map(str, core))


def _gaps(left: Contents, right: Contents) -> Iterator[str]:
    if left.project is None or right.project is None:
        yield f"without a {FILE_NAME} on both sides nothing tells whether the interface differs"
    elif not any(side.project and side.project.signature.outputs for side in (left, right)):
        yield (
            f"{FILE_NAME} names no inputs and outputs (spec.signature), so that nothing tells "
            "whether the interface differs"
        )


def _reasons(left: Contents, right: Contents) -> Iterator[Reason]:
    if left.project is not None and right.project is not None:
        yield from _of_projects(left.project, right.project)
    else:
        yield from _of_configs(left.config, right.config)
    yield from _of_labels(left.labels, right.labels)
    yield from _of_files(left, right)
    yield from _of_packaging(left.config, right.config)


_INTERFACE = {
    "task": "task",
    "format": "format",
    "family": "family",
    "architecture": "architecture",
}
_ABILITY = {"precision": "precision", "param_size": "number of parameters"}


def _of_projects(left: Project, right: Project) -> Iterator[Reason]:
    for key, word in (*_INTERFACE.items(), *_ABILITY.items()):
        step = Step.MAJOR if key in _INTERFACE else Step.MINOR
        yield from _word(step, word, getattr(left, key), getattr(right, key))
    for side in ("inputs", "outputs"):
        old, new = (getattr(project.signature, side) for project in (left, right))
        yield from _of_tensors(side.removesuffix("s"), old, new)
    yield from _of_training(left.training, right.training)
    for name in _differing(left.requirements, right.requirements):
        yield Reason(Step.MINOR, f"it needs something else to run: {name}")
    for name in _differing(left.metadata, right.metadata):
        if name != "version":
            yield Reason(Step.PATCH, f"the {name} differs")
    known = {*_INTERFACE, *_ABILITY, "signature", "training", "requirements", "metadata", "files"}
    for name in _differing(left, right):
        if name not in known:
            yield Reason(Step.PATCH, f"{FILE_NAME} says something else about {name}")


def _of_tensors(side: str, left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Iterator[Reason]:
    old, new = ({tensor.name: tensor for tensor in tensors} for tensors in (left, right))
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None:
            yield Reason(Step.MAJOR, f"a new {side}: {name}")
        elif after is None:
            yield Reason(Step.MAJOR, f"an {side} less: {name}")
        elif before != after:
            text = f"the {side} {name} was {_form(before)} and is {_form(after)}"
            yield Reason(Step.MAJOR, text)
    if list(old) != list(new) and old.keys() == new.keys():
        yield Reason(Step.MAJOR, f"the {side}s come in another order")


def _form(tensor: Tensor) -> str:
    shape = "" if tensor.shape is None else f"[{', '.join(map(str, tensor.shape))}]"
    return f"{tensor.type}{shape}" or "of no stated type"


def _of_training(left: Training, right: Training) -> Iterator[Reason]:
    for name in _differing(left, right):
        if name == "datasets":
            same = _data(left.datasets) == _data(right.datasets)
            step, text = (
                (Step.PATCH, "the datasets are the same and described otherwise")
                if same
                else (Step.MINOR, "trained on other data")
            )
            yield Reason(step, text)
        elif name in {"approach", "from_scratch", "unseeded"}:
            yield Reason(Step.PATCH, "how it was trained is described otherwise")
        else:
            yield Reason(Step.MINOR, f"trained otherwise: {name}")


def _data(datasets: tuple[Dataset, ...]) -> list[Dataset]:
    """Return what the data are, without what is said about them."""
    bare = Dataset(name="")
    kept = ("name", "version", "digest", "dir_hash")
    return [replace(bare, **{key: getattr(item, key) for key in kept}) for item in datasets]


_CONFIG_STEPS = {
    **{f"config.{key}": Step.MAJOR for key in ("format", "architecture")},
    "descriptor.family": Step.MAJOR,
    "config.precision": Step.MINOR,
    "config.paramSize": Step.MINOR,
    "annotation dev.modelseal.inputs-digest": Step.MINOR,
}


def _of_configs(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Reason]:
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key) and not _is_version(key):
            yield Reason(_CONFIG_STEPS.get(key, Step.PATCH), f"{key} differs")


def _is_version(key: str) -> bool:
    return key in {"descriptor.version", "annotation org.opencontainers.image.version"}


_PACKAGING = {
    "packed as": "it is packed as something else",
    "annotation org.opencontainers.image.created": "it carries another time",
}


def _of_packaging(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Reason]:
    for key, text in _PACKAGING.items():
        if left.get(key) != right.get(key):
            yield Reason(Step.PATCH, text)


def _of_labels(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Reason]:
    for where in sorted(left.keys() & right.keys()):
        if left[where] != right[where]:
            yield Reason(Step.MAJOR, f"{where} differs")
    for where in sorted(left.keys() ^ right.keys()):
        yield Reason(Step.MAJOR, f"only one of the two has {where}")


_KINDS = {
    LayerKind.WEIGHT: (Step.MINOR, "other weights"),
    LayerKind.WEIGHT_CONFIG: (Step.MINOR, "another configuration beside the weights"),
    LayerKind.CODE: (Step.MINOR, "other code"),
    LayerKind.DATASET: (Step.MINOR, "other data"),
    LayerKind.DOC: (Step.PATCH, "other documents"),
    None: (Step.MINOR, "other files"),
}


def _of_files(left: Contents, right: Contents) -> Iterator[Reason]:
    if left.config.get("packed as") != right.config.get("packed as"):
        return  # archives and files have other digests, whatever is in them
    by_project = left.project is not None and right.project is not None
    changed: dict[LayerKind | None, list[str]] = {}
    for path in sorted(left.files.keys() | right.files.keys()):
        old, new = left.files.get(path), right.files.get(path)
        if old == new or (path == FILE_NAME and by_project and left.project != right.project):
            continue  # or it is compared field by field
        kind = new.kind if new is not None else old.kind if old is not None else None
        changed.setdefault(kind, []).append(path)
    for kind, paths in changed.items():
        step, text = _KINDS[kind]
        yield Reason(step, f"{text}: {_listed(paths)}")


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _word(step: Step, what: str, left: str, right: str) -> Iterator[Reason]:
    if left != right:
        yield Reason(step, f"the {what} was {left or 'not named'} and is {right or 'not named'}")


def _differing(left: Any, right: Any) -> list[str]:  # noqa: ANN401 - two of one dataclass
    return [
        field.name
        for field in fields(left)
        if getattr(left, field.name) != getattr(right, field.name)
    ]
