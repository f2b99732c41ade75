# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A signed list of files compared with a manifest's layers, or with a directory.

Source: OpenSSF Model Signing v1.0, sections 6.3 and 8.4.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from modelseal.attest.predicates.oms import SHA256, Method, OmsPredicate, Resource
from modelseal.errors import VerificationError
from modelseal.modelpack.tree import HASHES, Part, hash_parts, list_files
from modelseal.oci.descriptor import Descriptor

Hidden: TypeAlias = Callable[[str], bool]
"""Tells of a path whether nobody asks if it is signed."""

_SHOWN = 5
_PULL = "pull the model, and verify the directory: modelseal verify DIR --oms"


@dataclass(frozen=True, slots=True)
class Comparison:
    """In what files differ from a signed list: each a sorted tuple of paths."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    unsigned: tuple[str, ...]

    def check(self, *, ignore_unsigned: bool) -> None:
        """Refuse what differs.

        Raises:
            VerificationError: `changed-file`, `missing-file` or `unsigned-file`; the message
                tells all of it.
        """
        extra = () if ignore_unsigned else self.unsigned
        told = [
            _told(text, paths)
            for text, paths in (
                ("changed since it was signed", self.changed),
                ("signed and not there", self.missing),
                ("there and not signed", extra),
            )
            if paths
        ]
        if told:
            code = "changed-file" if self.changed else "missing-file" if self.missing else _UNSIGNED
            raise VerificationError(
                f"the files are not those that were signed: {'; '.join(told)}",
                hint="fetch the model again, or sign it anew; --ignore-path PATH or "
                "--ignore-unsigned-files if files were added on purpose",
                code=code,
            )


_UNSIGNED = "unsigned-file"


def compare_layers(
    predicate: OmsPredicate, layers: Mapping[str, Descriptor], hidden: Hidden
) -> Comparison:
    """Compare a signed list with the layers that are files, by their paths; nothing is read.

    Raises:
        VerificationError: `not-comparable`: the list has other digests than layers have.
    """
    if predicate.hash_type != SHA256:
        raise VerificationError(
            f"the files were hashed with {predicate.hash_type}; layers have SHA-256 digests",
            hint=_PULL,
            code="not-comparable",
        )
    by_path = _by_path(predicate)
    changed = []
    for path in by_path.keys() & layers.keys():
        resource, layer = by_path[path][0], layers[path]
        if resource.end is not None and (len(by_path[path]) > 1 or resource.end != layer.size):
            raise VerificationError(
                f"{path!r} was signed in parts of {predicate.shard_size} bytes, of which layers "
                "have no digests",
                hint=_PULL,
                code="not-comparable",
            )
        if resource.start or layer.digest.encoded != resource.digest:
            changed.append(path)
    sizes = {path: layer.size for path, layer in layers.items()}
    return _compared(predicate, changed, sizes, hidden)


def compare_tree(
    predicate: OmsPredicate, top: Path, hidden: Hidden, *, follow_links: bool
) -> Comparison:
    """Compare a signed list with the files below `top`, reading those that are signed.

    Raises:
        VerificationError: `not-comparable`: a hash that is not computed here.
        InvalidProjectError, LimitExceededError, StorageError: as `list_files`, `hash_parts`.
    """
    if predicate.hash_type not in HASHES:
        raise VerificationError(
            f"the files were hashed with {predicate.hash_type}, which is not computed here",
            hint="ask the signer for sha256, which every implementation has",
            code="not-comparable",
        )
    by_path = _by_path(predicate)
    # What is signed is looked at even where it, or a directory above it, is left out.
    looked_at = {top for path in by_path for top in _with_parents(path)}
    sizes = list_files(
        top, skips=lambda path: hidden(path) and path not in looked_at, follow_links=follow_links
    )
    there = [path for path in by_path if path in sizes]
    changed = {path for path in there if not _is_whole(predicate, by_path[path], sizes[path])}
    parts = [
        (Part(resource.path, resource.start, resource.end), resource.digest)
        for path in there
        if path not in changed
        for resource in by_path[path]
    ]
    digests = hash_parts(
        top, [part for part, _ in parts], predicate.hash_type, follow_links=follow_links
    )
    for (part, signed), digest in zip(parts, digests, strict=True):
        if digest != signed:
            changed.add(part.path)
    return _compared(predicate, changed, sizes, hidden)


def _compared(
    predicate: OmsPredicate, changed: Collection[str], sizes: Mapping[str, int], hidden: Hidden
) -> Comparison:
    signed = {resource.path for resource in predicate.resources}
    # A list of parts has no way to say that an empty file is there (6.3.2).
    least = 1 if predicate.method is Method.SHARDS else 0
    unsigned = {
        path
        for path, size in sizes.items()
        if path not in signed and size >= least and not hidden(path)
    }
    return Comparison(
        tuple(sorted(changed)), tuple(sorted(signed - sizes.keys())), tuple(sorted(unsigned))
    )


def _by_path(predicate: OmsPredicate) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for resource in predicate.resources:
        found.setdefault(resource.path, []).append(resource)
    return found


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _is_whole(predicate: OmsPredicate, resources: Sequence[Resource], size: int) -> bool:
    """Tell whether parts are all of a file of `size` bytes, cut as the signature says."""
    if predicate.method is Method.FILES:
        return True
    bounds = sorted((resource.start, resource.end or 0) for resource in resources)
    cuts = range(0, size, predicate.shard_size)
    return len(bounds) == len(cuts) and all(
        bound == (cut, min(cut + predicate.shard_size, size))
        for bound, cut in zip(bounds, cuts, strict=True)
    )


def _told(text: str, paths: Sequence[str]) -> str:
    names = ", ".join(repr(path) for path in paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"{text}: {names}{more}"
