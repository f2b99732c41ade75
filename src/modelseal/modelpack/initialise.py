# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A first `modelseal.yaml`, written from what stands in the directory.

It is valid as it is, and says in comments where a person has to look. It never replaces one.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelseal.errors import ConflictError, InvalidProjectError, StorageError
from modelseal.modelpack.detect import Findings, detect
from modelseal.modelpack.project import FILE_NAME, Signature, Tensor
from modelseal.modelpack.project_file import API_VERSION, KIND, NO_DIRECTORY, parse_project

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off"})
_DIMENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_FIRST_VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was written, and what was found."""

    path: Path
    text: str
    findings: Findings


def initialise(directory: Path) -> Initialised:
    """Write `modelseal.yaml` into `directory`.

    Raises:
        ConflictError: there is one.
        InvalidProjectError: it is no directory.
        StorageError: the disk refused.
    """
    if not os.path.isdir(directory):  # noqa: PTH112 - it raises for no path
        raise InvalidProjectError(f"{directory} is not a directory", hint=NO_DIRECTORY)
    path = directory / FILE_NAME
    if os.path.lexists(path):
        raise ConflictError(f"{path} is there already", hint="edit it, or move it away")
    findings = detect(directory)
    text = project_text(findings)
    parse_project(text.encode())  # what we write, we read
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConflictError(f"{path} is there already", hint="edit it, or move it away") from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return Initialised(path, text, findings)


def project_text(findings: Findings) -> str:
    """Return the text of a `modelseal.yaml` that says what was found."""
    return "\n".join(_lines(findings)) + "\n"


def _lines(found: Findings) -> Iterator[str]:
    yield "# Written by `modelseal init`. Look through it: what stands here gets signed."
    yield from (f"# found   {_comment(line)}" for line in found.seen)
    yield from (f"# skipped {_comment(line)}" for line in found.notes)
    yield f"apiVersion: {API_VERSION}"
    yield f"kind: {KIND}"
    yield "metadata:"
    yield f"  name: {_scalar(_name(found.name))}"
    yield f"  version: {_FIRST_VERSION}  # SemVer; raise it with every change of the model"
    yield '  # description: "what it does, in one sentence"'
    yield "  # authors: [Ada <ada@acme.example>]"
    yield from _licenses(found)
    yield "  # vendor: Acme"
    yield "  # sourceURL: https://github.com/acme/model"
    yield "spec:"
    yield from _spec(found)
    yield from _requirements(found)
    yield from _training(found)
    if found.evaluation:
        yield f"  evaluation: {_flow(found.evaluation)}"
    else:
        yield "  # evaluation: [eval/results.json]"
    yield from _signature(found.signature)


def _licenses(found: Findings) -> Iterator[str]:
    for item in found.unknown_licenses:
        yield f"  # the card says {_comment(item)}, which is no SPDX identifier"
    if found.licenses:
        yield f"  licenses: {_flow(found.licenses)}"
    else:
        yield "  # licenses: [Apache-2.0]  # SPDX identifiers; a policy may ask for them"


def _spec(found: Findings) -> Iterator[str]:
    guessed = "" if found.format else "  # nothing was found: say what it is"
    yield f"  format: {_scalar(found.format or 'unknown')}{guessed}"
    for key, value in (
        ("family", found.family),
        ("architecture", found.architecture),
        ("precision", found.precision),
        ("paramSize", found.param_size),
    ):
        yield f"  {key}: {_scalar(value)}" if value else f"  # {key}: …"
    yield "  # files:  # the first rule that matches wins; then the kind goes by the name"
    yield '  #   - {include: "data/*.bin", kind: dataset}'
    yield '  #   - {exclude: "checkpoints/**"}'


def _requirements(found: Findings) -> Iterator[str]:
    yield "  requirements:"
    yield f"    python: {_scalar(found.python)}" if found.python else '    # python: ">=3.11"'
    yield f"    lock: {_scalar(found.lock)}" if found.lock else "    # lock: requirements.lock"
    yield '    # runtimes: [{name: onnxruntime, version: ">=1.17"}]'
    yield "    # memory: 2GiB"


def _training(found: Findings) -> Iterator[str]:
    yield "  training:"
    yield "    # code: {repository: https://github.com/acme/model, commit: …}  # git rev-parse HEAD"
    if found.base_models:
        for item in found.base_models:
            yield f"    # the card names the base model {_comment(item)}; its digest is needed:"
    yield '    # baseModel: {reference: "registry/repository@sha256:…"}'
    if found.datasets:
        yield "    datasets:  # with a digest each, they are materials of the provenance"
        yield from (f"      - name: {_scalar(item)}" for item in found.datasets)
    else:
        yield '    # datasets: [{name: …, digest: "sha256:…", license: …, personalData: …}]'
    if found.hyperparameters:
        yield f"    hyperparameters: {_scalar(found.hyperparameters)}"
    else:
        yield "    # hyperparameters: params.yaml"
    yield "    # seeds: [42]"


def _signature(signature: Signature | None) -> Iterator[str]:
    if signature is None:
        yield "  # signature: {inputs: [{name: x, type: float32, shape: [batch, 4]}], outputs: []}"
        return
    yield "  signature:"
    for key, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        lines = [_tensor(item) for item in tensors if _is_line(item.name)]
        yield f"    {key}:" if lines else f"    {key}: []"
        yield from (f"      - {line}" for line in lines)


def _tensor(tensor: Tensor) -> str:
    parts = [f"name: {_scalar(tensor.name)}"]
    if tensor.type and _is_line(tensor.type):
        parts.append(f"type: {_scalar(tensor.type)}")
    if tensor.shape is not None:
        sizes = [
            str(size) if isinstance(size, int) else _scalar(_dimension(size, place))
            for place, size in enumerate(tensor.shape)
        ]
        parts.append(f"shape: [{', '.join(sizes)}]")
    return "{" + ", ".join(parts) + "}"


def _dimension(name: str, place: int) -> str:
    return name if _DIMENSION.fullmatch(name) else f"dim_{place}"


def _name(text: str) -> str:
    """Return the name in the form that `metadata.name` has."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", text.rpartition("/")[2])[:128].strip("._-")
    return clean or "model"


def _flow(items: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, items))}]"


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as that text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    # A JSON string is a YAML double-quoted scalar, as long as all in it is printable.
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def _is_line(text: str) -> bool:
    return bool(text) and text.isprintable()
