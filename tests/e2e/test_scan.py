# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`modelseal scan`, and `publish` of what it denies, with the installed command."""

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.vectors.scan.hostile import hostile_files
from tests.vectors.scan.pickle_code import call, torch_zip

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
VECTORS = Path(__file__).parents[1] / "vectors" / "scan"
EVIL = {"model.pt": torch_zip(call("os", "system", "echo harmless", protocol=2))}


@pytest.fixture
def key(modelseal: Command, home: Path) -> Path:
    modelseal("key", "generate", "--output", home / "release.key", env=ENV).check()
    return home / "release.key"


def claims_of(store: Path) -> list[dict[str, Any]]:
    """Return the documents in a layout that are JSON objects."""
    found = []
    for path in (store / "blobs" / "sha256").iterdir():
        try:
            value = json.loads(path.read_bytes())
        except ValueError:
            continue
        found.append(value)
    return found


def test_a_hostile_model_stops_publish_before_anything_is_pushed(
    modelseal: Command, home: Path, key: Path
) -> None:
    model = make_model(home / "model", extra=EVIL)
    store = home / "store"
    done = modelseal("publish", model, f"oci:{store}:1.4.0", "--key", key, env=ENV).check(10)
    assert "model.pt!archive/data.pkl, byte 2: the pickle imports os.system" in done.stderr
    assert "to do: do not load it" in done.stderr
    assert "[hostile-model]" in done.stderr
    assert not store.exists()
    output = ("--output", "json")
    done = modelseal("publish", model, f"oci:{store}:1.4.0", "--key", key, *output, env=ENV)
    told = json.loads(done.check(10).stdout)
    assert told["error"]["code"] == "hostile-model"
    assert told["scan"]["findings"][0]["id"] == "pickle-dangerous-global"


def test_a_registry_never_hears_of_a_hostile_model(
    modelseal: Command, home: Path, key: Path, repository: str
) -> None:
    model = make_model(home / "model", extra=EVIL)
    reference = f"{repository}:1.4.0"
    modelseal("publish", model, reference, "--key", key, env=ENV).check(10)
    modelseal("inspect", reference, env=ENV).check(1)


def test_what_is_accepted_is_published_and_the_statement_says_so(
    modelseal: Command, home: Path, key: Path
) -> None:
    model = make_model(home / "model", extra=EVIL)
    store = home / "store"
    accepted = ("--accept-findings", "known test model")
    modelseal("publish", model, f"oci:{store}:1.4.0", "--key", key, *accepted, env=ENV).check()
    predicate = scan_predicate(modelseal, key, store)
    names = [one["attribute"] for one in predicate["attributes"]]
    assert names == ["SCAN_FINDINGS_ACCEPTED", "NO_SECRETS_FOUND"]
    conditions = predicate["attributes"][0]["conditions"]
    assert conditions["acceptedBecause"] == "known test model"
    assert conditions["denied"] == ["pickle-dangerous-global: model.pt!archive/data.pkl"]


def scan_predicate(modelseal: Command, key: Path, store: Path) -> dict[str, Any]:
    """Return the predicate about the scan, of a verified statement."""
    public = key.with_name(f"{key.name}.pub")
    modelseal("verify", f"oci:{store}:1.4.0", "--key", public, "--type", "scai", env=ENV).check()
    for bundle in claims_of(store):
        if "dsseEnvelope" in bundle:
            statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
            predicate: dict[str, Any] = statement["predicate"]
            if any(one["attribute"].startswith("SCAN_") for one in predicate.get("attributes", [])):
                return predicate
    raise AssertionError("no statement about a scan")


def test_a_release_says_that_it_was_scanned_and_by_which_rules(
    modelseal: Command, home: Path, key: Path
) -> None:
    model, store = make_model(home / "model"), home / "store"
    modelseal("publish", model, f"oci:{store}:1.4.0", "--key", key, env=ENV).check()
    predicate = scan_predicate(modelseal, key, store)
    names = [one["attribute"] for one in predicate["attributes"]]
    assert names == ["SCAN_PASSED", "NO_CODE_ON_LOAD", "NO_SECRETS_FOUND"]
    first = predicate["attributes"][0]
    report_path = store / "blobs" / "sha256" / first["evidence"]["digest"]["sha256"]
    report = json.loads(report_path.read_bytes())
    assert report["result"] == "passed"
    assert report["scanner"]["rules"] == first["conditions"]["rules"]
    assert {one["path"] for one in report["files"]} >= {"model.safetensors", "model.onnx"}
    assert all(one["digest"].startswith("sha256:") for one in report["files"])


def test_a_signed_allow_list_opens_single_names(modelseal: Command, home: Path, key: Path) -> None:
    allow = home / "allow.yaml"
    allow.write_bytes((VECTORS / "allow-list.yaml").read_bytes())
    model = VECTORS / "benign" / "sklearn-forest.joblib"
    modelseal("scan", model, env=ENV).check(10)
    modelseal("allowlist", "sign", allow, "--key", key, env=ENV).check()
    public = home / "release.key.pub"
    options = ("--allow-list", allow, "--allow-list-key", public)
    modelseal("scan", model, *options, env=ENV).check()
    # Not without who has to have signed, nor with another signer, nor when it was changed.
    modelseal("scan", model, "--allow-list", allow, env=ENV).check(2)
    modelseal("key", "generate", "--output", home / "other.key", env=ENV).check()
    other = ("--allow-list", allow, "--allow-list-key", home / "other.key.pub")
    assert "[other-key]" in modelseal("scan", model, *other, env=ENV).check(11).stderr
    allow.write_bytes(allow.read_bytes() + b"  - {module: os, name: system}\n")
    assert "[wrong-subject]" in modelseal("scan", model, *options, env=ENV).check(11).stderr
    # And published with it, which the statement says.
    allow.write_bytes((VECTORS / "allow-list.yaml").read_bytes())
    directory = make_model(home / "model", extra={"forest.joblib": model.read_bytes()})
    store = home / "store"
    modelseal("publish", directory, f"oci:{store}:1.4.0", "--key", key, *options, env=ENV).check()
    predicate = scan_predicate(modelseal, key, store)
    assert predicate["attributes"][0]["attribute"] == "SCAN_PASSED"
    assert len(predicate["attributes"][0]["conditions"]["allowLists"]) == 1
    assert "NO_CODE_ON_LOAD" not in [one["attribute"] for one in predicate["attributes"]]


def test_an_allow_list_takes_no_patterns(modelseal: Command, home: Path, key: Path) -> None:
    allow = home / "allow.yaml"
    text = "apiVersion: modelseal.dev/v1\nkind: PickleAllowList\nglobals:\n"
    for entry in ("{module: sklearn, name: '*'}", "{module: 'sklearn.*', name: A}", "{module: a}"):
        allow.write_text(f"{text}  - {entry}\n")
        modelseal("allowlist", "sign", allow, "--key", key, env=ENV).check(2)


def test_a_scan_is_written_as_text_json_and_sarif(modelseal: Command, home: Path) -> None:
    model = make_model(home / "model", extra=EVIL)
    told = modelseal("scan", model).check(10).stdout
    assert "error: model.pt!archive/data.pkl, byte 2: the pickle imports os.system" in told
    assert told.endswith("result: denied\n")
    report = json.loads(modelseal("scan", model, "--output", "json").check(10).stdout)
    assert report["result"] == "denied"
    assert report["findings"][0]["member"] == "archive/data.pkl"
    log = json.loads(modelseal("scan", model, "--output", "sarif").check(10).stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    (result,) = run["results"]
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] == "pickle-dangerous-global"
    assert result["level"] == rule["defaultConfiguration"]["level"] == "error"
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "model.pt" in [one["location"]["uri"] for one in run["artifacts"]]
    modelseal("scan", make_model(home / "good")).check()


def test_a_directory_without_a_project_is_looked_into_whole(modelseal: Command, home: Path) -> None:
    directory = home / "downloaded"
    (directory / ".cache").mkdir(parents=True)
    (directory / ".cache" / "x").write_bytes(call("os", "system", "x"))
    (directory / "link").symlink_to("/etc/passwd")
    report = json.loads(modelseal("scan", directory, "--output", "json").check(10).stdout)
    assert [one["id"] for one in report["findings"]] == ["pickle-dangerous-global", "link"]
    modelseal("scan", home / "nowhere").check(2)


def test_names_of_files_and_members_do_not_move_the_cursor(modelseal: Command, home: Path) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        info = tarfile.TarInfo("a\x1b[2Jb")
        info.type = tarfile.SYMTYPE
        archive.addfile(info)
    (home / "m.tar").write_bytes(raw.getvalue())
    told = modelseal("scan", home / "m.tar").check(10)
    assert "\x1b" not in told.stdout
    assert "archive-link" in told.stdout


def test_the_second_opinion_is_an_extra(modelseal: Command, home: Path) -> None:
    (home / "m.pkl").write_bytes(b"\x80\x04N.")
    done = modelseal("scan", home / "m.pkl", "--second-opinion").check(2)
    assert "pip install 'modelseal[picklescan]'" in done.stderr


def test_hostile_files_are_denied_by_the_command(modelseal: Command, home: Path) -> None:
    directory = home / "hostile"
    directory.mkdir()
    small = [one for one in hostile_files() if len(one.data) < 1 << 16]
    for number, one in enumerate(small):
        (directory / f"file-{number:03}").write_bytes(one.data)
    report = json.loads(modelseal("scan", directory, "--output", "json").check(10).stdout)
    denied = {one["file"] for one in report["findings"] if one["level"] == "error"}
    assert denied == {f"file-{number:03}" for number in range(len(small))}
