import functools
import json
import threading
import time
from collections.abc import Callable
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
from modelseal.trust.oidc import IdentityTokens
from modelseal.trust.signer import MAX_UPLOADS, SigstoreSigner, run_all
from modelseal.trust.translate import signing_error
from modelseal.trust.trusted_root import load_trust_config


def test_jobs_run_side_by_side_and_keep_their_order() -> None:
    meeting = threading.Barrier(MAX_UPLOADS, timeout=10)

    def job(number: int) -> int:
        meeting.wait()  # nobody passes unless all run at once
        return number

    jobs = [functools.partial(job, number) for number in range(MAX_UPLOADS)]
    assert run_all(jobs, timeout=10, what="it") == list(range(MAX_UPLOADS))


def test_more_jobs_than_threads_are_all_done() -> None:
    jobs = [functools.partial(int, number) for number in range(5 * MAX_UPLOADS)]
    assert run_all(jobs, timeout=10, what="it") == list(range(5 * MAX_UPLOADS))


def test_no_jobs_are_done_at_once() -> None:
    none: list[Callable[[], int]] = []
    assert run_all(none, timeout=0, what="it") == []


def test_the_first_failure_comes_out_and_stops_the_rest() -> None:
    begun = []

    def fail() -> None:
        raise LookupError("this one")

    def count() -> None:
        begun.append(1)
        time.sleep(0.01)

    with pytest.raises(LookupError, match="this one"):
        run_all([fail, *[count] * 500], timeout=10, what="it")
    for thread in threading.enumerate():
        if thread.name == "modelseal-sign":
            thread.join(timeout=10)
    assert len(begun) < 400


def test_a_service_that_hangs_does_not_hang_us() -> None:
    forever = threading.Event()
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="the log did not answer in time"):
        run_all([forever.is_set, forever.wait], timeout=0.1, what="the log")
    assert time.monotonic() - started < 5
    forever.set()


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
        signer = SigstoreSigner(files(tmp_path, VirtualSigstore(), url), tokens, timeout=0.2)
        with pytest.raises(UnavailableError, match=r"Fulcio.*did not answer in time"):
            signer.sign([statement()])
        assert signer.identity is None


def test_a_fulcio_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with OidcIssuer() as issuer, silent_server() as url:
        token = issuer.token()
    signer = SigstoreSigner(
        files(tmp_path, VirtualSigstore(), url), IdentityTokens(explicit=token), timeout=5
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
        (ExpiredCertificate(), SigningError, "certificate expired"),
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
