# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing while the real Fulcio, log and timestamp authority are slow, limited or failing."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.faulty_proxy import Answered, Asked, FaultyProxy
from tests.support.intoto import SUBJECT, statement
from tests.support.model_factory import ATTESTED, make_model
from tests.support.sigstore import PrivateSigstore

from modelseal.errors import SigningError, UnavailableError
from modelseal.trust.events import SigningDelayed
from modelseal.trust.oidc import IdentityTokens
from modelseal.trust.signer import SigstoreSigner
from modelseal.trust.trusted_root import load_trust_config
from modelseal.trust.uploads import Patience

PAYLOADS = [statement(predicate={"number": number}) for number in range(7)]
TRAINER = "trainer@acme.example"


@dataclass
class Weather:
    """Proxies before the services; what each answers next instead of the truth."""

    sigstore: PrivateSigstore
    config: Path
    fulcio: FaultyProxy
    rekor: FaultyProxy
    tsa: FaultyProxy
    coming: dict[str, list[Answered | float]] = field(default_factory=dict)

    @property
    def certificates(self) -> int:
        """How many certificates were asked for."""
        return len([asked for asked in self.fulcio.asked if asked.is_("signingCert", "POST")])

    def signer(self, token: str, patience: Patience) -> SigstoreSigner:
        config = load_trust_config(self.sigstore.trusted_root, self.config)
        return SigstoreSigner(config, IdentityTokens(explicit=token), patience=patience)


@pytest.fixture
def weather(private_sigstore: PrivateSigstore, tmp_path: Path) -> Iterator[Weather]:
    coming: dict[str, list[Answered | float]] = {}

    def spoiling(name: str) -> FaultyProxy:
        def alter(asked: Asked, said: Answered) -> Answered:
            if asked.method == "POST" and coming.get(name):
                following = coming[name].pop(0)
                if isinstance(following, Answered):
                    return following
                time.sleep(following)
            return said

        url = {
            "fulcio": private_sigstore.fulcio_url,
            "rekor": private_sigstore.rekor_url,
            "tsa": private_sigstore.tsa_url.removesuffix("/api/v1/timestamp"),
        }[name]
        return stack.enter_context(FaultyProxy(url.removeprefix("http://"), alter))

    with contextlib.ExitStack() as stack:
        fulcio, rekor, tsa = (spoiling(name) for name in ("fulcio", "rekor", "tsa"))
        text = private_sigstore.signing_config.read_text()
        for proxy in (fulcio, rekor, tsa):
            text = text.replace(proxy.upstream, proxy.host)
        config = tmp_path / "signing_config.json"
        config.write_text(text)
        yield Weather(private_sigstore, config, fulcio, rekor, tsa, coming)


def limited(seconds: int) -> Answered:
    return Answered(429, {"Retry-After": str(seconds)}, b"slow down")


QUICK = Patience(first_wait=0.01, attempt_timeout=20)


def test_a_rate_limit_is_told_and_waited_for(
    weather: Weather, modelseal: Command, home: Path
) -> None:
    weather.coming["fulcio"] = [Answered(503, {}, b"starting")]
    weather.coming["rekor"] = [limited(1), Answered(502, {}, b"<html>")]
    model, reference = make_model(home / "model"), f"oci:{home}/store:1.4.0"
    done = modelseal(
        *("publish", model, reference, "--identity-token", weather.sigstore.token_file(TRAINER)),
        *("--trusted-root", weather.sigstore.trusted_root, "--signing-config", weather.config),
        *("--output", "json"),
    ).check()
    assert "sign: waiting 1." in done.stderr
    assert "the transparency log (Rekor) answered 429: slow down" in done.stderr
    assert "the certificate authority (Fulcio) answered 503" in done.stderr
    assert len(json.loads(done.stdout)["statements"]) == len(ATTESTED)
    assert weather.certificates == 2  # one was refused


def test_a_log_that_hangs_is_asked_again(weather: Weather) -> None:
    weather.coming["rekor"] = [8.0]
    told: list[SigningDelayed] = []
    signer = weather.signer(
        weather.sigstore.token(), Patience(first_wait=0.01, attempt_timeout=4.0)
    )
    (bundle,) = signer.sign(PAYLOADS[:1], told.append)
    assert signer.verifier().verify(bundle, subject=SUBJECT).predicate == {"number": 0}
    assert ["did not answer in time" in event.reason for event in told] == [True]


def test_a_timestamp_authority_that_fails_once_is_asked_again(weather: Weather) -> None:
    weather.coming["tsa"] = [Answered(503, {}, b"")]
    signer = weather.signer(weather.sigstore.token(), QUICK)
    (bundle,) = signer.sign(PAYLOADS[:1])
    assert signer.verifier().verify(bundle, subject=SUBJECT).signed_at is not None


def test_only_what_was_refused_is_sent_again(weather: Weather) -> None:
    weather.coming["rekor"] = [Answered(503, {}, b"")] * 2
    signer = weather.signer(weather.sigstore.token(), QUICK)
    bundles = signer.sign(PAYLOADS)
    verified = [signer.verifier().verify(bundle, subject=SUBJECT) for bundle in bundles]
    assert [one.predicate["number"] for one in verified] == list(range(7))
    assert len(weather.rekor.asked) == 9
    assert weather.certificates == 1


def test_a_wait_that_outlasts_the_certificate_brings_a_fresh_one(weather: Weather) -> None:
    weather.coming["rekor"] = [limited(595)]
    now = [datetime.now(UTC)]
    told: list[SigningDelayed] = []

    def sleep(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    patience = Patience(sleep=sleep, clock=lambda: now[0], attempt_timeout=20)
    path = weather.sigstore.token_file(TRAINER)
    signer = weather.signer(str(path), patience)
    bundles = signer.sign(PAYLOADS[:2], told.append)
    assert [event.seconds >= 595 for event in told] == [True]
    assert weather.certificates == 2
    for bundle in bundles:
        assert signer.verifier().verify(bundle, subject=SUBJECT).signer == signer.identity


def test_a_wait_that_outlasts_certificate_and_token_is_told_before_it(weather: Weather) -> None:
    weather.coming["rekor"] = [limited(590)]
    signer = weather.signer(weather.sigstore.token(ttl=300), Patience(sleep=never))
    with pytest.raises(UnavailableError, match=r"429.*run out within the") as caught:
        signer.sign(PAYLOADS[:1])
    assert "new identity token" in caught.value.hint
    assert caught.value.reason == "unavailable"


def test_what_will_not_pass_is_not_asked_again(weather: Weather) -> None:
    weather.coming["rekor"] = [Answered(413, {}, b"too large")]
    signer = weather.signer(weather.sigstore.token(), Patience(sleep=never))
    with pytest.raises(SigningError, match="answered 413") as caught:
        signer.sign(PAYLOADS[:1])
    assert "--by-digest" in caught.value.hint


def never(seconds: float) -> None:
    raise AssertionError(f"waited for {seconds} s")
