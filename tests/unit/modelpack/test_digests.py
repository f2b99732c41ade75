# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Digests that are remembered: never of a file that may have changed, never at any price."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.modelpack import digests
from modelseal.modelpack.digests import GRAIN_NS, DigestCache, settled
from modelseal.modelpack.plain_files import hash_plain
from modelseal.oci.content import FileIdentity
from modelseal.oci.descriptor import Digest

DIGEST = Digest.of(b"weights")
LONG_AGO = 1_000_000_000 * 10**9
LATER = LONG_AGO + 10 * GRAIN_NS


def identity(*, inode: int = 7, mtime_ns: int = LONG_AGO, ctime_ns: int = LONG_AGO) -> FileIdentity:
    return FileIdentity(1, inode, 1000, mtime_ns, ctime_ns)


def saved(tmp_path: Path) -> Path:
    """Save one digest; return the directory."""
    cache = DigestCache(tmp_path / "digests")
    cache.put(identity(), DIGEST, LATER)
    cache.save()
    return tmp_path / "digests"


def old_file(tmp_path: Path, data: bytes = b"weights") -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(data)
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock say that all files are old."""
    real = digests.now_ns

    def now() -> int:
        return real() + 10 * GRAIN_NS

    monkeypatch.setattr("modelseal.modelpack.plain_files.now_ns", now)


def test_what_was_saved_is_known_to_the_next(tmp_path: Path) -> None:
    assert DigestCache(saved(tmp_path)).get(identity()) == DIGEST


@pytest.mark.parametrize(
    "other",
    [
        identity(inode=8),
        identity(mtime_ns=LONG_AGO + 1),
        identity(ctime_ns=LONG_AGO + 1),
        FileIdentity(2, 7, 1000, LONG_AGO, LONG_AGO),
        FileIdentity(1, 7, 1001, LONG_AGO, LONG_AGO),
    ],
)
def test_a_file_that_differs_in_anything_is_not_known(tmp_path: Path, other: FileIdentity) -> None:
    assert DigestCache(saved(tmp_path)).get(other) is None


@pytest.mark.parametrize("age", [-GRAIN_NS, 0, 1, GRAIN_NS])
def test_a_racy_file_is_not_remembered(tmp_path: Path, age: int) -> None:
    """Written to within a tick of the clock, it could change and look the same."""
    for fresh in (identity(mtime_ns=LATER - age), identity(ctime_ns=LATER - age)):
        cache = DigestCache(tmp_path / "digests")
        cache.put(fresh, DIGEST, LATER)
        assert not settled(fresh, LATER)
        assert cache.get(fresh) is None


def test_a_file_just_written_is_hashed_again_and_again(tmp_path: Path) -> None:
    cache, path = DigestCache(tmp_path / "digests"), old_file(tmp_path)
    assert hash_plain(path, known=cache).identity is None
    path.write_bytes(b"WEIGHTS")
    assert hash_plain(path, known=cache).digest == Digest.of(b"WEIGHTS")


@pytest.mark.usefixtures("later")
def test_a_settled_file_is_not_read_again(tmp_path: Path) -> None:
    cache, path = DigestCache(tmp_path / "digests"), old_file(tmp_path)
    first = hash_plain(path, known=cache)
    assert first.identity == FileIdentity.of(path.stat())
    cache.save()
    again = hash_plain(path, known=DigestCache(tmp_path / "digests"), stopped=lambda: True)
    assert (again.digest, again.size) == (first.digest, first.size)
    assert again.identity is None, "who sends it has to hash it: nobody did in this process"


@pytest.mark.usefixtures("later")
def test_a_change_that_keeps_size_and_mtime_is_seen(tmp_path: Path) -> None:
    cache, path = DigestCache(tmp_path / "digests"), old_file(tmp_path)
    before = path.stat()
    hash_plain(path, known=cache)
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # at most one tick
        path.write_bytes(b"WEIGHTS")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert hash_plain(path, known=cache).digest == Digest.of(b"WEIGHTS")


def test_it_is_ours_alone(tmp_path: Path) -> None:
    directory = saved(tmp_path)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600]


def replaced_by_a_link(directory: Path) -> None:
    real = directory.rename(directory.with_name("elsewhere"))
    directory.symlink_to(real)


def file_is_a_link(directory: Path) -> None:
    path = directory / "digests.json"
    path.symlink_to(path.rename(directory / "other.json"))


def file_is_a_pipe(directory: Path) -> None:
    (directory / "digests.json").unlink()
    os.mkfifo(directory / "digests.json")


@pytest.mark.parametrize(
    "spoil",
    [
        replaced_by_a_link,
        file_is_a_link,
        file_is_a_pipe,
        lambda directory: directory.chmod(0o770),
        lambda directory: (directory / "digests.json").chmod(0o666),
        lambda directory: (directory / "digests.json").write_bytes(b""),
        lambda directory: (directory / "digests.json").write_bytes(b'{"version": 1, "files": {'),
        lambda directory: (directory / "digests.json").write_bytes(b'{"version": 1, "files": []}'),
        lambda directory: (directory / "digests.json").write_bytes(b'{"version": 2, "files": {}}'),
        lambda directory: (directory / "digests.json").write_bytes(
            (directory / "digests.json").read_bytes().replace(b'"}}', b'x"}}')
        ),
    ],
)
def test_a_cache_that_somebody_else_may_have_written_or_that_is_broken_is_ignored(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    directory = saved(tmp_path)
    spoil(directory)
    assert DigestCache(directory).get(identity()) is None


@given(st.binary(max_size=200))
def test_whatever_stands_there_is_no_error(raw: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        directory = saved(Path(name))
        (directory / "digests.json").write_bytes(raw)
        assert DigestCache(directory).get(identity()) is None


def test_without_a_place_to_write_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "digests").write_text("a file stands where the directory would")
    cache = DigestCache(tmp_path / "digests")
    cache.put(identity(), DIGEST, LATER)
    cache.save()
    assert cache.get(identity()) == DIGEST


def test_it_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_MOST", 3)
    for inode in range(5):
        cache = DigestCache(tmp_path / "digests")
        cache.get(identity(inode=0))  # what is in use stays
        cache.put(identity(inode=inode), DIGEST, LATER)
        cache.save()
    found = [DigestCache(tmp_path / "digests").get(identity(inode=inode)) for inode in range(5)]
    assert [digest is not None for digest in found] == [True, False, False, True, True]


def test_two_processes_keep_what_each_of_them_saw(tmp_path: Path) -> None:
    one, two = DigestCache(tmp_path / "digests"), DigestCache(tmp_path / "digests")
    one.put(identity(inode=1), DIGEST, LATER)
    two.put(identity(inode=2), DIGEST, LATER)
    one.save()
    two.save()
    both = DigestCache(tmp_path / "digests")
    assert both.get(identity(inode=1)) == both.get(identity(inode=2)) == DIGEST
    assert [path.name for path in (tmp_path / "digests").iterdir()] == ["digests.json"]
