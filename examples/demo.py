# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `make demo` runs: a real model, shipped and loaded with proof, then tampered with.

Every line that starts with `$` is the command as a user would type it, and what follows is its
real output. Everything happens in a temporary directory, with a fresh key, without network. The
program fails unless every refusal that it announces really happens.
"""

import hashlib
import io
import json
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PASSPHRASE_VARIABLE = "MODELSEAL_KEY_PASSPHRASE"  # noqa: S105 - the name of it
REFERENCE = "oci:store:0.1.0"
KEY = "release.key"
PUBLIC_KEY = f"{KEY}.pub"

DONE = 0
NOT_VERIFIED = 11


class DemoError(Exception):
    """Something did not behave as announced."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The directory in which it all happens, and the environment of its user."""

    directory: Path
    passphrase: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(24))

    def run(self, *command: str | Path, expect: int = DONE) -> str:
        """Show a command, run it, show what it says, and return that.

        Raises:
            DemoError: it ended with another exit code than `expect`.
        """
        words = [str(word) for word in command]
        print(f"\n  $ {shlex.join(words)}")
        done = subprocess.run(
            [_program(words[0]), *words[1:]],
            cwd=self.directory,
            env=self._environment(),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for line in done.stdout.splitlines():
            print(f"    {line}")
        if expect != DONE:
            print(f"    [exit code {done.returncode}]")
        if done.returncode != expect:
            raise DemoError(f"`{shlex.join(words)}` ended with {done.returncode}, not {expect}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # Nothing that the user has set up for their own work may change what is shown here.
        kept = {name: v for name, v in os.environ.items() if not name.startswith("MODELSEAL_")}
        homes = {f"XDG_{kind}_HOME": str(self.directory / "home") for kind in _XDG}
        return {**kept, **homes, PASSPHRASE_VARIABLE: self.passphrase}

    def blob(self, digest: str) -> Path:
        """Return where the layout keeps the content with this digest."""
        algorithm, _, encoded = digest.partition(":")
        return self.directory / "store" / "blobs" / algorithm / encoded

    def tagged_manifest(self) -> str:
        """Return the digest that the layout's one tag points at."""
        index = json.loads((self.directory / "store" / "index.json").read_bytes())
        (tagged,) = (entry["digest"] for entry in index["manifests"] if "annotations" in entry)
        return str(tagged)


_XDG = ("CONFIG", "CACHE", "DATA", "STATE")


def _program(name: str) -> str:
    if name == "python":
        return sys.executable
    return str(Path(sys.executable).parent / name)


def main() -> int:
    """Run the demo; return its exit code."""
    started = time.monotonic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in a pipe too, what is done is seen
    with tempfile.TemporaryDirectory(prefix="modelseal-demo-") as directory:
        stage = Stage(Path(directory))
        try:
            for number, (title, act) in enumerate(ACTS, start=1):
                print(f"\n{number}. {title}")
                act(stage)
        except DemoError as error:
            print(f"\nThe demo failed: {error}.", file=sys.stderr)
            return 1
    print(
        f"\nDone in {time.monotonic() - started:.0f} seconds; the temporary directory is gone."
        "\nYour own model: modelseal init DIR, then modelseal publish DIR REF. README.md goes on."
    )
    return 0


def _train(stage: Stage) -> None:
    _say(
        "A network that reads handwritten digits, trained here and now with scikit-learn; then a",
        "safetensors and an ONNX file, a model card and an evaluation with the measured numbers.",
        "The data that it learned from lie beside it, and a Croissant file describes them.",
    )
    stage.run("python", ROOT / "examples" / "train_digits.py", "digits", "data")
    _list_files(stage.directory / "digits")


def _init(stage: Stage) -> None:
    _say(
        "modelseal.yaml says what it is and what it was made from; this model brings its own. For",
        "another, `modelseal init DIR` writes one from what it finds in the files.",
    )
    for line in (stage.directory / "digits" / "modelseal.yaml").read_text().splitlines():
        print(f"    {line}")


def _explain(stage: Stage) -> None:
    _say(
        "Before anything is stored: what can be known about the model and how it came to be, how",
        "well each fact is known, and what is missing, with the lines to add to modelseal.yaml.",
        "Nothing stands in for what is missing, and a release does not wait for it. The data are",
        "at hand, so that their digests are compared.",
    )
    stage.run("modelseal", "build", "digits", "--explain", "--data", "data", "--quiet")


def _publish(stage: Stage) -> None:
    _say(
        "A key stands in for the keyless signature that a CI system would make, because this",
        "demo asks nothing of the network. Its passphrase is random and never shown.",
    )
    stage.run("modelseal", "key", "generate", "--output", KEY)
    _say("Build, push, sign, attest, verify, and only then the tag. `oci:store` is a directory;")
    _say("ghcr.io/acme/digits:0.1.0 would stand there for a registry.")
    stage.run("modelseal", "publish", "digits", REFERENCE, "--key", KEY)


def _verify(stage: Stage) -> None:
    _say("Anybody with the public key can check who vouches for the model.")
    stage.run("modelseal", "verify", REFERENCE, "--key", PUBLIC_KEY)


def _lineage(stage: Stage) -> None:
    _say("And what it was made from, and what is declared of its data; signed by the same key.")
    stage.run("modelseal", "lineage", REFERENCE, "--key", PUBLIC_KEY)


def _pull(stage: Stage) -> None:
    _say("Pulling verifies first, and names a file only after its digest matched.")
    stage.run("modelseal", "pull", REFERENCE, "--output", "pulled", "--key", PUBLIC_KEY)
    for path in _files(stage.directory / "digits"):
        name = path.relative_to(stage.directory / "digits")
        if (stage.directory / "pulled" / name).read_bytes() != path.read_bytes():
            raise DemoError(f"{name} is not what was published")
    _say("Every file is byte for byte what was published.")


def _load(stage: Stage) -> None:
    _say("Serving code asks for a verified directory, and gets one or an error:")
    print(
        f"\n  >>> who = modelseal.Believe(key={PUBLIC_KEY!r})"
        f"\n  >>> path = modelseal.load({REFERENCE!r}, who)"
        "\n  >>> predict(path)"
    )
    import modelseal

    who = modelseal.Believe(key=stage.directory / PUBLIC_KEY)
    reference = REFERENCE.replace("oci:", f"oci:{stage.directory}/", 1)
    path = modelseal.load(reference, who, cache=stage.directory / "cache")
    sys.path.insert(0, str(ROOT))  # `examples` is a folder of this checkout, not installed
    from examples.train_digits import predict

    seen = predict(path)
    for row in seen.picture.splitlines():
        print(f"    {row}")
    _say(
        f"A picture that the model was not trained on: it says {seen.predicted} (with probability "
        f"{seen.probability}), and it is a {seen.expected}."
    )


def _tamper_with_weights(stage: Stage) -> None:
    _say("Somebody changes one byte of the weights in the store.")
    weights = stage.directory / "digits" / "model.safetensors"
    with _one_byte_changed(stage.blob(_sha256(weights))):
        stage.run(
            *("modelseal", "pull", REFERENCE, "--output", "tampered", "--key", PUBLIC_KEY),
            *("--quiet",),
            expect=NOT_VERIFIED,
        )
        if (stage.directory / "tampered").exists():
            raise DemoError("a refused pull left files behind")
    _say("Refused, and no file was written. (The byte is set back for what follows.)")


def _tamper_with_manifest(stage: Stage) -> None:
    _say("Or of the manifest, the list of files that was signed. `verify` reads no weights, so")
    _say("it is quick for a model of any size; the manifest is what it stands on.")
    with _one_byte_changed(stage.blob(stage.tagged_manifest())):
        stage.run("modelseal", "verify", REFERENCE, "--key", PUBLIC_KEY, expect=NOT_VERIFIED)
    _say("Set back, it verifies again:")
    stage.run("modelseal", "verify", REFERENCE, "--key", PUBLIC_KEY)


def _unsigned(stage: Stage) -> None:
    _say("The same files, pushed by somebody who may write to the store but has no key.")
    unsigned = "oci:unsigned:0.1.0"
    stage.run("modelseal", "push", "digits", unsigned, "--quiet")
    stage.run("modelseal", "verify", unsigned, "--key", PUBLIC_KEY, expect=NOT_VERIFIED)
    stage.run(
        *("modelseal", "pull", unsigned, "--output", "nothing", "--key", PUBLIC_KEY, "--quiet"),
        expect=NOT_VERIFIED,
    )
    if (stage.directory / "nothing").exists():
        raise DemoError("a refused pull left files behind")


ACTS: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("Train a small real model", _train),
    ("Describe it", _init),
    ("See what is known about it", _explain),
    ("Publish it", _publish),
    ("Verify it", _verify),
    ("Ask what it was made from", _lineage),
    ("Pull it", _pull),
    ("Load it and predict", _load),
    ("Change one byte of the weights", _tamper_with_weights),
    ("Change one byte of the manifest", _tamper_with_manifest),
    ("Offer a model that nobody signed", _unsigned),
)


def _say(*lines: str) -> None:
    for line in lines:
        print(f"   {line}")


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _list_files(directory: Path) -> None:
    for path in _files(directory):
        print(f"    {path.relative_to(directory.parent)} ({path.stat().st_size} bytes)")


def _sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@contextmanager
def _one_byte_changed(path: Path) -> Iterator[None]:
    """Change the byte in the middle of a file, and set it back at the end."""
    right = path.read_bytes()
    wrong = bytearray(right)
    wrong[len(wrong) // 2] ^= 1
    path.write_bytes(wrong)
    try:
        yield
    finally:
        path.write_bytes(right)


if __name__ == "__main__":
    sys.exit(main())
