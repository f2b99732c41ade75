# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Look at files: each for what its bytes are, whatever its name is. Nothing is ever loaded."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from modelseal.errors import StorageError
from modelseal.evidence.scan.allowed import BUILT_IN, Allowed
from modelseal.evidence.scan.compressed import scan_compressed, scan_tar
from modelseal.evidence.scan.context import MAX_NESTING, Found, Item, TooMuchError
from modelseal.evidence.scan.finding import ScanFinding
from modelseal.evidence.scan.gguf import scan_gguf
from modelseal.evidence.scan.keras import scan_hdf5
from modelseal.evidence.scan.kinds import Kind, has_zip_at_end, kind_of
from modelseal.evidence.scan.numpys import scan_numpy
from modelseal.evidence.scan.pickles import scan_pickles
from modelseal.evidence.scan.protobufs import scan_protobuf
from modelseal.evidence.scan.report import ScannedFile
from modelseal.evidence.scan.safetensors import scan_safetensors
from modelseal.evidence.scan.source import FileSource
from modelseal.evidence.scan.texts import scan_text
from modelseal.evidence.scan.zips import scan_zip
from modelseal.modelpack.plain_files import open_plain


def scan_file(
    path: Path, name: str, *, allowed: Allowed = BUILT_IN, data_only: bool = False
) -> ScannedFile:
    """Look at one plain file.

    Args:
        path: where it is.
        name: what it is called in findings.
        allowed: what its pickles may import.
        data_only: whether it is a document or a data set, which nothing loads as weights.

    Raises:
        InvalidProjectError: it is not a plain file.
        StorageError: the disk refused.
    """
    found = Found()
    try:
        with open_plain(path) as file:
            source = FileSource(file)
            item = Item(
                source=source,
                file=name,
                found=found,
                allowed=allowed,
                data_only=data_only,
                scan=scan_item,
            )
            try:
                scan_item(item)
            except TooMuchError as error:
                found.findings.append(_whole(name, "too-much", f"it has {error}"))
            except (EOFError, ValueError, RecursionError, MemoryError) as error:
                # A reader's own mistake must not let a file pass.
                found.findings.append(
                    _whole(name, "unreadable-file", f"it cannot be read: {error}")
                )
    except FileNotFoundError as error:
        raise StorageError(f"cannot read {path}: it is not there") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return ScannedFile(
        path=name,
        size=source.size,
        formats=tuple(sorted(found.formats)),
        globals=dict(sorted(found.globals.items())),
        findings=tuple(found.findings),
        external=frozenset(found.external),
    )


def _whole(name: str, rule: str, message: str) -> ScanFinding:
    return ScanFinding(rule=rule, file=name, message=message)


def scan_item(item: Item) -> None:
    """Look at bytes, in a file or in an archive."""
    if item.depth > MAX_NESTING:
        item.add("archive-nested-too-deep", f"archives in archives, more than {MAX_NESTING} deep")
        return
    kind = kind_of(item.source)
    if kind not in _ENDS_AS_ZIP and item.source.size and has_zip_at_end(item.source):
        item.add("zip-prepended-data", f"a zip archive stands at the end of what is {kind}")
    _READERS[kind](item)


def _nothing(_: Item) -> None:
    pass


def _data(item: Item) -> None:
    item.found.formats.add("data")
    if not item.data_only:
        item.add("not-inspected", "a format without code of its own, which is not looked into")


def _other_archive(item: Item) -> None:
    item.add("archive-unsupported", "an archive of a kind that is not looked into")


def _executable(item: Item) -> None:
    item.add("executable", "a program or a compiled library")


def _protobuf(item: Item) -> None:
    if not scan_protobuf(item):
        _unknown(item)


def _text(item: Item) -> None:
    item.found.formats.add("text")
    scan_text(item)


def _unknown(item: Item) -> None:
    head = item.source.read_at(0, 8).hex(" ")
    rule = "unknown-data" if item.data_only else "unknown-binary"
    item.add(rule, f"a format that is not known; it begins with {head}")


_ENDS_AS_ZIP = frozenset({Kind.ZIP, Kind.COMPRESSED, Kind.TAR})
_READERS: Mapping[Kind, Callable[[Item], None]] = {
    Kind.EMPTY: _nothing,
    Kind.ZIP: scan_zip,
    Kind.TAR: scan_tar,
    Kind.COMPRESSED: scan_compressed,
    Kind.OTHER_ARCHIVE: _other_archive,
    Kind.PICKLE: scan_pickles,
    Kind.SAFETENSORS: scan_safetensors,
    Kind.GGUF: scan_gguf,
    Kind.NUMPY: scan_numpy,
    Kind.HDF5: scan_hdf5,
    Kind.PROTOBUF: _protobuf,
    Kind.EXECUTABLE: _executable,
    Kind.DATA: _data,
    Kind.TEXT: _text,
    Kind.UNKNOWN: _unknown,
}


def settle(files: Iterable[ScannedFile], allowed: Allowed) -> tuple[ScannedFile, ...]:
    """Judge what only all files together show: data beside a model, and files like modules."""
    all_files = tuple(files)
    paths = {file.path for file in all_files}
    beside: dict[str, str] = {}
    missing: dict[str, list[ScanFinding]] = {}
    for file in all_files:
        here = file.path.rpartition("/")[0]
        for location in file.external:
            path = f"{here}/{location}" if here else location
            beside[path] = file.path
            if path not in paths:
                message = f"the model takes weights from {location[:200]!r}, which is not there"
                finding = _whole(file.path, "onnx-external-missing", message)
                missing.setdefault(file.path, []).append(finding)
    modules = (
        allowed.modules() if any("pickle" in file.formats for file in all_files) else frozenset()
    )
    return tuple(_settled(file, beside, missing.get(file.path, []), modules) for file in all_files)


def _settled(
    file: ScannedFile,
    beside: Mapping[str, str],
    missing: list[ScanFinding],
    modules: frozenset[str],
) -> ScannedFile:
    findings = [*file.findings, *missing]
    if file.path in beside:
        # Numbers, by place and length; what can be told to be something else stays a finding.
        findings = [one for one in findings if one.rule != "unknown-binary"]
    first, _, rest = file.path.partition("/")
    module = first.removesuffix(".py")
    if module in modules and (first.endswith(".py") or rest.endswith("__init__.py")):
        message = f"Python would import this file as the module {module}"
        findings.append(_whole(file.path, "shadowed-module", message))
    return file.with_findings(findings)
