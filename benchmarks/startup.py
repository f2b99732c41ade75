# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How long a process takes that starts, answers and ends: what CI jobs and people wait for.

Programs are in the page cache, as on any machine where they ran before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Call, Samples, measure_in_turn
from benchmarks.report import Table, judged, mebibytes, ratio, seconds
from benchmarks.stage import Stage
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore, private_sigstore

_SIGNER = "trainer@acme.example"
_PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "a passphrase"}
_TOP_IMPORTS = 8
_PROFILES = 5
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class _Case:
    """One thing to do, by us and by cosign; `goal` is in seconds."""

    name: str
    ours: Call
    goal: float
    theirs: Call | None = None


def run(stage: Stage, runs: int) -> list[Table]:
    """Measure cold processes, and where the time of their imports goes."""
    with _cases(stage) as cases:
        calls = {case.name: case.ours for case in cases}
        calls |= {_theirs(case): case.theirs for case in cases if case.theirs is not None}
        samples = measure_in_turn(calls, runs)
        return [_times(cases, samples, runs), _imports(cases)]


@contextmanager
def _cases(stage: Stage) -> Iterator[list[_Case]]:
    """Publish one small model four times, and give what is to be measured on it."""
    with (
        stage.place("startup") as place,
        stage.place("sigstore") as keys,
        stage.registry() as registry,
        private_sigstore(keys) as sigstore,
    ):
        model = make_model(place / "model")
        key = place / "release.key"
        stage.modelseal("key", "generate", "--output", key, env=_PASSPHRASE).check()
        by_key = f"{registry.host}/models/key:1.4.0"
        keyless = f"{registry.host}/models/keyless:1.4.0"
        for reference in (by_key, f"oci:{place / 'key'}:1.4.0"):
            stage.modelseal("publish", model, reference, "--key", key, env=_PASSPHRASE).check()
        for reference in (keyless, f"oci:{place / 'keyless'}:1.4.0"):
            stage.modelseal("publish", model, reference, *_signing(sigstore)).check()

        public, believed = [f"--key={key}.pub"], _believing(sigstore)

        def verify(reference: str, *trust: str) -> Call:
            return Call(stage.modelseal, ["verify", reference, *trust])

        def cosign(reference: str, *trust: str) -> Call:
            return Call(stage.cosign, ["verify", "--allow-http-registry", *trust, reference])

        yield [
            _Case(
                "`--help`", Call(stage.modelseal, ["--help"]), 0.3, Call(stage.cosign, ["--help"])
            ),
            _Case("`verify --key`, OCI layout", verify(f"oci:{place / 'key'}:1.4.0", *public), 0.6),
            _Case(
                "`verify --key`, registry",
                verify(by_key, *public),
                0.6,
                cosign(by_key, *public, "--insecure-ignore-tlog"),
            ),
            _Case(
                "`verify`, keyless, OCI layout",
                verify(f"oci:{place / 'keyless'}:1.4.0", *believed),
                1.8,
            ),
            _Case(
                "`verify`, keyless, registry",
                verify(keyless, *believed),
                1.8,
                cosign(keyless, *believed),
            ),
        ]


def _signing(sigstore: PrivateSigstore) -> list[str | Path]:
    return [
        "--trusted-root",
        sigstore.trusted_root,
        "--signing-config",
        sigstore.signing_config,
        "--identity-token",
        sigstore.token_file(_SIGNER),
    ]


def _believing(sigstore: PrivateSigstore) -> list[str]:
    return [
        f"--trusted-root={sigstore.trusted_root}",
        f"--certificate-identity={_SIGNER}",
        f"--certificate-oidc-issuer={sigstore.issuer}",
    ]


def _theirs(case: _Case) -> str:
    return f"cosign {case.name}"


def _times(cases: list[_Case], samples: dict[str, Samples], runs: int) -> Table:
    table = Table(
        "Cold processes",
        f"Wall time from start to end of a process, median and fastest of {runs} runs; cosign "
        "does the same in turn. The model has two statements; the trusted root is a file.",
        ("", "median", "fastest", "goal", "", "CPU", "memory", "cosign", "its CPU", "ratio"),
    )
    for case in cases:
        ours, theirs = samples[case.name], samples.get(_theirs(case))
        table.rows.append(
            (
                case.name,
                seconds(ours.wall),
                seconds(ours.fastest),
                f"≤ {case.goal} s",
                judged(ours.wall, case.goal),
                seconds(ours.cpu),
                mebibytes(ours.peak),
                seconds(theirs.wall) if theirs else _NOTHING,
                seconds(theirs.cpu) if theirs else _NOTHING,
                ratio(ours.wall, theirs.wall) if theirs else _NOTHING,
            )
        )
        table.data[case.name] = {
            "goalSeconds": case.goal,
            "modelseal": ours.as_json(),
            "cosign": theirs.as_json() if theirs else None,
        }
    return table


def _imports(cases: list[_Case]) -> Table:
    """Show which packages the imports of each command are spent on."""
    table = Table(
        "Imports",
        "Milliseconds that each package's own modules take to import, as Python counts them "
        f"(`-X importtime`, which slows them down); each module at its best of {_PROFILES} runs.",
        ("", "all", f"the {_TOP_IMPORTS} packages that take most"),
    )
    for case in cases:
        call = case.ours
        env = {"PYTHONPROFILEIMPORTTIME": "1"}
        profiles = [call.command(*call.arguments, env=env).check() for _ in range(_PROFILES)]
        spent = _by_package(profile.stderr for profile in profiles)
        shown = (f"{name} {ms:.0f}" for name, ms in list(spent.items())[:_TOP_IMPORTS])
        table.rows.append((case.name, f"{sum(spent.values()):.0f}", ", ".join(shown)))
        table.data[case.name] = {name: round(ms, 1) for name, ms in spent.items()}
    return table


def _by_package(profiles: Iterable[str]) -> dict[str, float]:
    """Sum the lines `import time: self us | cumulative | module` by package, in ms; most first."""
    best: dict[str, float] = {}
    for line in "\n".join(profiles).splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():  # noqa: PLR2004 - as above
            module, taken = parts[2].strip(), int(parts[0]) / 1000
            best[module] = min(taken, best.get(module, taken))
    spent: defaultdict[str, float] = defaultdict(float)
    for module, taken in best.items():
        spent[module.partition(".")[0].lstrip("_")] += taken
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
