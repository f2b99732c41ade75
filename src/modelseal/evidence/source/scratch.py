# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Asking git about a stranger's repository, without letting the repository run anything.

A repository's own configuration names programs that git starts: `core.fsmonitor` and filters for a
mere `git status`, hooks, a pager, an ssh command, remotes that are programs. So what would act upon
it is asked in a git directory of our own: it has the commit, a copy of the index, the objects of
the other one, and a configuration that we wrote. The stranger's own is read by `git rev-parse`,
`git symbolic-ref` and `git config` only, which start nothing.

Source: git-config(1); gitattributes(5), `filter`; git(1), "Environment Variables".
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from modelseal.evidence.programs import ProgramError, ask_program

MAX_INDEX_BYTES: Final = 256 << 20
"""Largest index of a repository that is copied."""

# What tells git how this disk behaves; true, false, or a word of its own list.
_HARMLESS: Final[Mapping[str, re.Pattern[str]]] = {
    "core.autocrlf": re.compile("true|false|input"),
    "core.eol": re.compile("lf|crlf|native"),
    "core.filemode": re.compile("true|false"),
    "core.ignorecase": re.compile("true|false"),
    "core.precomposeunicode": re.compile("true|false"),
    "core.symlinks": re.compile("true|false"),
}
_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_TRUSTING: Final = "[safe]\n\tdirectory = *\n[core]\n\tfsmonitor = false\n"


class Scratch:
    """A repository that is looked at, and a git directory of our own to do so."""

    def __init__(self, program: Path, root: Path, home: Path, *, timeout: float) -> None:
        """Prepare to look at the working tree `root`, with `home` as an empty directory for us.

        Args:
            program: git.
            root: the working tree.
            home: where our own git directory is made.
            timeout: seconds that one answer may take.

        Raises:
            ProgramError: git does not take it for a repository, or it has no commit yet.
        """
        self._program, self._root, self._timeout = program, root, timeout
        self._directory = home / "git"
        self._environment = {
            "PATH": str(home),  # nothing is found there
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(root.parent),
            "GIT_CONFIG_GLOBAL": str(home / "global"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        (home / "global").write_text(_TRUSTING, encoding="utf-8")
        told = self._read(
            *("rev-parse", "--path-format=absolute", "--absolute-git-dir", "--git-common-dir"),
            *("--show-object-format", "--is-shallow-repository"),
        ).splitlines()
        if len(told) != 4:  # noqa: PLR2004 - the questions
            raise ProgramError("git did not say where the repository is")
        self._git_dir, self._common = Path(told[0]), Path(told[1])
        self._format, self.shallow = told[2], told[3] == "true"
        self.commit = self._read("rev-parse", "--verify", "HEAD").strip()
        if not _COMMIT.fullmatch(self.commit):
            raise ProgramError("git did not say which commit is checked out")
        self._make()

    def branch(self) -> str:
        """Return the ref that is checked out, `refs/heads/main`; empty when none is."""
        return self._read("symbolic-ref", "--quiet", "HEAD", answers=(0, 1)).strip()

    def setting(self, pattern: str) -> Iterator[tuple[str, str]]:
        """Yield the repository's own settings whose names match, without what it includes."""
        question = ("config", "--local", "--no-includes", "-z", "--get-regexp", pattern)
        for entry in self._read(*question, answers=(0, 1)).split("\0"):
            name, _, value = entry.partition("\n")
            if name:
                yield name, value

    def ask(self, *question: str, answers: tuple[int, ...] = (0,)) -> tuple[int, bytes]:
        """Ask git in our own directory; return its exit code and answer.

        Raises:
            ProgramError: it did not answer.
        """
        environment = {
            **self._environment,
            "GIT_DIR": str(self._directory),
            "GIT_INDEX_FILE": str(self._directory / "index"),
            "GIT_OBJECT_DIRECTORY": str(self._common / "objects"),
            "GIT_WORK_TREE": str(self._root),
        }
        command = [str(self._program), "-C", str(self._root), "--no-pager", *question]
        return ask_program(command, environment, answers=answers, timeout=self._timeout)

    def _read(self, *question: str, answers: tuple[int, ...] = (0,)) -> str:
        """Ask what the repository is; of the commands that start nothing."""
        # A fsmonitor of the repository loses against ours, should a command ever ask for one.
        command = [
            *(
                str(self._program),
                "-C",
                str(self._root),
                "--no-pager",
                "-c",
                "core.fsmonitor=false",
            ),
            *("-c", f"core.hooksPath={os.devnull}", *question),
        ]
        _, answer = ask_program(command, self._environment, answers=answers, timeout=self._timeout)
        return answer.decode("utf-8", "backslashreplace")

    def _make(self) -> None:
        for name in ("objects", "refs", "info"):
            (self._directory / name).mkdir(parents=True)
        (self._directory / "HEAD").write_text(f"{self.commit}\n", encoding="ascii")
        (self._directory / "config").write_text("\n".join(self._configuration()), encoding="ascii")
        _copy(self._git_dir / "index", self._directory / "index")
        for shared in sorted(self._git_dir.glob("sharedindex.*"))[:2]:
            _copy(shared, self._directory / shared.name)
        _copy(self._common / "shallow", self._directory / "shallow")
        _copy(self._common / "info" / "exclude", self._directory / "info" / "exclude")

    def _configuration(self) -> Iterator[str]:
        sha256 = self._format == "sha256"
        yield "[core]"
        yield f"\trepositoryformatversion = {1 if sha256 else 0}"
        yield "\tbare = false"
        yield "\tuntrackedCache = false"
        for name, value in self.setting(r"^core\."):
            form = _HARMLESS.get(name)
            if form is not None and form.fullmatch(value):
                yield f"\t{name.removeprefix('core.')} = {value}"
        if sha256:
            yield "[extensions]\n\tobjectFormat = sha256"
        yield ""


def _copy(source: Path, target: Path) -> None:
    """Copy a plain file, if it is there.

    Raises:
        ProgramError: it is too large, or the disk refuses.
    """
    try:
        if not source.is_file():
            return
        if source.stat().st_size > MAX_INDEX_BYTES:
            raise ProgramError(f"{source.name} has more than {MAX_INDEX_BYTES >> 20} MiB")
        shutil.copyfile(source, target)
        told = source.stat()
        # git looks into files that changed when the index did, or later: its time is part of it.
        os.utime(target, ns=(told.st_atime_ns, told.st_mtime_ns))
    except OSError as error:
        raise ProgramError(f"{source.name} cannot be read: {error.strerror}") from error
