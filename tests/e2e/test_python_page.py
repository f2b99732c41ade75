# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""docs/python.md: its examples run as they stand there, and its events are all there are."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from tests.support.cli import clean_environment
from tests.support.model_factory import make_model

import modelseal
from modelseal.trust.keys import generate_key, write_key_pair

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
EVENTS = {"BytesMoved", "StepFinished", "StepStarted"} | {
    name for name in modelseal.__all__ if name.startswith(("Transfer", "SigningDelayed"))
}


def test_the_examples_run_as_they_stand_there(home: Path) -> None:
    model = make_model(home / "fraud")
    write_key_pair(generate_key(), home / "release.key", lambda: "correct horse")
    write_key_pair(generate_key(), home / "other.key", lambda: "correct horse")
    script = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=home,
        env=clean_environment(home),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    weights = (model / "model.safetensors").read_bytes()
    assert (home / "out" / "model.safetensors").read_bytes() == weights
    assert int(done.stdout.splitlines()[-1]) > len(weights)


def test_every_event_is_explained_with_its_fields() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.partition("| event |")[2], re.MULTILINE)
    )
    assert rows.keys() == EVENTS
    for name, fields in rows.items():
        wanted = [field.name for field in dataclasses.fields(getattr(modelseal, name))]
        assert re.findall(r"`(\w+)`", fields) == wanted


def test_every_public_name_stands_on_the_page() -> None:
    results = {"Copied", "Publication", "PulledModel", "Verification", "__version__"}
    for name in set(modelseal.__all__) - results:
        assert re.search(rf"\b{name}\b", PAGE), name


def test_publish_pull_and_copy_tell_their_totals_before_the_first_file(home: Path) -> None:
    make_model(home / "fraud")
    pair = write_key_pair(generate_key(), home / "release.key", lambda: "correct horse")
    who, reference = modelseal.Believe(key=pair.public), f"oci:{home}/store:1.4.0"
    told: list[object] = []
    for call in (
        lambda: modelseal.publish(
            home / "fraud",
            reference,
            key=pair.private,
            passphrase="correct horse",
            on_event=told.append,
        ),
        lambda: modelseal.pull(reference, home / "out", who, on_event=told.append),
        lambda: modelseal.copy(reference, f"oci:{home}/copy:1", on_event=told.append),
    ):
        told.clear()
        call()
        kinds = [type(event) for event in told if type(event).__name__.startswith("Transfer")]
        assert kinds[0] is modelseal.TransferPlanned
        planned = [event for event in told if isinstance(event, modelseal.TransferPlanned)]
        finished = [event for event in told if isinstance(event, modelseal.TransferFinished)]
        assert sum(plan.files for plan in planned) == len(finished)
        assert sum(plan.size for plan in planned) == sum(one.descriptor.size for one in finished)
