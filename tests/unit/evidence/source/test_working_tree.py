# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What git says about the place that a model stands in, and that nothing of a repository runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.git import commit, git, make_repository
from tests.support.machines import program

from modelseal.evidence.source.remotes import public_remote, same_repository
from modelseal.evidence.source.working_tree import (
    NoWorkingTree,
    Relation,
    WorkingTree,
    read_working_tree,
)

HERE = {"PATH": os.environ["PATH"]}


def read(directory: Path, compared_with: str = "") -> WorkingTree:
    found = read_working_tree(directory, HERE, compared_with=compared_with)
    assert isinstance(found, WorkingTree), found
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = make_repository(tmp_path / "code")
    commit(root, {"train.py": "print(1)\n", ".gitignore": "*.log\n"})
    (root / "model").mkdir()
    return root


def test_a_clean_tree_is_told_with_its_commit_branch_and_remote(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://ada:ghp_secret@github.com/acme/fraud.git")
    (repository / "model" / "weights.bin").write_bytes(b"weights")
    (repository / "train.log").write_text("ignored")
    found = read(repository / "model")
    assert found.clean
    assert found.commit == git(repository, "rev-parse", "HEAD")
    assert found.to_json() == {
        "commit": found.commit,
        "ref": "refs/heads/main",
        "remote": "https://github.com/acme/fraud.git",
        "clean": True,
    }


def test_files_that_differ_are_named(repository: Path) -> None:
    commit(repository, {"gone.py": "x", "model/card.md": "old"})
    (repository / "train.py").write_text("print(2)\n")
    (repository / "gone.py").unlink()
    (repository / "model" / "card.md").write_text("new card")
    (repository / "new.py").write_text("x")
    (repository / "staged ünd\nodd.py").write_text("x")
    git(repository, "add", "staged ünd\nodd.py")
    found = read(repository / "model")
    assert set(found.changed) == {"train.py", "gone.py", "model/card.md", "staged ünd\nodd.py"}
    assert found.untracked == ("new.py",)
    assert not found.clean
    assert found.to_json()["changedFiles"] == "4"


def test_a_change_of_the_same_size_in_the_same_second_is_seen(repository: Path) -> None:
    for number in range(5):
        made = commit(repository, {"train.py": f"print({number})\n"})
        (repository / "train.py").write_text(f"print({number + 1})\n")
        found = read(repository)
        assert (found.commit, found.changed) == (made, ("train.py",))


def test_what_is_executable_or_ignored_here_only_is_as_the_repository_says(
    repository: Path,
) -> None:
    git(repository, "config", "core.fileMode", "false")
    (repository / "train.py").chmod(0o755)
    (repository / ".git" / "info" / "exclude").write_text("scratch.py\n")
    (repository / "scratch.py").write_text("x")
    assert read(repository).clean
    git(repository, "config", "core.fileMode", "true")
    assert read(repository).changed == ("train.py",)


def test_a_commit_is_the_same_earlier_other_or_absent(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "side")
    other = commit(repository, {"side.py": "x"})
    git(repository, "checkout", "--quiet", "main")
    last = commit(repository, {"more.py": "x"})
    told = {name: read(repository, name).relation for name in (last, first, other, "f" * 40)}
    assert list(told.values()) == [
        Relation.SAME,
        Relation.EARLIER,
        Relation.OTHER,
        Relation.ABSENT,
    ]


def test_a_shallow_clone_does_not_know_what_it_has_not_fetched(
    repository: Path, tmp_path: Path
) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, {"more.py": "x"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    found = read(tmp_path / "shallow", first)
    assert found.relation is Relation.UNKNOWN
    assert found.clean
    assert found.remote == ""  # a path of this disk


def test_linked_worktrees_submodules_and_sha256_are_read(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    linked = read(tmp_path / "linked")
    assert linked.clean
    assert linked.ref == ""
    outer = make_repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repository), "sub")
    commit(outer, {"outer.py": "x"})
    assert read(outer).clean
    assert read(outer / "sub").commit == git(repository, "rev-parse", "HEAD")
    new = make_repository(tmp_path / "new", sha256=True)
    made = commit(new, {"a.py": "x"})
    (new / "a.py").write_text("y")
    found = read(new)
    assert found.commit == made
    assert len(made) == 64
    assert found.changed == ("a.py",)


def test_files_behind_a_filter_are_told_and_not_guessed_about(repository: Path) -> None:
    commit(repository, {".gitattributes": "*.safetensors filter=lfs\n", "w.safetensors": "pointer"})
    (repository / "w.safetensors").write_text("the weights themselves")
    (repository / "train.py").write_text("print(2)\n")
    found = read(repository)
    assert found.not_compared == ("w.safetensors",)
    assert found.changed == ("train.py",)


def hostile(root: Path, marks: Path) -> None:
    """Make everything in a repository run a program that leaves a mark."""
    marks.mkdir()
    evil = {
        name: program(marks.parent / "evil", name, f"touch {marks}/{name}; cat")
        for name in (
            *("fsmonitor", "clean", "process", "smudge", "textconv", "external", "pager", "editor"),
            *("ssh", "askpass", "helper", "gpg", "proxy", "alternates"),
        )
    }
    hooks = root / ".git" / "hooks"
    for hook in ("post-index-change", "pre-commit", "post-checkout", "reference-transaction"):
        program(hooks, hook, f"touch {marks}/hook-{hook}")
    included = marks.parent / "included"
    included.write_text(f"[core]\n\tfsmonitor = {evil['fsmonitor']}\n")
    settings = {
        "core.fsmonitor": evil["fsmonitor"],
        "core.hooksPath": hooks,
        "core.pager": evil["pager"],
        "core.editor": evil["editor"],
        "core.sshCommand": evil["ssh"],
        "core.askPass": evil["askpass"],
        "core.gitProxy": evil["proxy"],
        "core.alternateRefsCommand": evil["alternates"],
        "pager.status": evil["pager"],
        "pager.config": evil["pager"],
        "credential.helper": f"!{evil['helper']}",
        "diff.external": evil["external"],
        "diff.evil.textconv": evil["textconv"],
        "filter.evil.clean": evil["clean"],
        "filter.evil.smudge": evil["smudge"],
        "filter.other.process": evil["process"],
        "gpg.program": evil["gpg"],
        "alias.status": f"!{evil['pager']}",
        "alias.rev-parse": f"!{evil['pager']}",
        "include.path": included,
        "remote.origin.url": f"ext::{evil['ssh']} %S",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": evil["ssh"],
        "extensions.partialClone": "origin",
        "protocol.allow": "always",
        "status.showUntrackedFiles": "all",
        "status.submoduleSummary": "true",
        "core.untrackedCache": "true",
    }
    for name, value in settings.items():
        git(root, "config", name, str(value))
    git(root, "config", "core.repositoryFormatVersion", "1")


def test_nothing_that_a_hostile_repository_names_is_run(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "code")
    attributes = "*.py filter=evil diff=evil\n*.bin filter=other\n"
    files = {"train.py": "print(1)\n", "w.bin": "1234", ".gitattributes": attributes}
    commit(root, {**files, "lost.py": "lost\n"})
    lost = git(root, "rev-parse", "HEAD:lost.py")
    hostile(root, tmp_path / "marks")
    # Other times, and other contents of the same size: git has to look into them.
    for name, text in files.items():
        (root / name).write_text(text.replace("1", "2"))
    (root / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    (root / "lost.py").write_text("gone\n")
    found = read_working_tree(root, HERE, compared_with="f" * 40)
    assert isinstance(found, WorkingTree)
    assert found.remote == ""
    assert set(found.changed) | set(found.not_compared) >= {"train.py", "w.bin"}
    assert list((tmp_path / "marks").iterdir()) == []
    # And git itself would have run them, so that this test can fail.
    subprocess.run(
        ["git", "-C", str(root), "status"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert {mark.name for mark in (tmp_path / "marks").iterdir()} >= {"fsmonitor", "clean"}


def test_the_repository_stays_as_it_is(repository: Path) -> None:
    (repository / "train.py").touch()

    def everything() -> dict[str, tuple[int, bytes]]:
        found = (path for path in sorted((repository / ".git").rglob("*")) if path.is_file())
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    before = everything()
    read(repository)
    assert everything() == before


def test_no_repository_no_git_no_commit_and_a_broken_one_are_said(
    repository: Path, tmp_path: Path
) -> None:
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    missing = read_working_tree(lonely, HERE)
    assert isinstance(missing, NoWorkingTree)
    assert missing.is_missing
    without = read_working_tree(repository, {"PATH": str(lonely)})
    assert isinstance(without, NoWorkingTree)
    assert "not installed" in without.why
    new = read_working_tree(make_repository(tmp_path / "new"), HERE)
    assert isinstance(new, NoWorkingTree)
    assert not new.is_missing
    shutil.rmtree(repository / ".git" / "objects")
    broken = read_working_tree(repository, HERE)
    assert isinstance(broken, NoWorkingTree)
    assert "cannot be read" in broken.why


def test_a_git_that_hangs_is_given_up_on(repository: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin", "git", "/bin/sleep 60")
    found = read_working_tree(repository, {"PATH": str(tmp_path / "bin")}, timeout=0.3)
    assert isinstance(found, NoWorkingTree)
    assert "longer than" in found.why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to somebody else")
def test_a_repository_that_somebody_else_put_above_us_does_not_count(tmp_path: Path) -> None:
    make_repository(tmp_path)
    commit(tmp_path, {"a.py": "x"})
    (tmp_path / "model").mkdir()
    os.chown(tmp_path / ".git", 65534, 65534)
    found = read_working_tree(tmp_path / "model", HERE)
    assert isinstance(found, NoWorkingTree)
    assert "somebody else" in found.why
    os.chown(tmp_path, 65534, 65534)  # a whole checkout of another user, as CI systems make them
    assert read(tmp_path / "model").commit


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://github.com/acme/fraud.git", "https://github.com/acme/fraud.git"),
        ("https://ada:pw@github.com:8443/acme/fraud?t=x#y", "https://github.com:8443/acme/fraud"),
        ("https://ghp_token@github.com/acme/fraud", "https://github.com/acme/fraud"),
        ("git@github.com:acme/fraud.git", "ssh://github.com/acme/fraud.git"),
        ("ssh://git@[2001:db8::1]:22/acme/fraud", "ssh://[2001:db8::1]:22/acme/fraud"),
        ("/home/ada/code", ""),
        ("file:///home/ada/code", ""),
        ("../code", ""),
        ("C:\\code", ""),
        ("ext::sh -c evil", ""),
        ("https://[", ""),
        ("https://x/\n", ""),
        ("", ""),
    ],
)
def test_a_remote_is_published_without_credentials_or_not_at_all(url: str, public: str) -> None:
    assert public_remote(url) == public


@given(st.text(), st.text(alphabet="abcXYZ019-_~%", min_size=1))
def test_no_password_survives(path: str, password: str) -> None:
    secret = f"S3CRET{password}"
    for url in (f"https://ada:{secret}@host.example/{path}", f"ssh://{secret}@host.example/{path}"):
        assert secret not in public_remote(url) or secret in path


def test_two_ways_to_write_one_repository_are_one() -> None:
    assert same_repository("git@github.com:Acme/fraud.git", "https://github.com/acme/fraud")
    assert not same_repository("https://github.com/acme/fraud", "https://gitlab.com/acme/fraud")
    assert not same_repository("/a", "/a")
