# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where the code comes from, in words, and what contradicts what `modelseal.yaml` says."""

from collections.abc import Iterator, Sequence
from typing import Final

from modelseal.evidence.builder import Builder
from modelseal.evidence.completeness import lines_to_add
from modelseal.evidence.facts import Basis, Fact, Finding, Level
from modelseal.evidence.source.remotes import same_repository
from modelseal.evidence.source.working_tree import NoWorkingTree, Relation, WorkingTree
from modelseal.modelpack.project import FILE_NAME, Code

_TOPIC: Final = "code"
_WHERE: Final = f"{FILE_NAME}: spec.training.code"
_MOST: Final = 5


def facts(tree: WorkingTree | NoWorkingTree, code: Code | None) -> Iterator[Fact]:
    """Yield what is known about the code."""
    if code is not None:
        same = isinstance(tree, WorkingTree) and tree.relation is Relation.SAME
        checked = ", which is what is checked out" if same else ""
        text = f"trained by {code.repository} at commit {code.commit}{checked}"
        yield Fact(_TOPIC, text, Basis.VERIFIED if same else Basis.DECLARED)
    if isinstance(tree, NoWorkingTree):
        yield Fact(_TOPIC, tree.why, Basis.VERIFIED)
        return
    branch = f" on {tree.ref.removeprefix('refs/heads/')}" if tree.ref else ""
    remote = f" of {tree.remote}" if tree.remote else ""
    text = f"working tree: commit {tree.commit}{branch}{remote}, {_state(tree)}"
    yield Fact(_TOPIC, text, Basis.VERIFIED)


def _state(tree: WorkingTree) -> str:
    if tree.unknown:
        return f"and what differs from it is not known: {tree.unknown}"
    if tree.clean:
        return "and nothing differs from it"
    counts = (
        (len(tree.changed), "tracked files differ from it"),
        (len(tree.untracked), "files beside the model are in no commit"),
        (len(tree.not_compared), "files go through a filter and were not compared"),
    )
    return "; ".join(f"{count} {what}" for count, what in counts if count)


def findings(
    tree: WorkingTree | NoWorkingTree, code: Code | None, builder: Builder
) -> Iterator[Finding]:
    """Yield what contradicts itself, or is in no commit."""
    if isinstance(tree, NoWorkingTree):
        if not tree.is_missing:
            yield Finding(id="working-tree-unknown", message=tree.why)
        return
    yield from _uncommitted(tree)
    if code is not None:
        yield from _contradictions(tree, code)
    if builder.source_commit and builder.source_commit != tree.commit:
        yield Finding(
            id="ci-commit-contradicts",
            message=f"{builder.system} says that it checked out {builder.source_commit}, and the "
            f"working tree is at {tree.commit}",
            hint="check out in the job what is to be built, and nothing else afterwards",
        )


def _uncommitted(tree: WorkingTree) -> Iterator[Finding]:
    if tree.unknown:
        yield Finding(
            id="working-tree-unknown",
            message=f"it is not known what differs from commit {tree.commit}: {tree.unknown}",
        )
    if tree.changed:
        yield Finding(
            id="working-tree-dirty",
            message=f"what was built from is in no commit: {_named(tree.changed)} differ from "
            f"{tree.commit}",
            hint="commit the changes, and build again",
        )
    if tree.untracked:
        yield Finding(
            id="untracked-files",
            level=Level.NOTE,
            message=f"in no commit, and not ignored: {_named(tree.untracked)}",
            hint="commit what has to do with the model, and let .gitignore name the rest",
        )
    if tree.not_compared:
        yield Finding(
            id="files-not-compared",
            level=Level.NOTE,
            message=f"kept by git through a filter, which is not run: {_named(tree.not_compared)}",
            hint="git status tells whether they differ from what was committed",
        )


def _contradictions(tree: WorkingTree, code: Code) -> Iterator[Finding]:
    if tree.remote and not same_repository(tree.remote, code.repository):
        yield Finding(
            id="code-is-elsewhere",
            level=Level.NOTE,
            where=_WHERE,
            message=f"the code is in {code.repository}, and the model stands in a working tree of "
            f"{tree.remote}: the commit cannot be compared",
            hint="none, if both are right",
        )
        return
    value = f"{{repository: {code.repository!r}, commit: {tree.commit}}}"
    if tree.relation is Relation.EARLIER:
        yield Finding(
            id="code-commit-is-earlier",
            level=Level.NOTE,
            where=_WHERE,
            message=f"the code is said to be commit {code.commit}, and {tree.commit}, which came "
            "after it, is checked out",
            hint="none, if the model was trained at that commit",
        )
    elif tree.relation in {Relation.OTHER, Relation.ABSENT}:
        how = "not among its ancestors" if tree.relation is Relation.OTHER else "not in it"
        yield Finding(
            id="code-commit-contradicts",
            level=Level.ERROR,
            where=_WHERE,
            message=f"the code is said to be commit {code.commit}, and the working tree is at "
            f"{tree.commit}; the former is {how}",
            add=lines_to_add("spec.training.code", value) if tree.clean else "",
            hint="check out the commit that trained the model, and build there",
        )
    elif tree.relation is Relation.UNKNOWN:
        yield Finding(
            id="code-commit-not-compared",
            level=Level.NOTE,
            where=_WHERE,
            message=f"whether commit {code.commit} belongs to what is checked out is not known: "
            "the clone is shallow",
            hint="fetch its history: git fetch --unshallow, or fetch-depth: 0",
        )


def _named(paths: Sequence[str]) -> str:
    told = ", ".join(paths[:_MOST])
    return told if len(paths) <= _MOST else f"{told} and {len(paths) - _MOST} more"
