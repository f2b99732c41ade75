# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX files: the operator set that a runtime must know, the signature, weights beside the file."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelseal.errors import Error, UnsafePathError
from modelseal.evidence.compatibility.checked import REMAKE, Checked, shape_text
from modelseal.evidence.compatibility.weights import check_precision
from modelseal.evidence.locks.entries import Lock
from modelseal.evidence.locks.said import listed
from modelseal.modelpack.onnx import OnnxHeader, read_onnx
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.project import Project, Runtime, Tensor

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_MOST_FILES = 64

OPSETS: Sequence[tuple[str, int, int]] = (
    ("1.0", 11, 6),
    ("1.1", 11, 6),
    ("1.2", 11, 6),
    ("1.3", 12, 7),
    ("1.4", 12, 7),
    ("1.5", 12, 7),
    ("1.6", 13, 7),
    ("1.7", 13, 7),
    ("1.8", 14, 7),
    ("1.9", 15, 8),
    ("1.10", 15, 8),
    ("1.11", 16, 8),
    ("1.12", 17, 8),
    ("1.13", 17, 8),
    ("1.14", 18, 8),
    ("1.15", 19, 8),
    ("1.16", 19, 9),
    ("1.17", 20, 9),
    ("1.18", 21, 10),
    ("1.19", 21, 10),
    ("1.20", 21, 10),
    ("1.21", 22, 10),
    ("1.22", 22, 10),
    ("1.23", 23, 11),
    ("1.24", 25, 13),
    ("1.25", 26, 13),
    ("1.26", 26, 13),
    ("1.27", 26, 13),
    ("1.28", 26, 13),
    ("1.29", 26, 13),
    ("1.30", 26, 13),
    ("1.31", 26, 13),
    ("1.32", 28, 14),
)
"""Version of ONNX Runtime, and the newest operator set and IR version that it runs. Source: to 1.20
https://onnxruntime.ai/docs/reference/compatibility.html, "ONNX opset support"; from there on, where
the table ends, what its releases (1.21.1 to 1.32.0, Linux, CPU) took of models of one `Relu`, and
refused. Newer ones run whatever older ones run."""

_NAMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")


def check_onnx(directory: Path, paths: list[str], project: Project, lock: Lock | None) -> Checked:
    """Read what each ONNX file says about itself, and compare it with the project and the lock."""
    checked = Checked()
    named = [path for path in paths if path.endswith(".onnx")]
    for path in named[:_MOST_FILES]:
        try:
            header = read_onnx(directory / path)
        except Error as error:
            checked.contradict("weights-broken", str(error), where=path, hint=REMAKE)
            continue
        checked.hold(f"{path}: ONNX, opset {header.opset}, IR version {header.ir_version}")
        _check_external(path, header, set(paths), checked)
        _check_runtimes(path, header, project, lock, checked)
        if project.format == "onnx" and len(named) == 1:
            check_precision(checked, _by_frequency(header), project, path)
    if len(named) == 1:
        _check_signature(directory, named[0], project, checked)
    elif named and (project.signature.inputs or project.signature.outputs):
        checked.leave("the signature", f"there are {len(named)} ONNX files", where=named[0])
    return checked


def _by_frequency(header: OnnxHeader) -> dict[str, int]:
    return dict(sorted(header.parameters.items(), key=lambda item: (-item[1], item[0])))


def _check_external(path: str, header: OnnxHeader, paths: set[str], checked: Checked) -> None:
    """See that the files are there that hold the weights (onnx, docs/ExternalData.md)."""
    missing = []
    for location in header.external:
        try:
            check_relative_path(location)
        except UnsafePathError:
            checked.contradict(
                "onnx-data-outside",
                f"{path} takes weights from {location[:80]!r}, which is not beside it",
                where=path,
                hint="save the model again with all its data in one directory",
            )
            continue
        if str(PurePosixPath(path).parent / location) not in paths:
            missing.append(location)
    if missing:
        checked.contradict(
            "onnx-data-missing",
            f"{path} takes weights from files that are not there: {listed(missing)}",
            where=path,
            hint="add them, or look whether spec.files leaves them out",
        )
    elif header.external:
        checked.hold(f"{path}: all {len(header.external)} files with its weights are there")


def _check_runtimes(
    path: str, header: OnnxHeader, project: Project, lock: Lock | None, checked: Checked
) -> None:
    runtimes = [item for item in project.requirements.runtimes if item.name in _NAMES]
    pinned = [package for package in (lock.packages if lock else ()) if package.name in _NAMES]
    for package in pinned:
        if package.version:
            what = f"{package.name} {package.version} of {lock.path if lock else 'the lock'}"
            _check_version(path, header, what, f"=={package.version}", checked)
    for runtime in runtimes:
        _check_range(path, header, runtime, checked)
    if not runtimes and not pinned:
        checked.lack(
            "missing-runtimes",
            f"nothing says which ONNX Runtime runs {path}",
            where="modelseal.yaml: spec.requirements.runtimes",
            add=_runtime("onnxruntime", first_that_runs(header) or OPSETS[-1][0]),
        )


def _runtime(name: str, version: str) -> str:
    line = f'{{name: {name}, version: ">={version}"}}'
    return f"spec:\n  requirements:\n    runtimes:\n      - {line}"


def _check_range(path: str, header: OnnxHeader, runtime: Runtime, checked: Checked) -> None:
    what = f"{runtime.name} {runtime.version}".strip()
    _check_version(path, header, what, runtime.version, checked, runtime=runtime)


def _check_version(
    path: str,
    header: OnnxHeader,
    what: str,
    specifiers: str,
    checked: Checked,
    *,
    runtime: Runtime | None = None,
) -> None:
    """Compare what a file needs with the oldest version that is allowed: that one has to run it."""
    needs = f"opset {header.opset}, IR version {header.ir_version}"
    first = first_that_runs(header)
    oldest = _oldest(specifiers)
    if oldest is None:
        if first is None or not _newer(specifiers):
            checked.leave(
                f"whether {what} runs {path} ({needs})",
                f"what versions other than {OPSETS[0][0]} to {OPSETS[-1][0]} run is not known here",
                where=path,
            )
        else:
            checked.hold(f"{what} runs {path}: versions from {first} on run {needs}")
        return
    version, opset, ir_version = oldest
    if header.opset <= opset and header.ir_version <= ir_version:
        checked.hold(f"{what} runs {path}: {version} runs up to opset {opset}")
        return
    add = _runtime(runtime.name, first) if runtime and first else ""
    checked.contradict(
        "runtime-too-old",
        f"{path} needs {needs}, and {what} allows {version}, which ends at opset {opset} and "
        f"IR version {ir_version}",
        where="modelseal.yaml: spec.requirements.runtimes" if runtime else path,
        add=add,
        hint=f"lock {first} or newer" if first and not add else "export the model for an older one",
    )


def first_that_runs(header: OnnxHeader) -> str | None:
    """Return the oldest version of ONNX Runtime that runs a file; None when the table ends."""
    for version, opset, ir_version in OPSETS:
        if header.opset <= opset and header.ir_version <= ir_version:
            return version
    return None


def _oldest(specifiers: str) -> tuple[str, int, int] | None:
    """Return the oldest version of the table that is allowed; None when none is."""
    allowed, exact = _allowed(specifiers)
    for row in OPSETS:
        if exact:
            if any(version[:2] == _release(row[0]) for version in exact):
                return row
        elif allowed is not None and (f"{row[0]}.99" in allowed or row[0] in allowed):
            return row
    return None


def _newer(specifiers: str) -> bool:
    """Tell whether a version newer than those of the table is allowed."""
    allowed, exact = _allowed(specifiers)
    if exact:
        return any(version[:2] > _release(OPSETS[-1][0]) for version in exact)
    return allowed is not None and "999.0" in allowed


def _allowed(specifiers: str) -> tuple["SpecifierSet | None", list[tuple[int, ...]]]:
    """Return the specifiers, and the releases that they name exactly."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(specifiers)
    except InvalidSpecifier:
        return None, []
    exact = [item.version for item in allowed if item.operator in {"==", "==="}]
    return allowed, [_release(text.removesuffix(".*")) for text in exact]


def _release(text: str) -> tuple[int, ...]:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text).release
    except InvalidVersion:
        return ()


def _check_signature(directory: Path, path: str, project: Project, checked: Checked) -> None:
    """Compare inputs and outputs with those of `modelseal.yaml`, where it has any."""
    try:
        header = read_onnx(directory / path)
    except Error:
        return  # it was told
    wrong: list[str] = []
    for kind, said, found in (
        ("input", project.signature.inputs, header.inputs),
        ("output", project.signature.outputs, header.outputs),
    ):
        if said:
            wrong += _differences(kind, said, found)
    if wrong:
        checked.contradict(
            "signature-differs",
            f"spec.signature and {path} do not fit: {listed(wrong)}",
            where="modelseal.yaml: spec.signature",
            hint=f"write what {path} has: `modelseal init` shows it in an empty directory",
            add=_signature(header),
        )
    elif project.signature.inputs or project.signature.outputs:
        checked.hold(f"spec.signature is that of {path}")
    else:
        checked.lack(
            "missing-signature",
            f"nothing says what goes into the model; {path} tells it",
            where="modelseal.yaml: spec.signature",
            add=_signature(header),
        )


def _differences(kind: str, said: Sequence[Tensor], found: Sequence[Tensor]) -> Iterator[str]:
    there = {tensor.name: tensor for tensor in found}
    for tensor in said:
        other = there.pop(tensor.name, None)
        if other is None:
            yield f"there is no {kind} {tensor.name}"
            continue
        if tensor.type and other.type and tensor.type != other.type:
            yield f"{kind} {tensor.name} is {other.type} and not {tensor.type}"
        if tensor.shape is not None and other.shape is not None and not _same(tensor, other):
            shapes = f"{shape_text(other.shape)} and not {shape_text(tensor.shape)}"
            yield f"{kind} {tensor.name} is {shapes}"
    for name in sorted(there):
        yield f"the {kind} {name} is not declared"


def _same(one: Tensor, other: Tensor) -> bool:
    """Compare shapes; the name of a size that varies may be another one."""
    left, right = one.shape or (), other.shape or ()
    return len(left) == len(right) and all(
        a == b or isinstance(a, str) or isinstance(b, str) for a, b in zip(left, right, strict=True)
    )


def _signature(header: OnnxHeader) -> str:
    lines = ["spec:", "  signature:"]
    for kind, tensors in (("inputs", header.inputs), ("outputs", header.outputs)):
        lines.append(f"    {kind}:")
        lines += [f"      - {_tensor(tensor)}" for tensor in tensors]
    return "\n".join(lines)


def _tensor(tensor: Tensor) -> str:
    import json

    parts = [f"name: {json.dumps(tensor.name)}"]
    if tensor.type:
        parts.append(f"type: {tensor.type}")
    if tensor.shape is not None:
        sizes = ", ".join(json.dumps(size) for size in tensor.shape)
        parts.append(f"shape: [{sizes}]")
    return f"{{{', '.join(parts)}}}"
