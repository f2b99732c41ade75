# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The corpus: nothing hostile passes, nothing benign is denied."""

import json
import os
from pathlib import Path

import pytest
from tests.support.model_factory import make_model
from tests.vectors.scan.hostile import hostile_files
from tests.vectors.scan.pickle_code import call

from modelseal.evidence.facts import Level
from modelseal.evidence.scan.allowed import BUILT_IN, Allowed
from modelseal.evidence.scan.report import Report
from modelseal.evidence.scan.scanner import scan_file, settle

VECTORS = Path(__file__).parents[3] / "vectors" / "scan"


def scanned(path: Path, allowed: Allowed = BUILT_IN) -> Report:
    paths = sorted(path.iterdir()) if path.is_dir() else [path]
    files = settle([scan_file(one, one.name, allowed=allowed) for one in paths], allowed)
    return Report(files=files, allowed=allowed)


def test_no_hostile_file_passes(tmp_path: Path) -> None:
    hostile = hostile_files()
    assert len({one.name for one in hostile}) == len(hostile) >= 60
    missed = []
    for one in hostile:
        path = tmp_path / "file"  # its name says nothing
        path.write_bytes(one.data)
        report = scanned(path)
        rules = {found.rule for found in report.findings if found.level is Level.ERROR}
        if one.rule not in rules:
            missed.append(f"{one.name}: wanted {one.rule}, found {sorted(rules)}")
    assert not missed


def test_no_benign_file_of_a_real_library_is_denied() -> None:
    paths = sorted((VECTORS / "benign").iterdir())
    assert len(paths) >= 20
    allowed = BUILT_IN.and_list((VECTORS / "allow-list.yaml").read_bytes())
    report = scanned(VECTORS / "benign", allowed)
    alarms = [one for one in report.findings if one.level is not Level.NOTE]
    assert not alarms
    formats = {name for file in report.files for name in file.formats}
    assert formats >= {"numpy", "pickle", "pytorch", "onnx", "safetensors", "xz", "zlib"}


def test_only_the_models_of_scikit_learn_need_the_allow_list() -> None:
    report = scanned(VECTORS / "benign")
    denied = {one.file for one in report.findings if one.level is Level.ERROR}
    assert denied == {one.path for one in report.files if one.path.startswith("sklearn-")}


def test_an_ordinary_model_directory_has_nothing_to_tell(tmp_path: Path) -> None:
    template = (
        "{%- for m in messages %}{{- '<|' + m.role + '|>' + m['content'] | trim }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
    )
    extra = {
        "tokenizer_config.json": json.dumps({"chat_template": template, "bos": "<s>"}).encode(),
        "vocab.txt": "cat\ndog\n.\n[UNK]\n##ing\nété\n".encode(),
        "words.txt": b"cat\ndog\n",
        "merges.txt": b"#version: 0.2\nc a\nca t\n",
        "page.html": b"<!DOCTYPE html>\n<html><body>Fraud</body></html>",
        "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "keys.md": b"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE, password: 'changeme-please-now'",
        "lines.jsonl": b'{"a": 1}\n{"a": 2}\n',
        "hashes.txt": b"sha256:" + b"0123456789abcdef" * 4 + b"\n",
    }
    directory = make_model(tmp_path / "model", extra=extra)
    report = scanned(tmp_path / "model" / "eval")
    assert not report.findings
    files = [path for path in sorted(directory.iterdir()) if path.is_file()]
    found = [one for path in files for one in scan_file(path, path.name).findings]
    assert not found


def test_nothing_is_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "evil.pkl"
    for protocol in range(6):
        path.write_bytes(call("os", "mkdir", str(marker), protocol=protocol))
        assert scanned(path).denied
        assert not marker.exists()


def test_a_finding_tells_where_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x04N0" + call("os", "system", "x")[2:])
    finding = scanned(path).findings[0]
    assert finding.to_json() == {
        "id": "pickle-dangerous-global",
        "level": "error",
        "file": "m.pkl",
        "offset": 16,  # of STACK_GLOBAL
        "message": "the pickle imports os.system, which can run code when it is loaded",
        "hint": finding.hint,
    }
    assert finding.hint


def test_weights_beside_an_onnx_model_are_known_by_its_word(tmp_path: Path) -> None:
    benign = VECTORS / "benign"
    data = benign / "onnx-external.onnx_data"
    (tmp_path / data.name).write_bytes(bytes(range(150, 250)))
    assert scanned(tmp_path).denied
    (tmp_path / "m.onnx").write_bytes((benign / "onnx-external.onnx").read_bytes())
    assert not scanned(tmp_path).denied
    (tmp_path / data.name).write_bytes(call("os", "system", "x"))
    assert scanned(tmp_path).denied
    (tmp_path / data.name).unlink()
    assert [one.rule for one in scanned(tmp_path).findings] == ["onnx-external-missing"]


@pytest.mark.parametrize("name", ["numpy.py", "collections/__init__.py", "torch.py"])
def test_a_file_that_stands_in_for_an_allowed_module_is_denied(name: str, tmp_path: Path) -> None:
    pickle, module = tmp_path / "m.pkl", tmp_path / "module"
    pickle.write_bytes(b"\x80\x02N.")
    module.write_bytes(b"import os\n")
    files = [scan_file(pickle, "m.pkl"), scan_file(module, name)]
    rules = [one.rule for file in settle(files, BUILT_IN) for one in file.findings]
    assert "shadowed-module" in rules
    assert "shadowed-module" not in [
        one.rule for file in settle(files[1:], BUILT_IN) for one in file.findings
    ]


def test_data_that_a_rule_of_the_project_declares_is_told_and_not_denied(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(150, 250)))
    (finding,) = scan_file(path, "data.bin", data_only=True).findings
    assert (finding.rule, finding.level) == ("unknown-data", Level.WARNING)
    path.write_bytes(call("os", "system", "x"))
    assert scan_file(path, "data.bin", data_only=True).findings[0].level is Level.ERROR


def test_of_safetensors_only_the_header_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = {"count": 0}
    real = os.pread

    def counting(fd: int, count: int, offset: int) -> bytes:
        found = real(fd, count, offset)
        read["count"] += len(found)
        return found

    monkeypatch.setattr(os, "pread", counting)
    totals = []
    for size in (1 << 20, 1 << 36):
        path = tmp_path / "model.safetensors"
        header = {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
        raw = json.dumps(header).encode().ljust(120)
        path.write_bytes(len(raw).to_bytes(8, "little") + raw)
        os.truncate(path, 8 + len(raw) + size)  # a file with a hole: no disk is needed
        read["count"] = 0
        assert not scanned(path).findings
        totals.append(read["count"])
    assert totals[0] == totals[1] < 200_000


def test_a_secret_is_never_shown_whole(tmp_path: Path) -> None:
    token = "AKIA" + "Q3EGVYX7ZN5LPDWR"
    path = tmp_path / "env"
    path.write_text(f"key={token}\nurl=postgres://user:Zk8-pq3Rw91x@db/prod\n")
    report = scanned(path)
    assert [one.rule for one in report.findings] == ["secret", "possible-secret"]
    written = json.dumps(report.to_json())
    assert token not in written
    assert "Zk8-pq3Rw91x" not in written


def test_a_token_with_a_wrong_checksum_is_none(tmp_path: Path) -> None:
    path = tmp_path / "readme"
    path.write_text("ghp_" + "x7Kq2LmZ9vR4tYb8NcWd3PfHs6JgAe" + "000000")
    assert not scanned(path).findings
