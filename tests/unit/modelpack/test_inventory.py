# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.model_factory import make_model

from modelseal.errors import InvalidProjectError
from modelseal.modelpack._patterns import Rules
from modelseal.modelpack.inventory import MAX_FILES, Inventory, scan
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.plain_files import hash_plain
from modelseal.modelpack.project import FileRule
from modelseal.modelpack.project_file import load_project
from modelseal.oci.descriptor import Digest

HIDDEN_OR_PRIVATE = {
    ".env": b"TOKEN=1",
    ".git/config": b"x",
    ".gitignore": b"x",
    ".venv/lib/x.py": b"x",
    "__pycache__/x.pyc": b"x",
    "sub/__pycache__/x.pyc": b"x",
    "venv/bin/python": b"x",
    "cosign.key": b"x",
    "tls/server.pem": b"x",
    "id_ed25519": b"x",
    "model.safetensors.part": b"x",
}


def inventory(directory: Path) -> Inventory:
    return scan(directory, load_project(directory))


def minimal(directory: Path, *rules: str, **files: bytes) -> Path:
    text = (
        "apiVersion: modelseal.dev/v1\nkind: Model\nmetadata: {name: m, version: 1.0.0}\n"
        f"spec: {{format: onnx, files: [{', '.join(rules)}]}}\n"
    )
    directory.mkdir(exist_ok=True)
    (directory / "modelseal.yaml").write_text(text)
    for name, data in files.items():
        (directory / name.replace("__", ".")).write_bytes(data)
    return directory


def test_files_come_in_code_point_order_with_their_digests(tmp_path: Path) -> None:
    make_model(tmp_path, extra={"Z.txt": b"z", "a/b": b"1", "a-b": b"2", "é.txt": b"3"})
    files = inventory(tmp_path).files
    paths = [file.path for file in files]
    assert paths == sorted(paths)
    assert paths.index("Z.txt") < paths.index("a-b") < paths.index("a/b") < paths.index("é.txt")
    for file in files:
        data = (tmp_path / file.path).read_bytes()
        assert (file.digest, file.size) == (Digest.of(data), len(data))


def test_the_kind_goes_by_the_rule_then_by_the_name(tmp_path: Path) -> None:
    make_model(tmp_path, extra={"LICENSE": b"", "train.py": b"", "data.csv": b"", "vocab.txt": b""})
    kinds = {file.path: (file.kind, file.guessed) for file in inventory(tmp_path).files}
    assert kinds == {
        "LICENSE": (LayerKind.DOC, True),
        "README.md": (LayerKind.DOC, True),
        "config.json": (LayerKind.WEIGHT_CONFIG, True),
        "data.csv": (LayerKind.DATASET, True),
        "eval/results.json": (LayerKind.DOC, False),
        "model.onnx": (LayerKind.WEIGHT, True),
        "model.safetensors": (LayerKind.WEIGHT, True),
        "modelseal.yaml": (LayerKind.DOC, False),
        "params.yaml": (LayerKind.WEIGHT_CONFIG, True),
        "requirements.lock": (LayerKind.CODE, True),
        "train.py": (LayerKind.CODE, True),
        "vocab.txt": (LayerKind.WEIGHT_CONFIG, True),
    }


def test_what_is_hidden_or_private_is_left_out_and_said(tmp_path: Path) -> None:
    plain = inventory(make_model(tmp_path / "plain"))
    found = inventory(make_model(tmp_path / "model", extra=HIDDEN_OR_PRIVATE))
    assert [file.path for file in found.files] == [file.path for file in plain.files]
    assert found.left_out == (
        ".env",
        ".git/",
        ".gitignore",
        ".venv/",
        "__pycache__/",
        "cosign.key",
        "id_ed25519",
        "model.safetensors.part",
        "sub/__pycache__/",
        "tls/server.pem",
        "venv/",
    )


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    files = inventory(make_model(tmp_path, extra={"empty.txt": b""})).files
    assert next(file for file in files if file.path == "empty.txt").digest == Digest.of(b"")


@pytest.mark.parametrize(
    ("rules", "path", "kind"),
    [
        # The example of the design page.
        ([("*.safetensors", "weight"), ("checkpoints/**", None)], "a.safetensors", "weight"),
        (
            [("*.safetensors", "weight"), ("checkpoints/**", None)],
            "checkpoints/a.safetensors",
            None,
        ),
        ([("**/*.bin", "dataset"), ("data/**", None)], "data/deep/a.bin", "dataset"),
        ([("**/*.bin", "dataset"), ("data/**", None)], "data/deep/a.txt", None),
        ([("**/*.bin", "dataset")], "a.bin", "dataset"),
        ([("data/**", None), ("data/keep.csv", "dataset")], "data/keep.csv", None),
        ([("data/keep.csv", "dataset"), ("data/**", None)], "data/keep.csv", "dataset"),
        ([("logs/", None)], "logs/a/b.txt", None),
        ([("logs/", None)], "logs.txt", "weight.config"),
        ([("**", "code")], "anything/at/all", "code"),
        ([("**", "code")], ".env", None),
        ([("**", "code")], ".git/config", None),
        ([("**", "code")], "venv/lib/x.py", None),
        ([("*", "code")], ".env", None),
        ([(".env", "code")], ".env", "code"),
        ([(".config/*.json", "code")], ".config/a.json", "code"),
        ([(".config/*.json", "code")], ".config/b.txt", None),
        ([("cosign.pem", "doc")], "cosign.pem", "doc"),
        ([("a?c", "code")], "abc", "code"),
        ([("a[bx]c", "code")], "axc", "code"),
        ([("a[bx]c", "code")], "ayc", "weight.config"),
        ([("a*c", "code")], "a/c", "weight.config"),
        ([("a/**/c", "code")], "a/c", "code"),
        ([("a/**/c", "code")], "a/x/y/c", "code"),
        ([("**", None)], "modelseal.yaml", "doc"),
    ],
)
def test_the_first_rule_that_matches_wins(
    rules: list[tuple[str, str | None]], path: str, kind: str | None
) -> None:
    judge = Rules(FileRule(text, LayerKind(name) if name else None) for text, name in rules)
    directories = [path[: match.start()] for match in re.finditer("/", path)]
    found = None if any(map(judge.skips_directory, directories)) else judge.verdict(path)
    assert (found and found.kind) == kind


_PARTS = st.sampled_from(["a", "b", ".h", "venv", "ab"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=4).map("/".join)
_PATTERNS = st.lists(st.sampled_from(["**", "*", "a", "a*", ".h", "?"]), min_size=1, max_size=4)
_RULE_LISTS = st.lists(
    st.builds(
        FileRule, _PATTERNS.map("/".join), st.sampled_from([None, LayerKind.CODE, LayerKind.DOC])
    ),
    max_size=4,
)


@given(_RULE_LISTS, _PATHS)
def test_a_directory_is_skipped_only_if_all_below_it_is_left_out(
    rules: list[FileRule], path: str
) -> None:
    judge = Rules(rules)
    for place in (match.start() for match in re.finditer("/", path)):
        if judge.skips_directory(path[:place]):
            assert judge.verdict(path) is None


def test_a_pattern_of_many_wildcards_takes_no_time() -> None:
    judge = Rules([FileRule("/".join(["**", "a"] * 200), LayerKind.CODE)])
    verdict = judge.verdict("/".join(["a"] * 30 + ["b"]))
    assert verdict is not None
    assert verdict.guessed


@pytest.mark.parametrize("target", ["/etc/hostname", "model.onnx", "nowhere"])
def test_a_link_is_refused_by_name(tmp_path: Path, target: str) -> None:
    (make_model(tmp_path) / "extra.bin").symlink_to(target)
    with pytest.raises(InvalidProjectError, match=r"'extra\.bin' is a symbolic link"):
        inventory(tmp_path)


def test_a_link_to_a_directory_is_refused_by_name(tmp_path: Path) -> None:
    (make_model(tmp_path) / "more").symlink_to("/etc")
    with pytest.raises(InvalidProjectError, match="'more' is a symbolic link"):
        inventory(tmp_path)


def test_a_link_that_is_left_out_is_no_matter(tmp_path: Path) -> None:
    directory = make_model(tmp_path, extra={"checkpoints/last.bin": b""})
    (directory / "checkpoints" / "best.bin").symlink_to("last.bin")
    (directory / ".cache").symlink_to("/tmp")
    assert inventory(directory).left_out == (".cache", "checkpoints/")


def test_a_pipe_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(make_model(tmp_path) / "pipe.bin")
    with pytest.raises(InvalidProjectError, match=r"'pipe\.bin' is a device, a pipe or a socket"):
        inventory(tmp_path)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_model(tmp_path))  # the name of a socket has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.bin")
        with pytest.raises(InvalidProjectError, match=r"'s\.bin' is a device, a pipe or a socket"):
            inventory(tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cafe\u0301.txt", "NFC"),
        ("nul.txt", "device on Windows"),
        ("a:b.txt", "the character :"),
        ("a\\b.txt", "the character"),
        ("a\nb.txt", "U\\+000A"),
        ("model\u202exnno.exe", "U\\+202E"),
        ("trailing.", "ends in a dot"),
        ("MODEL.onnx", "differ only in case"),
        ("Eval/other.json", "differ only in case"),
    ],
)
def test_a_name_that_does_not_travel_is_refused_not_renamed(
    tmp_path: Path, name: str, why: str
) -> None:
    make_model(tmp_path, extra={name: b"x"})
    with pytest.raises(InvalidProjectError, match=why):
        inventory(tmp_path)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad-\xff.bin")).write_bytes(b"x")
    with pytest.raises(InvalidProjectError, match="U\\+DCFF"):
        inventory(tmp_path)


def test_too_deep_a_directory_is_refused(tmp_path: Path) -> None:
    deep = make_model(tmp_path).joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    with pytest.raises(InvalidProjectError, match="nested deeper than 32"):
        inventory(tmp_path)


def test_more_files_than_a_manifest_holds_are_refused(tmp_path: Path) -> None:
    directory = make_model(tmp_path)
    for place in range(MAX_FILES):
        (directory / f"{place}.txt").touch()
    with pytest.raises(InvalidProjectError, match="more than 10000 files to pack"):
        inventory(directory)


def test_a_directory_with_only_the_project_file_has_nothing_to_pack(tmp_path: Path) -> None:
    minimal(tmp_path)
    with pytest.raises(InvalidProjectError, match="no file to pack"):
        inventory(tmp_path)


def test_a_model_without_weights_is_refused_with_the_line_to_write(tmp_path: Path) -> None:
    minimal(tmp_path, model__dat=b"x")
    with pytest.raises(InvalidProjectError, match="no weight file") as caught:
        inventory(tmp_path)
    assert 'include: "model.dat", kind: weight' in caught.value.hint
    minimal(tmp_path, '{include: "model.dat", kind: weight}')
    assert inventory(tmp_path).files[0].kind is LayerKind.WEIGHT


def test_a_file_that_grows_without_end_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(bytes(3 << 20))

    def grow() -> bool:
        with path.open("ab") as file:
            file.write(b"more")
        return False

    with pytest.raises(InvalidProjectError, match=r"growing\.bin changed while it was read"):
        hash_plain(path, stopped=grow)


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "weights.bin", tmp_path / "other.bin"
    path.write_bytes(bytes(2 << 20))

    def replace() -> bool:
        other.write_bytes(bytes(2 << 20))
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)
        return False

    with pytest.raises(InvalidProjectError, match=r"weights\.bin changed while it was read"):
        hash_plain(path, stopped=replace)


def test_a_file_that_goes_away_is_said_to_have_changed(tmp_path: Path) -> None:
    with pytest.raises(InvalidProjectError, match=r"gone\.bin changed"):
        hash_plain(tmp_path / "gone.bin")


def test_progress_names_every_file_once(tmp_path: Path) -> None:
    directory = make_model(tmp_path)
    seen: list[str] = []
    found = scan(directory, load_project(directory), on_file=lambda file: seen.append(file.path))
    assert sorted(seen) == [file.path for file in found.files]


def test_an_interrupt_ends_the_reading(tmp_path: Path) -> None:
    directory = make_model(tmp_path)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(directory, load_project(directory), on_file=interrupt)
