# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Copy: a model, and with `recursive` all that was said about it, from any store to any others.

The steps are those of docs/copying.md, in its order and numbering.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelseal.errors import ConflictError, Error
from modelseal.oci.copy import Destination, Outcome, copy_graph
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.graph import Graph, Unreadable, read_graph, select_platform
from modelseal.oci.reference import (
    DigestReference,
    Location,
    Reference,
    Repository,
    TagReference,
    check_tag,
)
from modelseal.oci.store import ReadableStore, Store
from modelseal.workflows.events import EventSink, StepFinished, StepStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a copy goes: a reference, and the store at its location."""

    reference: Reference
    store: Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What became of one destination."""

    reference: Reference
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied, and where to.

    Attributes:
        subject: the manifest or index; it has the same digest everywhere.
        referrers: the manifests about it, and about those, that went along.
        unreadable: referrers that the source lists and that could not go along.
        left_out: how many referrers stayed behind because nobody asked for them; None when that
            could not be told.
        arrivals: each destination, in the order in which they were named.
    """

    subject: Descriptor
    referrers: tuple[Descriptor, ...]
    unreadable: tuple[Unreadable, ...]
    left_out: int | None
    arrivals: tuple[Arrival, ...]


class IncompleteCopyError(Error):
    """Some of several destinations could not be served; `copied.arrivals` says which and why."""

    code = "incomplete-copy"

    def __init__(self, copied: Copied) -> None:
        """Count who failed."""
        failed = [arrival for arrival in copied.arrivals if arrival.outcome.error is not None]
        super().__init__(
            f"{len(failed)} of {len(copied.arrivals)} destinations failed: "
            + ", ".join(str(arrival.reference) for arrival in failed),
            hint="copy again: what arrived is not sent twice",
        )
        self.copied = copied

    @property
    def first(self) -> Error:
        """The first failure."""
        return next(one.outcome.error for one in self.copied.arrivals if one.outcome.error)


def copy(
    name: str | Digest,
    source: ReadableStore,
    location: Location,
    targets: Sequence[Target],
    *,
    recursive: bool,
    on_event: EventSink,
    platform: str = "",
) -> Copied:
    """Copy what `name` points at in `source` to every target, bytes unchanged.

    Args:
        name: a tag or a digest.
        source: where it is.
        location: of `source`; blobs are mounted from there within one registry.
        targets: at least one.
        recursive: with everything that speaks about it: signatures, attestations.
        on_event: told about progress, from several threads.
        platform: only this one of an index, `os/architecture[/variant]`.

    Raises:
        IncompleteCopyError: some of several targets failed.
        Error: of the only target, or of the source.
    """
    # (1) Resolve once. From here on only the digest counts, so a tag that moves changes nothing.
    on_event(StepStarted("copy", f"{location}"))
    root = source.resolve(name)
    if platform:
        root = select_platform(source, root, platform)
    _check_digests(root, targets)

    # (2) Read all manifests first. What cannot be copied whole is refused before a blob moves.
    graph = read_graph(source, root, recursive=recursive)

    # (3) Move the blobs: what is there is skipped, what a registry can mount is mounted, the rest
    #     is read once for all targets and verified on its way.
    # (4) Push manifests after what they refer to; and who speaks about one after that one.
    # (5) Tag last, at each target for itself.
    outcomes = copy_graph(
        source, graph, [_destination(target, location) for target in targets], on_event
    )
    copied = _copied(graph, targets, outcomes)
    on_event(StepFinished("copy", str(root.digest)))
    _raise_failures(copied)
    return copied


def retag(store: Store, name: str | Digest, tag: str) -> Descriptor:
    """Point `tag` at what `name` points at; return that. Raises `NotFoundError`."""
    check_tag(tag)
    subject = store.resolve(name)
    store.tag(subject, tag)
    return subject


def _check_digests(root: Descriptor, targets: Sequence[Target]) -> None:
    for target in targets:
        wanted = target.reference
        if isinstance(wanted, DigestReference) and wanted.digest != root.digest:
            raise ConflictError(
                f"{wanted} cannot be the place of {root.digest}",
                hint=f"a digest is not chosen: write {wanted.location}:<tag>, or {root.digest}",
            )


def _destination(target: Target, source: Location) -> Destination:
    where = target.reference
    same_registry = (
        isinstance(source, Repository)
        and isinstance(where.location, Repository)
        and source.registry == where.location.registry
    )
    return Destination(
        store=target.store,
        tag=where.tag if isinstance(where, TagReference) else "",
        neighbour=source if same_registry and isinstance(source, Repository) else None,
    )


def _copied(graph: Graph, targets: Sequence[Target], outcomes: Sequence[Outcome]) -> Copied:
    return Copied(
        subject=graph.root,
        referrers=graph.referrers,
        unreadable=graph.unreadable,
        left_out=graph.left_out,
        arrivals=tuple(
            Arrival(reference=target.reference, outcome=outcome)
            for target, outcome in zip(targets, outcomes, strict=True)
        ),
    )


def _raise_failures(copied: Copied) -> None:
    errors = [arrival.outcome.error for arrival in copied.arrivals if arrival.outcome.error]
    if not errors:
        return
    if len(copied.arrivals) == 1:
        raise errors[0]
    raise IncompleteCopyError(copied)
