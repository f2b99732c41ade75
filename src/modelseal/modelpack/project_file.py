# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading `modelseal.yaml`: bytes become a `Project`, or an error that names the field.

Reading is strict: an unknown key, a value of another shape or a file that is not there is an
`InvalidProjectError`. Nothing here follows a link or leaves the directory.
"""

import os
from pathlib import Path, PurePosixPath

from modelseal.documents import Fields, parse_yaml
from modelseal.errors import ContentError, InvalidProjectError
from modelseal.modelpack import _forms as forms
from modelseal.modelpack.considerations_file import (
    read_approach,
    read_considerations,
    read_governance,
)
from modelseal.modelpack.plain_files import read_small
from modelseal.modelpack.project import (
    FILE_NAME,
    Accelerator,
    Code,
    Dataset,
    FileRule,
    Metadata,
    Platform,
    Project,
    Requirements,
    Runtime,
    Signature,
    Tensor,
    Training,
)
from modelseal.oci.reference import DigestReference

NO_DIRECTORY = "name the directory that holds the model's files"
API_VERSION = "modelseal.dev/v1"
KIND = "Model"
NONE = "none"
"""Declares that there is nothing, where nothing said would be a finding."""

MAX_BYTES = 1 << 20
"""Largest `modelseal.yaml` that is read."""


def load_project(directory: Path) -> Project:
    """Read `modelseal.yaml` in `directory`, and see that the files that it names are there.

    Raises:
        InvalidProjectError: there is none, or something in it does not hold.
        StorageError: the disk refused to read it.
    """
    if not os.path.isdir(directory):  # noqa: PTH112 - it raises for no path
        raise InvalidProjectError(f"{directory} is not a directory", hint=NO_DIRECTORY)
    raw = read_small(directory, FILE_NAME, limit=MAX_BYTES)
    if raw is None:
        raise InvalidProjectError(
            f"{directory} has no {FILE_NAME}", hint=f"modelseal init {directory}"
        )
    project = parse_project(raw, str(directory / FILE_NAME))
    for where, path in project.referenced_files():
        _check_is_file(directory, where, path)
    return project


def parse_project(raw: bytes, what: str = FILE_NAME) -> Project:
    """Read the bytes of a `modelseal.yaml`, without a look at the disk; `what` names it in errors.

    Raises:
        InvalidProjectError: something in it does not hold.
    """
    try:
        value = parse_yaml(raw, what)
        _refuse_placeholders(value)
        return _project(Fields(value, "", error=InvalidProjectError))
    except ContentError as error:  # it names the file
        raise InvalidProjectError(str(error)) from error
    except InvalidProjectError as error:
        raise InvalidProjectError(f"{what}: {error}", hint=error.hint) from error


def _refuse_placeholders(value: object) -> None:
    """Refuse what `build --explain` prints for a person to fill in: `<for example 2GiB>`."""
    if isinstance(value, dict):
        for item in value.values():
            _refuse_placeholders(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_placeholders(item)
    elif isinstance(value, str) and value.startswith("<") and value.endswith(">"):
        raise InvalidProjectError(
            f"the placeholder {value[:80]} still stands there",
            hint="write what is true of the model, or take the line out",
        )


def _project(top: Fields) -> Project:
    _check_constant(top, "apiVersion", API_VERSION)
    _check_constant(top, "kind", KIND)
    metadata = _metadata(top.mapping("metadata", required=True))
    spec = top.mapping("spec", required=True)
    project = Project(
        metadata=metadata,
        format=forms.word(spec, "format", required=True),
        task=forms.line(spec, "task"),
        family=forms.line(spec, "family"),
        architecture=forms.line(spec, "architecture"),
        precision=forms.precision(spec, "precision"),
        param_size=forms.param_size(spec, "paramSize"),
        files=tuple(_file_rule(item) for item in spec.items("files")),
        requirements=_requirements(spec.mapping("requirements")),
        training=_training(spec.mapping("training")),
        evaluation=forms.paths(spec, "evaluation"),
        signature=_signature(spec.mapping("signature")),
        considerations=read_considerations(spec.mapping("considerations")),
    )
    spec.finish()
    top.finish()
    return project


def _check_constant(top: Fields, key: str, expected: str) -> None:
    found = top.text(key, required=True)
    if found != expected:
        raise InvalidProjectError(f"{key} is {found!r}", hint=f"write {key}: {expected}")


def _metadata(fields: Fields) -> Metadata:
    metadata = Metadata(
        name=forms.name(fields, "name"),
        version=forms.version(fields, "version"),
        description=fields.text("description"),
        authors=forms.lines(fields, "authors"),
        licenses=forms.lines(fields, "licenses"),
        vendor=forms.line(fields, "vendor"),
        source_url=forms.url(fields, "sourceURL"),
    )
    fields.finish()
    return metadata


def _file_rule(fields: Fields) -> FileRule:
    include, exclude = forms.pattern(fields, "include"), forms.pattern(fields, "exclude")
    if bool(include) == bool(exclude):
        raise InvalidProjectError(
            f"{fields.where} has to have either include or exclude",
            hint='write {include: "*.onnx", kind: weight} or {exclude: "logs/**"}',
        )
    kind = forms.kind(fields, "kind") if include else None
    fields.finish()
    return FileRule(include or exclude, kind)


def _requirements(fields: Fields) -> Requirements:
    requirements = Requirements(
        python=forms.specifiers(fields, "python"),
        lock=forms.path(fields, "lock"),
        runtimes=tuple(_runtime(item) for item in fields.items("runtimes")),
        platforms=tuple(_platform(item) for item in fields.items("platforms")),
        accelerators=tuple(_accelerator(item) for item in fields.items("accelerators")),
        memory=forms.memory(fields, "memory"),
        image=forms.digest_reference(fields, "image"),
    )
    fields.finish()
    return requirements


def _runtime(fields: Fields) -> Runtime:
    runtime = Runtime(
        name=forms.line(fields, "name", required=True), version=forms.specifiers(fields, "version")
    )
    fields.finish()
    return runtime


def _platform(fields: Fields) -> Platform:
    platform = Platform(
        os=forms.word(fields, "os", required=True),
        architecture=forms.word(fields, "architecture", required=True),
    )
    fields.finish()
    return platform


def _accelerator(fields: Fields) -> Accelerator:
    accelerator = Accelerator(
        type=forms.word(fields, "type", required=True),
        compute_capability=forms.specifiers(fields, "computeCapability"),
        memory=forms.memory(fields, "memory"),
    )
    fields.finish()
    return accelerator


def _training(fields: Fields) -> Training:
    from_scratch, unseeded = fields.raw("baseModel") == NONE, fields.raw("seeds") == NONE
    has_base = fields.has("baseModel") and not from_scratch
    training = Training(
        code=_code(fields.mapping("code")) if fields.has("code") else None,
        base_model=_base_model(fields.mapping("baseModel")) if has_base else None,
        from_scratch=from_scratch,
        datasets=tuple(_dataset(item) for item in fields.items("datasets")),
        hyperparameters=forms.path(fields, "hyperparameters"),
        seeds=() if unseeded else forms.integers(fields, "seeds"),
        unseeded=unseeded,
        approach=read_approach(fields, "approach"),
    )
    fields.finish("code", "baseModel")
    names = [dataset.name for dataset in training.datasets]
    if len(set(names)) < len(names):
        raise fields.wrong("datasets", "has two with the same name", hint="name each of them")
    return training


def _code(fields: Fields) -> Code:
    code = Code(
        repository=forms.url(fields, "repository", required=True),
        commit=forms.commit(fields, "commit"),
    )
    fields.finish()
    return code


def _base_model(fields: Fields) -> DigestReference:
    reference = forms.digest_reference(fields, "reference")
    fields.finish()
    if reference is None:
        raise InvalidProjectError(f"{fields.where}.reference is missing")
    return reference


def _dataset(fields: Fields) -> Dataset:
    dataset = Dataset(
        name=forms.line(fields, "name", required=True),
        version=forms.line(fields, "version"),
        digest=forms.digest(fields, "digest"),
        dir_hash=forms.dir_hash(fields, "dirHash"),
        uri=forms.data_uri(fields, "uri"),
        croissant=forms.path(fields, "croissant"),
        license=forms.line(fields, "license"),
        personal_data=forms.personal_data(fields, "personalData"),
        legal_basis=forms.legal_basis(fields, "legalBasis"),
        usage=forms.usage_terms(fields, "usage"),
        governance=read_governance(fields.mapping("governance")),
    )
    fields.finish()
    if dataset.digest and dataset.dir_hash:
        raise fields.wrong("dirHash", "and digest exclude each other: a file, or a directory")
    return dataset


def _signature(fields: Fields) -> Signature:
    signature = Signature(
        inputs=tuple(_tensor(item) for item in fields.items("inputs")),
        outputs=tuple(_tensor(item) for item in fields.items("outputs")),
    )
    fields.finish()
    return signature


def _tensor(fields: Fields) -> Tensor:
    tensor = Tensor(
        name=forms.line(fields, "name", required=True),
        type=forms.line(fields, "type"),
        shape=forms.shape(fields, "shape"),
    )
    fields.finish()
    return tensor


def _check_is_file(directory: Path, where: str, path: str) -> None:
    found = directory
    for part in PurePosixPath(path).parts:
        found /= part
        if found.is_symlink():
            raise InvalidProjectError(f"{where}: {path} is, or goes through, a symbolic link")
    if not found.is_file():
        raise InvalidProjectError(
            f"{where}: there is no file {path} in {directory}",
            hint=f"make the file, or take the line out of {FILE_NAME}",
        )
