# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Trusted roots out of a TUF repository: kept, never rolled back, never asked for offline."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.tuf_repository import TufRepository, tuf_repository
from tests.support.virtual_sigstore import VirtualSigstore

from modelseal.errors import Error, UnavailableError, UsageError, VerificationError
from modelseal.trust.trusted_root import TRUSTED_ROOT, load_root, load_trusted_root, read_source
from modelseal.trust.tuf_repository import Repository, TufCache

ROOT = VirtualSigstore().trusted_root()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TufRepository]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with tuf_repository(tmp_path / "tuf") as made:
        made.add(TRUSTED_ROOT, ROOT)
        yield made


def read(repository: TufRepository, *, first: bool = False, offline: bool = False) -> bytes:
    root = f"#{repository.first_root}" if first else ""
    return read_source(f"tuf+{repository.url}{root}", TRUSTED_ROOT, offline=offline)


def refused(repository: TufRepository, kind: type[Error]) -> str:
    with pytest.raises(kind) as caught:
        read(repository)
    assert caught.value.hint
    return caught.value.reason


def test_the_trusted_root_comes_from_the_first_root_on(repository: TufRepository) -> None:
    assert read(repository, first=True) == ROOT
    assert load_trusted_root(f"tuf+{repository.url}").get_fulcio_certs()
    assert load_root(f"tuf+{repository.url}") is not None


def test_a_repository_without_its_first_root_is_not_believed(repository: TufRepository) -> None:
    assert refused(repository, UsageError) == "invalid-trust-file"
    assert repository.asked == []


def test_the_next_run_knows_the_root_and_fetches_no_target_again(repository: TufRepository) -> None:
    read(repository, first=True)
    repository.asked.clear()
    assert read(repository) == ROOT
    assert not any("/targets/" in path for path in repository.asked)


def test_news_arrive(repository: TufRepository) -> None:
    read(repository, first=True)
    newer = VirtualSigstore().trusted_root()
    repository.add(TRUSTED_ROOT, newer)
    assert read(repository) == newer


def test_expired_metadata_is_refused_and_told(repository: TufRepository) -> None:
    read(repository, first=True)
    repository.expire()
    assert refused(repository, VerificationError) == "expired-metadata"
    assert read(repository, offline=True) == ROOT


def test_older_metadata_is_refused_and_told(repository: TufRepository) -> None:
    read(repository, first=True)
    repository.roll_back()
    assert refused(repository, VerificationError) == "rolled-back-metadata"


def test_metadata_by_another_key_is_refused(repository: TufRepository) -> None:
    read(repository, first=True)
    repository.forge()
    assert refused(repository, VerificationError) == "untrusted-metadata"


def test_a_target_with_other_bytes_is_refused(repository: TufRepository) -> None:
    (repository.directory / "targets" / TRUSTED_ROOT).write_bytes(b"x" * len(ROOT))
    with pytest.raises(VerificationError):
        read(repository, first=True)


def test_a_first_root_of_another_repository_is_refused(
    repository: TufRepository, tmp_path: Path
) -> None:
    with tuf_repository(tmp_path / "other") as other:
        source = f"tuf+{repository.url}#{other.first_root}"
        with pytest.raises(VerificationError) as caught:
            read_source(source, TRUSTED_ROOT)
    assert caught.value.reason == "untrusted-metadata"


def test_a_target_that_is_not_there_is_told(repository: TufRepository) -> None:
    with pytest.raises(UsageError, match=r"has no signing_config\.v0\.2\.json"):
        read_source(f"tuf+{repository.url}#{repository.first_root}", "signing_config.v0.2.json")


def test_a_repository_that_does_not_answer_is_unavailable(
    repository: TufRepository, tmp_path: Path
) -> None:
    read(repository, first=True)
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        (repository.directory / name).rename(tmp_path / name)
    assert refused(repository, UnavailableError) == "unavailable"
    assert read(repository, offline=True) == ROOT


def test_offline_asks_nobody_and_checks_again(
    repository: TufRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnavailableError) as caught:
        read(repository, offline=True)
    assert caught.value.reason == "not-cached"
    read(repository, first=True)

    def blocked(*_: object) -> None:
        raise AssertionError("a socket was used")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    assert read(repository, offline=True) == ROOT
    raw, expires = TufCache().cached(Repository(repository.url), TRUSTED_ROOT)
    assert raw == ROOT
    assert expires.year >= 2026


def test_a_cache_that_was_changed_is_refused(repository: TufRepository, tmp_path: Path) -> None:
    read(repository, first=True)
    (kept,) = (tmp_path / "data").rglob(TRUSTED_ROOT)
    kept.write_bytes(VirtualSigstore().trusted_root())
    with pytest.raises(VerificationError) as caught:
        read(repository, offline=True)
    assert caught.value.reason == "untrusted-metadata"


@pytest.mark.parametrize(
    "source",
    [
        "tuf+http://tuf.acme.example",
        "tuf+ftp://tuf.acme.example",
        "tuf+https://",
        "tuf+https://user:secret@tuf.acme.example",
        "tuf+file:///etc",
    ],
)
def test_only_https_is_a_repository(source: str) -> None:
    with pytest.raises(UsageError, match="not a TUF repository"):
        read_source(source, TRUSTED_ROOT)
