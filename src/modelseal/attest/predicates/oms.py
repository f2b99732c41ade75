# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The predicate of an OMS signature: which files a model has, with the digest of each.

Source: OpenSSF Model Signing specification v1.0, sections 5, 6 and 7, and its JSON schemas. What is
read here was signed by somebody; who that is, and whether files are as it says, stands elsewhere.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest

DEFAULT_IGNORED: Final = (".git", ".gitattributes", ".github", ".gitignore")
"""Left out at the top of a model, always (section 6.2)."""

MAX_RESOURCES: Final = 100_000
"""Most files, or parts of files, that one OMS signature may list."""

MAX_IGNORED: Final = 1_000
"""Most paths that one OMS signature may leave out."""

SHA256: Final = "sha256"
_HEX_DIGITS = {SHA256: 64, "blake2b": 128, "blake3": 64}
_HEX = re.compile(r"[0-9a-f]+")
_PART = re.compile(r"(.+):(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18})", re.DOTALL)
_GLOB = frozenset("*?[")


class Method(StrEnum):
    """How files became resources."""

    FILES = "files"
    SHARDS = "shards"


@dataclass(frozen=True, slots=True)
class Resource:
    """A file, or the bytes `start` to `end` of one; `end` is None for a whole file."""

    path: str
    digest: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmsPredicate:
    """What an OMS signature says about the files of a model.

    Attributes:
        resources: in the signature's order.
        method: whole files, or parts of them.
        hash_type: of every digest: `sha256`, `blake2b` or `blake3`.
        shard_size: bytes of a part; 0 for whole files.
        allow_symlinks: whether the signer followed links.
        ignore_paths: what the signer left out, besides `DEFAULT_IGNORED`.
    """

    resources: tuple[Resource, ...]
    method: Method
    hash_type: str
    shard_size: int
    allow_symlinks: bool
    ignore_paths: tuple[str, ...]

    def ignores(self, path: str) -> bool:
        """Tell whether the signer left out a path, or a directory above it."""
        return is_below(path, (*DEFAULT_IGNORED, *self.ignore_paths))


def is_below(path: str, tops: Iterable[str]) -> bool:
    """Tell whether `path` is one of `tops`, or below one: exact paths, no patterns (6.2.1)."""
    return any(path == top or path.startswith(f"{top}/") for top in tops)


def build_predicate(files: Mapping[str, Digest]) -> dict[str, Any]:
    """Return the predicate about whole files, by their SHA-256 digests.

    Args:
        files: safe paths with `/`, and the digest of each file.

    Raises:
        VerificationError: nothing is left to be signed, or a digest is no SHA-256.
    """
    listed = {path: files[path] for path in sorted(files) if not is_below(path, DEFAULT_IGNORED)}
    if not listed:
        _broken("it would list no file")
    if any(digest.algorithm != SHA256 for digest in listed.values()):
        _broken("a file's digest is not SHA-256")
    return {
        "resources": [
            {"name": path, "algorithm": SHA256, "digest": digest.encoded}
            for path, digest in listed.items()
        ],
        "serialization": {
            "method": str(Method.FILES),
            "hash_type": SHA256,
            "allow_symlinks": False,
            "ignore_paths": list(DEFAULT_IGNORED),
        },
    }


def root_digest(predicate: Mapping[str, Any]) -> Digest:
    """Return the digest that names the model: over the digests in their order (6.5.1).

    It is SHA-256 whatever `hash_type` says. Raises `VerificationError` as `parse_predicate` does.
    """
    hasher = hashlib.sha256()
    for resource in _list(predicate.get("resources"), "resources", MAX_RESOURCES):
        hasher.update(bytes.fromhex(_digest(resource)))
    return Digest(SHA256, hasher.hexdigest())


def parse_predicate(predicate: Mapping[str, Any], root: Digest) -> OmsPredicate:
    """Read a signed predicate strictly.

    Args:
        predicate: as it was signed.
        root: the digest that the statement's subject has.

    Raises:
        VerificationError: `broken-oms-signature`: not of the schema, not in order, a name twice,
            mixed digests, or a root digest that is not that of the resources.
    """
    _known(predicate, {"resources", "serialization"}, "the predicate")
    how = predicate.get("serialization")
    if not isinstance(how, dict):
        _broken("serialization is not an object")
    keys = {"method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths"}
    _known(how, keys, "serialization")
    method, shard_size = _method(how)
    hash_type = how.get("hash_type")
    if not isinstance(hash_type, str) or hash_type not in _HEX_DIGITS:
        _broken(f"hash_type is none of {', '.join(_HEX_DIGITS)}")
    if not isinstance(how.get("allow_symlinks"), bool):
        _broken("allow_symlinks is not true or false")
    listed = _list(predicate.get("resources"), "resources", MAX_RESOURCES)
    if not listed:
        _broken("it lists no file")
    resources = tuple(_resource(item, method, hash_type) for item in listed)
    _check_order([str(item["name"]) for item in listed], resources)
    if root_digest(predicate) != root:
        _broken(f"its files have another root digest than {root}, which it names")
    return OmsPredicate(
        resources=resources,
        method=method,
        hash_type=hash_type,
        shard_size=shard_size,
        allow_symlinks=how["allow_symlinks"],
        ignore_paths=_ignored(how.get("ignore_paths", [])),
    )


def check_ignored(path: str) -> str:
    """Return a path to leave out, if it is one. Raises `VerificationError`."""
    parts = path.split("/")
    if not path or _GLOB & set(path) or any(part in {"", ".", ".."} for part in parts):
        _broken(f"{path[:200]!r} is no path that can be left out")
    return path


def _method(how: Mapping[str, Any]) -> tuple[Method, int]:
    method, size = how.get("method"), how.get("shard_size")
    if method == Method.FILES:
        if "shard_size" in how:
            _broken("shard_size stands beside the method files")
        return Method.FILES, 0
    if method != Method.SHARDS:
        _broken("method is neither files nor shards")
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
        _broken("shard_size is not a number of bytes")
    return Method.SHARDS, size


def _resource(item: object, method: Method, hash_type: str) -> Resource:
    # Fields that are not known are left alone (5.2.1).
    digest = _digest(item)
    assert isinstance(item, dict)  # or it has no digest
    name = item.get("name")
    if not isinstance(name, str) or not name:
        _broken("a resource has no name")
    if item.get("algorithm") != hash_type:
        _broken(f"{name[:200]!r} has another algorithm than {hash_type}")
    if len(digest) != _HEX_DIGITS[hash_type]:
        _broken(f"the digest of {name[:200]!r} has a wrong length")
    if method is Method.FILES:
        return Resource(name, digest)
    # A name may have colons itself: the last two numbers count (6.3.2).
    match = _PART.fullmatch(name)
    if match is None or int(match[2]) >= int(match[3]):
        _broken(f"{name[:200]!r} does not name a part of a file")
    return Resource(match[1], digest, int(match[2]), int(match[3]))


def _digest(item: object) -> str:
    digest = item.get("digest") if isinstance(item, dict) else None
    if not isinstance(digest, str) or not _HEX.fullmatch(digest) or len(digest) % 2:
        _broken("a resource has no digest in lower-case hex")
    return digest


def _check_order(names: list[str], resources: tuple[Resource, ...]) -> None:
    """Hold that there is one order, so that one model has one root digest.

    The specification sorts names by code point (5.2.1). model_signing 1.1.1 sorts paths part by
    part, and parts of files by their first byte; what it signed in its order is taken, too.
    """
    if len(set(names)) != len(names):
        _broken("it lists a file twice")
    as_paths = [(resource.path.split("/"), resource.start) for resource in resources]
    if names != sorted(names) and as_paths != sorted(as_paths):
        _broken("its files are not in order")


def _ignored(value: object) -> tuple[str, ...]:
    paths = _list(value, "ignore_paths", MAX_IGNORED)
    if not all(isinstance(path, str) for path in paths):
        _broken("ignore_paths is not a list of paths")
    return tuple(check_ignored(path) for path in paths)


def _list(value: object, where: str, limit: int) -> list[Any]:
    if not isinstance(value, list):
        _broken(f"{where} is not a list")
    if len(value) > limit:
        _broken(f"{where} has more than {limit} items")
    return value


def _known(value: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = value.keys() - known
    if unknown:
        _broken(f"{where} has the unknown key {min(unknown)[:40]!r}")


def _broken(reason: str) -> NoReturn:
    raise VerificationError(
        f"the OMS signature is not one that counts: {reason}",
        hint="sign the model anew: `modelseal sign REF --oms`",
        code="broken-oms-signature",
    )
