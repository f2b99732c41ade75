# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What verifying takes: a statement, many statements on one model, many statements in one run."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Call, Samples, measure_in_turn
from benchmarks.report import Table, judged, ratio, seconds
from benchmarks.stage import Stage
from tests.support.faulty_proxy import FaultyProxy
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore, private_sigstore

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.attest.referrers import attach_all, attached_bundles
from modelseal.attest.statement import build_statement
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import INDEX, Descriptor, Digest
from modelseal.oci.layout import LayoutStore
from modelseal.oci.reference import parse_repository
from modelseal.oci.referrer import fallback_tag
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import fetch_bytes
from modelseal.trust.identity import Identity
from modelseal.trust.keys import generate_key, write_key_pair
from modelseal.trust.signer import KeySigner
from modelseal.trust.trusted_root import load_root, load_trusted_root
from modelseal.trust.verifier import KeyVerifier, PrivateVerifier, SigstoreVerifier, Verifier

_SIGNER = "trainer@acme.example"
_REFERRERS = 200
_STATEMENTS = 7
_WARM_RUNS = 200
_SCAN = "https://example.com/scan/v1"
_PASSPHRASE = "a passphrase"  # noqa: S105 - of a key that lives as long as this run
_ENVIRONMENT = {"MODELSEAL_KEY_PASSPHRASE": _PASSPHRASE}
_KEYLESS_GOAL, _KEY_GOAL = 8.0, 1.0
_REQUESTS_GOAL, _TIME_GOAL, _PUBLISH_GOAL = 210, 0.3, 1.5


def run(stage: Stage, runs: int) -> list[Table]:
    """Measure verifiers in this process, and the commands beside cosign."""
    with stage.place("trust-sigstore") as keys, private_sigstore(keys) as sigstore:
        return [_in_process(stage, sigstore), _many(stage, runs), _publish(stage, sigstore, runs)]


def _in_process(stage: Stage, sigstore: PrivateSigstore) -> Table:
    """Verify one bundle again and again: what a service takes that is warm."""
    table = Table(
        "A statement, in a warm process",
        f"Milliseconds a statement, with reading its JSON, of {_WARM_RUNS} runs. The goal is held "
        "to CPU time: nothing is waited for, and on a busy machine wall time measures the others.",
        ("", "CPU, median", "wall, median", "wall, fastest", "goal", ""),
    )
    with stage.place("trust-warm") as place:
        reference = f"oci:{place / 'store'}:1"
        model = make_model(place / "model")
        stage.modelseal("publish", model, reference, *_signing(sigstore)).check()
        store = LayoutStore(place / "store")
        subject = store.resolve("1")
        found = next(iter(attached_bundles(store, subject)))
        keyless = found.raw if not hasattr(found, "problem") else b""
        key = generate_key()
        (by_key,) = KeySigner(key).sign([build_statement(subject.digest, SIGNATURE, {})])
        identity = Identity(sigstore.issuer, _SIGNER)
        root, path = load_trusted_root(sigstore.trusted_root), sigstore.trusted_root
        cases: list[tuple[str, Verifier, bytes, float]] = [
            ("keyless", SigstoreVerifier(root, {identity}), keyless, _KEYLESS_GOAL),
            (
                "keyless-private",
                PrivateVerifier(load_root(path), {identity}),
                keyless,
                _KEYLESS_GOAL,
            ),
            ("key", KeyVerifier([key.public_key()]), by_key, _KEY_GOAL),
        ]
        for name, verifier, raw, goal in cases:
            wall, cpu = _warm(lambda: verifier.verify(raw, subject=subject.digest))  # noqa: B023
            median = statistics.median(cpu)
            table.rows.append(
                (
                    f"`{name}`",
                    f"{median:.2f} ms",
                    f"{statistics.median(wall):.2f} ms",
                    f"{min(wall):.2f} ms",
                    f"≤ {goal:.0f} ms",
                    judged(median, goal),
                )
            )
            table.data[name] = {"goalMilliseconds": goal, "wall": wall, "cpu": cpu}
    return table


def _warm(verify: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Return milliseconds, wall and CPU, of each run after a few that do not count."""
    wall, cpu = [], []
    for number in range(_WARM_RUNS + 10):
        started, burnt = time.perf_counter(), time.process_time()
        verify()
        if number >= 10:  # noqa: PLR2004 - imports and caches
            wall.append((time.perf_counter() - started) * 1000)
            cpu.append((time.process_time() - burnt) * 1000)
    return wall, cpu


@dataclass(frozen=True, slots=True)
class _Flooded:
    """A model with many statements, and one with a single signature."""

    many: str
    one: str
    public: Path


def _many(stage: Stage, runs: int) -> Table:
    table = Table(
        f"A model with {_REFERRERS} referrers",
        f"`verify --key` of one signature among {_REFERRERS - 1} attestations by the same key, "
        "and of a model with nothing but the signature; the difference is what the many cost, "
        f"start-up apart. Medians of {runs} runs in turn. Requests are counted by a proxy, apart.",
        (
            "",
            "requests",
            "goal",
            "",
            "cosign",
            "s",
            "cosign",
            "the many cost",
            "cosign",
            "ratio",
            "",
        ),
    )
    for name, said in (("listed with annotations", True), ("as ggcr lists them", False)):
        with _flooded(stage, said=said) as flooded:
            calls = _calls(stage, flooded)
            samples = measure_in_turn(calls, runs)
            ours, theirs = _requests(stage, flooded)
            _row(table, name, samples, (ours, theirs))
    return table


def _calls(stage: Stage, flooded: _Flooded) -> dict[str, Call]:
    trust = f"--key={flooded.public}"
    cosign = ["verify", "--allow-http-registry", "--insecure-ignore-tlog", trust]
    return {
        "ours": Call(stage.modelseal, ["verify", flooded.many, trust, "--no-cache"]),
        "ours, one": Call(stage.modelseal, ["verify", flooded.one, trust, "--no-cache"]),
        "cosign": Call(stage.cosign, [*cosign, flooded.many]),
        "cosign, one": Call(stage.cosign, [*cosign, flooded.one]),
    }


def _row(table: Table, name: str, samples: dict[str, Samples], requests: tuple[int, int]) -> None:
    wall = {key: found.wall for key, found in samples.items()}
    ours, theirs = wall["ours"] - wall["ours, one"], wall["cosign"] - wall["cosign, one"]
    table.rows.append(
        (
            name,
            str(requests[0]),
            f"≤ {_REQUESTS_GOAL}",
            judged(requests[0], _REQUESTS_GOAL),
            str(requests[1]),
            seconds(wall["ours"]),
            seconds(wall["cosign"]),
            seconds(ours),
            seconds(theirs),
            f"{ratio(ours, theirs)} (≤ {_TIME_GOAL})",
            judged(ours / theirs, _TIME_GOAL),
        )
    )
    table.data[name] = {
        "requests": {"modelseal": requests[0], "cosign": requests[1]},
        **{key: found.as_json() for key, found in samples.items()},
    }


def _requests(stage: Stage, flooded: _Flooded) -> tuple[int, int]:
    """Count what each asks of the registry for the model with many statements."""
    counts = []
    host, _, rest = flooded.many.partition("/")
    for name in ("ours", "cosign"):
        with FaultyProxy(host, lambda _, answer: answer) as proxy:
            through = _Flooded(f"{proxy.host}/{rest}", flooded.one, flooded.public)
            call = _calls(stage, through)[name]
            call.command(*call.arguments).check()
            counts.append(len(proxy.asked))
    return counts[0], counts[1]


@contextmanager
def _flooded(stage: Stage, *, said: bool) -> Iterator[_Flooded]:
    """Push two models; `said` keeps what the listing says of the referrers."""
    with stage.place("flooded") as place, stage.registry() as registry:
        key = generate_key()
        pair = write_key_pair(key, place / "k", lambda: _PASSPHRASE)
        model = make_model(place / "model")
        references = {}
        for name, count in (("many", _REFERRERS - 1), ("one", 0)):
            reference = f"{registry.host}/models/{name}"
            stage.modelseal("push", model, f"{reference}:1").check()
            store = RegistryStore(parse_repository(reference))
            subject = store.resolve("1")
            claims = [(_SCAN, {"n": number}) for number in range(count)]
            payloads = [
                build_statement(subject.digest, kind, predicate)
                for kind, predicate in [*claims, (SIGNATURE, {})]
            ]
            kinds = [*(kind for kind, _ in claims), SIGNATURE]
            bundles = zip(KeySigner(key).sign(payloads), kinds, strict=True)
            attach_all(store, subject, list(bundles), datetime.now(UTC))
            if not said:
                _say_nothing(store, subject)
            references[name] = f"{reference}:1"
        yield _Flooded(references["many"], references["one"], pair.public)


def _say_nothing(store: RegistryStore, subject: Descriptor) -> None:
    """Take the annotations out of the fallback index, where ggcr does not write them."""
    tag = fallback_tag(subject.digest)
    index = json.loads(fetch_bytes(store, store.resolve(tag), limit=4 << 20))
    for entry in index["manifests"]:
        entry.pop("annotations", None)
    raw = json.dumps(index).encode()
    bare = Descriptor(INDEX, Digest.of(raw), len(raw))
    store.push(bare, BytesContent(raw))
    store.tag(bare, tag)


def _publish(stage: Stage, sigstore: PrivateSigstore, runs: int) -> Table:
    table = Table(
        "Many statements in one run",
        f"Keyless, with log and timestamp, on a registry; medians of {runs} runs in turn.",
        ("", "one statement", f"{_STATEMENTS} statements", "ratio", "goal", ""),
    )
    with stage.place("many") as place, stage.registry() as registry:
        model = make_model(place / "model")
        predicate = place / "scan.json"
        predicate.write_text('{"found": 0}')
        reference = f"{registry.host}/models/m:1"
        stage.modelseal("push", model, reference).check()

        def attest(count: int) -> Call:
            options: list[str | Path] = []
            for number in range(count):
                options += ["--type", f"{_SCAN}/{number}", "--predicate", predicate]
            return Call(stage.modelseal, ["attest", reference, *options, *_signing(sigstore)])

        samples = measure_in_turn({"one": attest(1), "many": attest(_STATEMENTS)}, runs)
        one, many = samples["one"].wall, samples["many"].wall
        table.rows.append(
            (
                "`attest`",
                seconds(one),
                seconds(many),
                ratio(many, one),
                f"≤ {_PUBLISH_GOAL}",
                judged(many / one, _PUBLISH_GOAL),
            )
        )
        table.data["attest"] = {name: found.as_json() for name, found in samples.items()}
    return table


def _signing(sigstore: PrivateSigstore) -> list[str | Path]:
    return [
        "--trusted-root",
        sigstore.trusted_root,
        "--signing-config",
        sigstore.signing_config,
        "--identity-token",
        sigstore.token_file(_SIGNER),
    ]
