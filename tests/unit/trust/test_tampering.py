"""Every region of a good bundle changed, one byte or one value at a time: none is accepted."""

import base64
import copy
import datetime as dt
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.intoto import SUBJECT, statement
from tests.support.virtual_sigstore import ISSUER, VirtualSigstore
from tests.support.virtual_sigstore import SUBJECT as TRAINER

from modelseal.errors import Error, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.blobs import verify_blob
from modelseal.trust.identity import Identity, VerifiedStatement
from modelseal.trust.keys import generate_key
from modelseal.trust.proofs.root import read_root
from modelseal.trust.signer import KeySigner
from modelseal.trust.trusted_root import load_root, parse_trusted_root
from modelseal.trust.verifier import KeyVerifier, PrivateVerifier, SigstoreVerifier, Verifier

SIGSTORE = VirtualSigstore()
SIGNER = Identity(ISSUER, TRAINER)
ROOT = read_root(json.loads(SIGSTORE.trusted_root()), "the root")
KEY = generate_key()
SEED = 20261125


def key_bundle() -> dict[str, Any]:
    """Return a bundle that a key signed, with a log entry as cosign adds one."""
    (raw,) = KeySigner(KEY).sign([statement()])
    bundle: dict[str, Any] = json.loads(raw)
    entry = SIGSTORE.log_entry(bundle, dt.datetime.now(dt.UTC), KEY.public_key().pem)
    bundle["verificationMaterial"]["tlogEntries"] = [entry]
    return bundle


@dataclass(frozen=True)
class Case:
    """A good bundle, who verifies it, and how many of its bytes are changed, evenly spread."""

    bundle: dict[str, Any]
    verifier: Verifier
    flips: int


KEYLESS = SIGSTORE.bundle(statement())
CASES = {
    "keyless": Case(
        KEYLESS,
        SigstoreVerifier(parse_trusted_root(SIGSTORE.trusted_root(), "the root"), {SIGNER}),
        300,
    ),
    "keyless-private": Case(KEYLESS, PrivateVerifier(ROOT, {SIGNER}), 700),
    "key": Case(
        json.loads(KeySigner(KEY).sign([statement()])[0]),
        _key := KeyVerifier([KEY.public_key()]),
        700,
    ),
    "key-logged": Case(key_bundle(), KeyVerifier([KEY.public_key()], ROOT), 500),
}


def outcome(verifier: Verifier, raw: bytes) -> VerifiedStatement | VerificationError:
    """Verify; whatever is neither a statement nor a refusal of ours is a bug, and comes out."""
    try:
        return verifier.verify(raw, subject=SUBJECT)
    except VerificationError as error:
        return error


def evenly(count: int, size: int) -> Iterator[int]:
    yield from (place * size // count for place in range(count))


@pytest.mark.parametrize("name", CASES)
def test_a_flipped_byte_is_never_accepted(name: str) -> None:
    """Every region of the JSON: 2,200 bundles in all, each with one byte changed."""
    case, chance = CASES[name], random.Random(SEED)
    raw = json.dumps(case.bundle).encode()
    case.verifier.verify(raw, subject=SUBJECT)
    for place in evenly(case.flips, len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << chance.randrange(8)
        found = outcome(case.verifier, bytes(changed))
        assert isinstance(found, VerificationError), raw[place - 20 : place + 20]


def values(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every text in a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from values(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from values(item, (*path, place))
    else:
        yield path


def replaced(bundle: dict[str, Any], path: tuple[Any, ...], change: Callable[[str], object]) -> Any:  # noqa: ANN401
    changed = copy.deepcopy(bundle)
    item: Any = changed
    for step in path[:-1]:
        item = item[step]
    item[path[-1]] = change(item[path[-1]])
    return changed


def decoded_flip(place: float) -> Callable[[str], object]:
    """Return what flips a bit of the bytes that a base64 text means, or of the text."""

    def flip(text: str) -> object:
        try:
            data = bytearray(base64.b64decode(text, validate=True))
        except (ValueError, TypeError):
            return f"{text}1"
        if not data:
            return "AAAA"
        data[int(place * (len(data) - 1))] ^= 1
        return base64.b64encode(bytes(data)).decode()

    return flip


OTHER_VALUES: list[Callable[[str], object]] = [
    *(decoded_flip(place) for place in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    lambda _: None,
    lambda _: "",
    lambda _: [],
    lambda _: {},
    lambda _: 0,
    lambda text: f"{text} ",
    lambda text: str(text)[:-1],
    lambda text: [text],
]


@pytest.mark.parametrize("name", CASES)
def test_a_changed_value_is_never_accepted(name: str) -> None:
    """Every field, also below base64: its bytes, its type, its end."""
    case = CASES[name]
    case.verifier.verify(json.dumps(case.bundle).encode(), subject=SUBJECT)
    for path in values(case.bundle):
        for change in OTHER_VALUES:
            changed = replaced(case.bundle, path, change)
            if changed == case.bundle:
                continue
            found = outcome(case.verifier, json.dumps(changed).encode())
            # An empty hint is one that is not there: it names nobody.
            unnamed = (
                path[-1] == "hint" and changed["verificationMaterial"]["publicKey"]["hint"] == ""
            )
            assert isinstance(found, VerificationError) or unnamed, path


@pytest.mark.parametrize("name", CASES)
def test_a_bundle_that_ends_early_is_refused(name: str) -> None:
    raw = json.dumps(CASES[name].bundle).encode()
    for end in evenly(40, len(raw)):
        assert isinstance(outcome(CASES[name].verifier, raw[:end]), VerificationError)


def test_a_changed_bundle_of_rekor_2_with_a_timestamp_is_never_accepted() -> None:
    """The public suite's: every value and byte of certificate, timestamp, checkpoint and proof."""
    suite = Path(__file__).parents[2] / "vectors" / "sigstore-conformance"
    case = suite / "bundle-verify" / "rekor2-timestamp-without-embedded-cert"
    root = load_root(case / "trusted_root.json")
    identity = Identity(
        "https://token.actions.githubusercontent.com",
        "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/"
        "workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
    )
    blob = Digest.of((suite / "a.txt").read_bytes())
    bundle = json.loads((case / "bundle.sigstore.json").read_bytes())

    def accepted(value: object) -> bool:
        try:
            verify_blob(json.dumps(value).encode(), blob, root=root, identities={identity})
        except Error:
            return False
        return True

    assert accepted(bundle)
    for path in values(bundle):
        for place in range(8):
            changed = replaced(bundle, path, decoded_flip(place / 7))
            assert changed == bundle or not accepted(changed), path
