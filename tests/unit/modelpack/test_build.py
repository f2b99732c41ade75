# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from tests.support.model_factory import make_model, project_text

from modelseal.errors import InvalidProjectError, UsageError
from modelseal.modelpack.build import ModelPackage, build
from modelseal.modelpack.config import source_date
from modelseal.modelpack.inventory import Inventory, scan
from modelseal.modelpack.project_file import load_project
from modelseal.oci.descriptor import Digest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import fetch_manifest

SCHEMA = Path(__file__).parents[2] / "vectors" / "modelpack" / "config-schema-v0.0.7.json"
MINIMAL = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata: {name: m, version: 1.0.0}
spec: {format: onnx}
"""


def package(directory: Path, created: datetime | None = None) -> ModelPackage:
    project = load_project(directory)
    return build(directory, project, scan(directory, project), created=created)


def check_config(raw: bytes) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(raw)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(config)
    return config


def test_the_manifest_is_a_modelpack_manifest(tmp_path: Path) -> None:
    built = package(make_model(tmp_path))
    content = json.loads(built.manifest.raw)
    assert content["schemaVersion"] == 2
    assert content["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert content["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert content["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert content["config"]["digest"] == str(Digest.of(built.config))
    assert content["annotations"] == {
        "org.opencontainers.image.title": "fraud",
        "org.opencontainers.image.version": "1.4.0",
        "org.opencontainers.image.description": "Scores transactions",
        "org.opencontainers.image.authors": "Ada <ada@acme.example>",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.vendor": "Acme",
        "org.opencontainers.image.source": "https://github.com/acme/fraud",
        "org.opencontainers.image.revision": "1" * 40,
        "dev.modelseal.inputs-digest": str(built.inputs_digest),
    }


def test_a_layer_is_the_file_as_it_is(tmp_path: Path) -> None:
    directory = make_model(tmp_path)
    layers = {
        layer["annotations"]["org.cncf.model.filepath"]: layer
        for layer in json.loads(package(directory).manifest.raw)["layers"]
    }
    assert list(layers) == sorted(layers)
    weights = (directory / "model.safetensors").read_bytes()
    assert layers["model.safetensors"] == {
        "mediaType": "application/vnd.cncf.model.weight.v1.raw",
        "digest": str(Digest.of(weights)),
        "size": len(weights),
        "annotations": {
            "org.cncf.model.filepath": "model.safetensors",
            "org.opencontainers.image.title": "model.safetensors",
            "org.cncf.model.file.metadata+json": (
                '{"gid":0,"mode":420,"mtime":"1970-01-01T00:00:00Z","name":"model.safetensors",'
                f'"size":{len(weights)},"typeflag":0,"uid":0}}'
            ),
            "org.cncf.model.file.mediatype.untested": "true",
        },
    }
    results = layers["eval/results.json"]
    assert results["mediaType"] == "application/vnd.cncf.model.doc.v1.raw"
    assert results["annotations"]["org.opencontainers.image.title"] == "eval/results.json"
    assert results["annotations"]["org.cncf.model.file.mediatype.untested"] == "false"


def test_the_config_holds_to_the_schema_of_the_release(tmp_path: Path) -> None:
    built = package(make_model(tmp_path))
    assert check_config(built.config) == {
        "descriptor": {
            "name": "fraud",
            "version": "1.4.0",
            "description": "Scores transactions",
            "authors": ["Ada <ada@acme.example>"],
            "licenses": ["Apache-2.0"],
            "vendor": "Acme",
            "sourceURL": "https://github.com/acme/fraud",
            "revision": "1" * 40,
            "family": "fraud",
        },
        "config": {
            "format": "safetensors",
            "architecture": "linear",
            "paramSize": "0.1K",
            "precision": "float32",
        },
        "modelfs": {
            "type": "layers",
            "diffIds": [str(layer.digest) for layer in built.manifest.layers],
        },
    }


def test_the_config_of_the_smallest_project_holds_to_the_schema(tmp_path: Path) -> None:
    config = check_config(package(make_model(tmp_path, project=MINIMAL)).config)
    assert config["descriptor"] == {"name": "m", "version": "1.0.0"}


def test_the_schema_refuses_what_came_after_the_release(tmp_path: Path) -> None:
    config = json.loads(package(make_model(tmp_path)).config)
    config["descriptor"]["datasetsURL"] = ["https://acme.example"]
    with pytest.raises(jsonschema.ValidationError, match="datasetsURL"):
        check_config(json.dumps(config).encode())


def test_a_time_stands_there_only_when_it_is_given(tmp_path: Path) -> None:
    directory = make_model(tmp_path)
    built = package(directory, source_date({"SOURCE_DATE_EPOCH": "1700000000"}))
    assert check_config(built.config)["descriptor"]["createdAt"] == "2023-11-14T22:13:20Z"
    created = built.manifest.annotations["org.opencontainers.image.created"]
    assert created == "2023-11-14T22:13:20Z"
    assert built.manifest.layers == package(directory).manifest.layers
    assert "created" not in package(directory).manifest.raw.decode()


def test_source_date_epoch_is_read_in_utc() -> None:
    assert source_date({}) is None
    assert source_date({"SOURCE_DATE_EPOCH": "0"}) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", " 1", "-1", "1.5", "now", "\u0661", "9" * 12, "1e9"])
def test_an_invalid_source_date_epoch_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        source_date({"SOURCE_DATE_EPOCH": text})


def test_several_licences_are_all_asked_for(tmp_path: Path) -> None:
    text = project_text().replace("[Apache-2.0]", "[Apache-2.0, MIT OR BSD-3-Clause]")
    annotations = package(make_model(tmp_path, project=text)).manifest.annotations
    expected = "Apache-2.0 AND (MIT OR BSD-3-Clause)"
    assert annotations["org.opencontainers.image.licenses"] == expected


def test_the_inputs_are_all_that_the_model_was_made_from(tmp_path: Path) -> None:
    directory = make_model(tmp_path)
    built = package(directory)

    def digest(path: str) -> str:
        return str(Digest.of((directory / path).read_bytes()))

    assert built.inputs == {
        "files": {
            path: digest(path)
            for path in (
                "README.md",
                "config.json",
                "eval/results.json",
                "model.onnx",
                "model.safetensors",
                "params.yaml",
                "requirements.lock",
            )
        },
        "code": {"repository": "https://github.com/acme/fraud", "commit": "1" * 40},
        "baseModel": "ghcr.io/acme/base@sha256:" + "3" * 64,
        "datasets": [
            {"name": "transactions", "version": "2024-06-01", "digest": "sha256:" + "4" * 64}
        ],
        "hyperparameters": digest("params.yaml"),
        "lock": digest("requirements.lock"),
        "image": "ghcr.io/acme/serve@sha256:" + "2" * 64,
        "seeds": [42],
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1" * 40, "a" * 40),
        ("2" * 64, "a" * 64),
        ("3" * 64, "a" * 64),
        ("4" * 64, "a" * 64),
        ("2024-06-01", "2024-06-02"),
        ("seeds: [42]", "seeds: [43]"),
    ],
)
def test_another_input_gives_another_inputs_digest(tmp_path: Path, old: str, new: str) -> None:
    before = package(make_model(tmp_path / "before"))
    after = package(make_model(tmp_path / "after", project=project_text().replace(old, new)))
    assert before.inputs_digest != after.inputs_digest


@pytest.mark.parametrize("path", ["model.onnx", "params.yaml", "requirements.lock", "new.txt"])
def test_another_file_gives_another_inputs_digest(tmp_path: Path, path: str) -> None:
    before = package(make_model(tmp_path / "before"))
    after = package(make_model(tmp_path / "after", extra={path: b"changed"}))
    assert before.inputs_digest != after.inputs_digest


def test_another_version_or_description_alone_is_no_other_input(tmp_path: Path) -> None:
    text = project_text(version="1.4.1").replace("Scores transactions", "Scores payments")
    before = package(make_model(tmp_path / "before"))
    after = package(make_model(tmp_path / "after", project=text))
    assert before.inputs_digest == after.inputs_digest
    assert before.descriptor != after.descriptor


def test_a_file_that_is_named_and_left_out_is_an_input_all_the_same(tmp_path: Path) -> None:
    text = project_text().replace("checkpoints/**", "params.yaml")
    before = package(make_model(tmp_path, project=text))
    assert "params.yaml" not in before.inputs["files"]
    (tmp_path / "params.yaml").write_text("learning_rate: '0.02'\n")
    assert package(tmp_path).inputs_digest != before.inputs_digest


def test_a_manifest_that_no_registry_takes_is_not_made(tmp_path: Path) -> None:
    directory = make_model(tmp_path)
    project = load_project(directory)
    (file, *_), digest = scan(directory, project).files, Digest.of(b"")
    many = tuple(replace(file, path=f"{n:0200}.bin", digest=digest) for n in range(9_000))
    with pytest.raises(InvalidProjectError, match="too many files for one manifest"):
        build(directory, project, Inventory(many, ()))


def test_the_content_goes_into_a_store_in_its_order(tmp_path: Path) -> None:
    store = MemoryStore()
    built = package(make_model(tmp_path, extra={"copy-1.bin": b"same", "copy-2.bin": b"same"}))
    for descriptor, content in built.contents():
        store.push(descriptor, content)
    manifest = fetch_manifest(store, built.descriptor)
    assert manifest.raw == built.manifest.raw
    assert all(store.exists(blob) for blob in manifest.blobs)


# Other process, hash seed, time zone, language, umask, order of creation, modes, times, place.
_OTHER_MACHINE = """
import os, sys
from pathlib import Path
from modelseal.modelpack.build import build
from modelseal.modelpack.inventory import scan
from modelseal.modelpack.project_file import load_project
from tests.support.model_factory import model_files, project_text

os.umask(int(sys.argv[2], 8))
files = sorted((model_files() | {"modelseal.yaml": project_text().encode()}).items())
directory = Path(sys.argv[1])
for path, data in files if sys.argv[3] == "forwards" else reversed(files):
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(data)
    os.utime(directory / path, (int(sys.argv[4]), int(sys.argv[4])))
project = load_project(directory)
print(build(directory, project, scan(directory, project)).descriptor.digest)
"""


@pytest.mark.parametrize(
    "machine",
    [
        ("022", "forwards", "0", "UTC", "C", "0"),
        ("077", "backwards", "1700000000", "Asia/Kathmandu", "tr_TR.UTF-8", "1"),
    ],
)
def test_the_same_directory_gives_the_same_digest_everywhere(
    tmp_path: Path, machine: tuple[str, str, str, str, str, str]
) -> None:
    umask, order, mtime, zone, language, seed = machine
    here = package(make_model(tmp_path / "here")).descriptor.digest
    environment = os.environ | {"TZ": zone, "LC_ALL": language, "LANG": language}
    environment |= {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    there = subprocess.run(
        [sys.executable, "-c", _OTHER_MACHINE, str(tmp_path / "there"), umask, order, mtime],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == str(here)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "there").iterdir()}
    assert modes == ({0o600, 0o700} if umask == "077" else {0o644, 0o755})


def test_the_digest_is_the_one_of_this_release(tmp_path: Path) -> None:
    """Whoever changes it breaks every user's rebuild: do it on purpose, and say it."""
    built = package(make_model(tmp_path))
    assert str(built.descriptor.digest) == (
        "sha256:fc781c40698606afed3f0c84a32951e5d99698e68294e032b44ae74ed593e38d"
    )
