import functools
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sigstore._internal.fulcio.client import ExpiredCertificate, FulcioClientError
from sigstore._internal.rekor import RekorClientError
from sigstore._internal.timestamp import TimestampError
from sigstore.errors import NetworkError
from sigstore.errors import VerificationError as SigstoreVerificationError
from sigstore.models import ClientTrustConfig, InvalidBundle
from sigstore.oidc import ExpiredIdentity
from tests.support.intoto import statement
from tests.support.oidc_issuer import OidcIssuer
from tests.support.silent_server import silent_server
from tests.support.virtual_sigstore import VirtualSigstore

from modelseal.errors import SigningError, UnavailableError
from modelseal.trust.events import SigningDelayed
from modelseal.trust.oidc import IdentityTokens
from modelseal.trust.signer import SigstoreSigner
from modelseal.trust.translate import asked_to_wait, signing_error
from modelseal.trust.trusted_root import load_trust_config
from modelseal.trust.uploads import MAX_UPLOADS, Patience, Persistence, Setback, run_each


def test_jobs_run_side_by_side_and_keep_their_order() -> None:
    meeting = threading.Barrier(MAX_UPLOADS, timeout=10)

    def job(number: int) -> int:
        meeting.wait()  # nobody passes unless all run at once
        return number

    jobs = [functools.partial(job, number) for number in range(MAX_UPLOADS)]
    assert run_each(jobs, timeout=10, what="it") == list(range(MAX_UPLOADS))


def test_what_a_job_raises_is_told_in_its_place() -> None:
    def fail() -> int:
        raise LookupError("this one")

    first, second = run_each([lambda: 1, fail], timeout=10, what="it")
    assert first == 1
    assert isinstance(second, LookupError)


def test_a_service_that_hangs_does_not_hang_us() -> None:
    forever = threading.Event()
    started = time.monotonic()
    done, late = run_each([lambda: True, forever.wait], timeout=0.1, what="the log")
    assert time.monotonic() - started < 5
    assert done is True
    assert isinstance(late, UnavailableError)
    assert "the log did not answer in time" in str(late)
    forever.set()


class Stage:
    """Services that are down, a clock that only waiting moves, and what was told."""

    def __init__(self, lasts: float = 600.0, first_wait: float = 0.5) -> None:
        self.now = datetime(2026, 11, 25, tzinfo=UTC)
        self.good_until = self.now + timedelta(seconds=lasts)
        self.told: list[SigningDelayed] = []
        self.patience = Patience(
            sleep=self._sleep, clock=lambda: self.now, attempts=4, first_wait=first_wait
        )
        self.persistence = Persistence(
            self.patience, self.told.append, lambda moment: moment < self.good_until
        )

    def _sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def fail(self, asked: float | None = None) -> None:
        self.persistence.wait([Setback(UnavailableError("down"), asked)])


def test_waits_double_with_jitter_and_end() -> None:
    stage = Stage(first_wait=1.0)
    for _ in range(3):
        stage.fail()
    with pytest.raises(UnavailableError, match=r"^down$"):
        stage.fail()
    waits = [event.seconds for event in stage.told]
    assert len(set(waits)) == 3
    for wait, full in zip(waits, (1, 2, 4), strict=True):
        assert full / 2 <= wait <= full


def test_the_wait_that_a_service_asks_for_is_kept_and_told() -> None:
    stage = Stage()
    stage.fail(asked=60)
    (event,) = stage.told
    assert 60 <= event.seconds <= 66
    assert event.reason == "down"


def test_a_service_that_asks_for_an_hour_is_given_up_on_at_once() -> None:
    stage = Stage(lasts=10_000)
    with pytest.raises(UnavailableError, match="asks to wait for 3600 s"):
        stage.fail(asked=3600)
    assert stage.told == []


def test_a_wait_that_outlasts_certificate_and_token_is_an_error_before_it() -> None:
    stage = Stage(lasts=100)
    with pytest.raises(UnavailableError, match="run out within the"):
        stage.fail(asked=120)
    assert stage.told == []


def test_success_counts_anew() -> None:
    stage = Stage()
    for _ in range(5):
        stage.fail()
        stage.persistence.succeeded()


HASTY = Patience(attempts=2, attempt_timeout=0.2, first_wait=0.01)


def files(directory: Path, sigstore: VirtualSigstore, url: str) -> ClientTrustConfig:
    """Return a trust config whose every service is at `url`."""
    (directory / "root.json").write_bytes(sigstore.trusted_root())
    service = {
        "url": url,
        "majorApiVersion": 1,
        "validFor": {"start": "2024-01-01T00:00:00Z"},
        "operator": "tests",
    }
    signing = {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service],
        "oidcUrls": [service],
        "rekorTlogUrls": [service | {"majorApiVersion": 2}],
        "tsaUrls": [service],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaConfig": {"selector": "ANY"},
    }
    (directory / "signing.json").write_text(json.dumps(signing))
    return load_trust_config(directory / "root.json", directory / "signing.json")


def test_a_fulcio_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with OidcIssuer() as issuer, silent_server() as url:
        tokens = IdentityTokens(explicit=issuer.token())
        signer = SigstoreSigner(files(tmp_path, VirtualSigstore(), url), tokens, patience=HASTY)
        with pytest.raises(UnavailableError, match=r"Fulcio.*did not answer in time"):
            signer.sign([statement()])
        assert signer.identity is None


def test_a_fulcio_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with OidcIssuer() as issuer, silent_server() as url:
        token = issuer.token()
    signer = SigstoreSigner(
        files(tmp_path, VirtualSigstore(), url), IdentityTokens(explicit=token), patience=HASTY
    )
    with pytest.raises(UnavailableError) as caught:
        signer.sign([statement()])
    assert token not in f"{caught.value!r}{caught.value.hint}"


def test_nothing_to_sign_asks_nobody(tmp_path: Path) -> None:
    config = files(tmp_path, VirtualSigstore(), "http://127.0.0.1:9")
    assert SigstoreSigner(config, IdentityTokens()).sign([]) == []


def test_a_statement_that_sigstore_does_not_take_is_refused_before_the_login(
    tmp_path: Path,
) -> None:
    config = files(tmp_path, VirtualSigstore(), "http://127.0.0.1:9")
    nameless = statement(subject=[{"digest": {"sha256": "0" * 64}}])
    with pytest.raises(SigningError, match="sigstore does not sign this statement"):
        SigstoreSigner(config, IdentityTokens()).sign([nameless])


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (ExpiredIdentity(), SigningError, "identity token has expired"),
        (ExpiredCertificate(), UnavailableError, "certificate ran out"),
        (FulcioClientError("Fulcio response missing certificate chain"), SigningError, "Fulcio"),
        (TimestampError("no"), SigningError, "timestamp authority"),
        (SigstoreVerificationError("SCT verify failed"), SigningError, "SCT verify failed"),
        (NetworkError(), UnavailableError, "did not answer"),
        (ConnectionResetError(), UnavailableError, "ConnectionResetError"),
        (InvalidBundle("no timestamp"), UnavailableError, "proof for the signature is missing"),
        (KeyError("chain"), SigningError, "odd answer: KeyError"),
    ],
)
def test_every_error_of_sigstore_is_translated(
    tmp_path: Path, error: Exception, kind: type[Exception], says: str
) -> None:
    config = files(tmp_path, VirtualSigstore(), "http://127.0.0.1:9")
    translated = signing_error(error, config)
    assert type(translated) is kind
    assert says in str(translated)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, SigningError), (403, SigningError), (429, UnavailableError), (503, UnavailableError)],
)
def test_the_status_of_a_service_decides_whether_to_try_again(
    tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    config = files(tmp_path, VirtualSigstore(), "http://127.0.0.1:9")
    translated = signing_error(rekor_error(status, b"slow\x1b[2J down"), config)
    assert type(translated) is kind
    assert f"Rekor) answered {status}: slow?[2J down" in str(translated)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("", None), ("soon", None), (None, None)]
)
def test_what_a_service_asks_to_wait_is_read(header: str | None, seconds: float | None) -> None:
    error = rekor_error(429, b"")
    assert error.__context__ is not None
    response = error.__context__.response  # type: ignore[attr-defined] # of requests
    if header is not None:
        response.headers["Retry-After"] = header
    assert asked_to_wait(error) == seconds


def rekor_error(status: int, body: bytes) -> RekorClientError:
    """Return the error as sigstore's client raises it: while it handles that of requests."""
    response = requests.Response()
    response.status_code = status
    response._content = body
    try:
        response.raise_for_status()
    except requests.HTTPError as http_error:
        error = RekorClientError(http_error)
        error.__context__ = http_error
        return error
    raise AssertionError(f"{status} is no error")
