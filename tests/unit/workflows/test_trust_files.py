# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles for closed sites: what goes in is read first, and what comes out is compared."""

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.tuf_repository import tuf_repository
from tests.support.virtual_sigstore import VirtualSigstore
from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined] # documented so

from modelseal.errors import (
    ConflictError,
    ContentMismatchError,
    Error,
    UnavailableError,
    UsageError,
)
from modelseal.trust.keys import generate_key, write_key_pair
from modelseal.trust.tuf_repository import shipped_root
from modelseal.workflows.trust_files import Wanted, export, show

ROOT = VirtualSigstore().trusted_root()


def clock() -> datetime:
    return datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root.json"
    path.write_bytes(ROOT)
    return path


def test_a_trusted_root_tells_what_it_names_and_until_when(root: Path) -> None:
    shown = show(root)
    assert {part.kind for part in shown.parts} == {
        "certificate authority (Fulcio)",
        "certificate transparency log",
        "transparency log (Rekor)",
    }
    assert shown.expires == min(part.ends for part in shown.parts if part.ends)
    for part in shown.parts:
        assert part.name
        assert part.fingerprint


def test_what_is_packed_comes_out_as_it_was(root: Path, tmp_path: Path) -> None:
    key = write_key_pair(generate_key(), tmp_path / "k", lambda: "secret").public
    made = export(tmp_path / "out", Wanted(trusted_root=root, keys=[key]), clock)
    assert (tmp_path / "out" / "trusted_root.json").read_bytes() == ROOT
    assert (tmp_path / "out" / "keys" / "k.pub").read_bytes() == key.read_bytes()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["createdAt"] == "2026-11-25T00:00:00Z"
    assert [one["path"] for one in manifest["files"]] == ["trusted_root.json", "keys/k.pub"]
    again = show(tmp_path / "out")
    assert again.files == made.files
    assert again.parts == made.parts


POLICY = """
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {name: p}
spec:
  roles: {signer: {identities: [%s]}}
  rules: [{use: signed, with: {role: signer}}]
"""


def test_without_a_trusted_root_the_public_instances_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with tuf_repository(tmp_path / "tuf") as public:
        public.add("trusted_root.json", ROOT)
        source = f"tuf+{public.url}#{public.first_root}"
        made = export(tmp_path / "a", Wanted(public_instance=source), clock)
        assert [file.path for file in made.files] == ["trusted_root.json"]
        assert made.files[0].raw == ROOT
        identity = "{issuer: https://issuer.example, subject: a@acme.example}"
        (tmp_path / "keyless.yaml").write_text(POLICY % identity)
        wanted = Wanted(public_instance=source, policies=[tmp_path / "keyless.yaml"])
        assert len(export(tmp_path / "b", wanted, clock).files) == 2
    offline = Wanted(public_instance=f"tuf+{public.url}", offline=True)
    assert export(tmp_path / "c", offline, clock).files == made.files


def test_where_keys_are_believed_no_sigstore_is_asked(tmp_path: Path) -> None:
    key = generate_key().public_key()
    (tmp_path / "k.pub").write_bytes(key.pem)
    (tmp_path / "p.yaml").write_text(POLICY % f"{{publicKey: {json.dumps(key.pem.decode())}}}")
    nobody = "tuf+http://127.0.0.1:9"
    for name, wanted in (
        ("a", Wanted(keys=[tmp_path / "k.pub"], public_instance=nobody)),
        ("b", Wanted(policies=[tmp_path / "p.yaml"], public_instance=nobody)),
    ):
        assert len(export(tmp_path / name, wanted, clock).files) == 1


def test_offline_the_public_instance_has_to_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(UnavailableError, match=r"sigstore\.dev was never") as e:
        export(tmp_path / "out", Wanted(offline=True), clock)
    assert (e.value.reason, e.value.hint.partition(",")[0]) == (
        "not-cached",
        "run once with the network",
    )
    assert not (tmp_path / "out").exists()


def test_the_public_instances_first_root_is_at_hand() -> None:
    path = shipped_root()
    assert path is not None
    root = Metadata[Root].from_bytes(path.read_bytes())
    root.verify_delegate("root", root)  # by enough of its own keys


def test_an_archive_is_the_same_for_the_same_input(root: Path, tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        export(tmp_path / name, Wanted(trusted_root=root), clock)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert show(tmp_path / "a.tar").files[0].raw == ROOT


def test_a_private_key_is_not_packed(tmp_path: Path) -> None:
    private = write_key_pair(generate_key(), tmp_path / "k", lambda: "secret").private
    with pytest.raises(Error):
        export(tmp_path / "out", Wanted(keys=[private]), clock)
    assert not (tmp_path / "out").exists()


def test_what_the_site_could_not_read_is_not_packed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("{}")
    wanted = [
        Wanted(trusted_root=tmp_path / "bad"),
        Wanted(trusted_root=root, policies=[tmp_path / "bad"]),
        Wanted(trusted_root=root, signing_config=tmp_path / "bad"),
        Wanted(trusted_root=tmp_path / "nothing"),
    ]
    for one in wanted:
        with pytest.raises(UsageError):
            export(tmp_path / "out", one, clock)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(root: Path, tmp_path: Path) -> None:
    for name in ("out", "out.tar"):
        export(tmp_path / name, Wanted(trusted_root=root), clock)
        with pytest.raises(ConflictError):
            export(tmp_path / name, Wanted(trusted_root=root), clock)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = []
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        paths.append(write_key_pair(generate_key(), tmp_path / directory / "k", lambda: "x").public)
    with pytest.raises(UsageError, match="two files"):
        export(tmp_path / "out", Wanted(keys=paths), clock)


def test_a_changed_file_is_told(root: Path, tmp_path: Path) -> None:
    export(tmp_path / "out", Wanted(trusted_root=root), clock)
    (tmp_path / "out" / "trusted_root.json").write_bytes(VirtualSigstore().trusted_root())
    with pytest.raises(ContentMismatchError, match=r"trusted_root\.json"):
        show(tmp_path / "out")


@pytest.mark.parametrize(
    "manifest",
    [
        "{}",
        '{"kind": "TrustBundle"}',
        '{"kind": "TrustBundle", "files": [7]}',
        '{"kind": "TrustBundle", "files": [{"path": "../root.json", "kind": "x", "digest": ""}]}',
        '{"kind": "TrustBundle", "files": [{"path": "/etc/passwd", "kind": "x", "digest": ""}]}',
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(manifest)
    with pytest.raises(UsageError, match="no trust bundle"):
        show(tmp_path / "out")


def test_an_archive_with_anything_but_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(UsageError, match="no bundle"):
        show(path)
    path.write_bytes(b"no archive")
    with pytest.raises(UsageError):
        show(path)
