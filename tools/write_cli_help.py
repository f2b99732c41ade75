# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Write the real `--help` of every command into docs/cli.md.

    .venv/bin/python tools/write_cli_help.py

Only the blocks that begin with `$ modelseal … --help` are replaced; a command without a block gets
one at the end of the file, to be moved to its place. `tests/e2e/test_docs.py` fails when the page
and the command say different things.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"

_BLOCK = re.compile(
    r"^```console\n\$ modelseal((?: [a-z]+)*) --help\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMAND = re.compile(r"^  ([a-z]+) ", re.MULTILINE)


def blocks(page: str) -> dict[tuple[str, ...], str]:
    """Return the help that a page shows, by the words of the command."""
    return {tuple(words.split()): text for words, text in _BLOCK.findall(page)}


def real_help(program: Path) -> dict[tuple[str, ...], str]:
    """Return the help of every command of `program`, by its words; the group's own by `()`."""
    found: dict[tuple[str, ...], str] = {}
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        words = waiting.pop(0)
        text = found[words] = _ask(program, words)
        listed = text.partition("\nCommands:\n")[2].partition("\n\n")[0]
        waiting += [(*words, name) for name in _COMMAND.findall(listed)]
    return found


def _ask(program: Path, words: tuple[str, ...]) -> str:
    environment = {"PATH": os.environ.get("PATH", ""), "COLUMNS": "80", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [program, *words, "--help"],
        env=environment,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return done.stdout


def rewrite(page: str, real: dict[tuple[str, ...], str]) -> str:
    """Return the page with the real help in its blocks, and blocks for what has none."""

    def block(words: tuple[str, ...]) -> str:
        return f"```console\n$ {' '.join(('modelseal', *words))} --help\n{real[words]}```"

    def replaced(match: re.Match[str]) -> str:
        words = tuple(match[1].split())
        return block(words) if words in real else ""

    missing = [words for words in real if words not in blocks(page)]
    return _BLOCK.sub(replaced, page) + "".join(f"\n{block(words)}\n" for words in missing)


def main() -> int:
    """Rewrite the page with the help of the command that stands beside this Python."""
    real = real_help(Path(sys.executable).parent / "modelseal")
    PAGE.write_text(rewrite(PAGE.read_text(encoding="utf-8"), real), encoding="utf-8")
    print(f"{PAGE}: {len(real)} commands")
    return 0


if __name__ == "__main__":
    sys.exit(main())
