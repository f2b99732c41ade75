# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Small git repositories, made with the real git and nobody's configuration."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.peers import missing

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@acme.example",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@acme.example",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "HOME": os.devnull,
}


def git(root: Path, *arguments: str) -> str:
    """Run git in `root`, and return what it says; without git, a peer is missing."""
    if shutil.which("git") is None:
        missing("git is not installed")
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        env={"PATH": os.environ["PATH"], **_ENVIRONMENT},
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return done.stdout.strip()


def make_repository(root: Path, *, sha256: bool = False) -> Path:
    """Make a repository without a commit."""
    root.mkdir(parents=True, exist_ok=True)
    kind = ("--object-format=sha256",) if sha256 else ()
    git(root, "init", "--quiet", "--initial-branch=main", *kind)
    return root


def commit(root: Path, files: Mapping[str, str], message: str = "work") -> str:
    """Write files, commit all there is, and return the commit."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(root, "rev-parse", "HEAD")
