import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.intoto import OTHER_SUBJECT, SUBJECT, statement

from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import MAX_BUNDLE_BYTES, build_key_bundle, parse_bundle
from modelseal.trust.dsse import MAX_SUBJECTS, pae, parse_statement, strict_base64

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def refused(call: Any, argument: Any) -> str:  # noqa: ANN401 - any parser
    with pytest.raises(VerificationError) as caught:
        call(argument)
    return caught.value.reason


def test_pae_is_the_specifications_example() -> None:
    # DSSE protocol.md: PAE("http://example.com/HelloWorld", "hello world")
    assert pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(), st.text(), st.binary(), st.text())
def test_pae_is_one_to_one(a: bytes, a_type: str, b: bytes, b_type: str) -> None:
    if (a, a_type) != (b, b_type):
        assert pae(a, a_type) != pae(b, b_type)


def test_pae_counts_bytes_and_not_characters() -> None:
    assert pae("ü".encode(), "ä") == b"DSSEv1 2 \xc3\xa4 2 \xc3\xbc"


def test_both_statement_versions_are_read() -> None:
    for version in ("v1", "v0.1"):
        parsed = parse_statement(statement(_type=f"https://in-toto.io/Statement/{version}"))
        assert parsed.statement_type.endswith(version)
        assert parsed.predicate == {"passed": True}


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": "https://in-toto.io/Statement/v2"},
        {"_type": None},
        {"_type": ["https://in-toto.io/Statement/v1"]},
        {"predicateType": None},
        {"predicateType": ""},
        {"predicateType": "has a space"},
        {"predicateType": "escape\x1b[2J"},
        {"predicateType": 7},
        {"predicate": None},
        {"predicate": []},
        {"predicate": "text"},
        {"subject": None},
        {"subject": []},
        {"subject": {}},
        {"subject": [{}]},
        {"subject": [{"digest": {}}]},
        {"subject": [{"digest": {"sha256": 1}}]},
        {"subject": [{"name": "x", "digest": "sha256:00"}]},
        {"subject": [{"digest": {SUBJECT.algorithm: SUBJECT.encoded}}, {"digest": {}}]},
        {"subject": [{"digest": {"sha256": "00"}}] * (MAX_SUBJECTS + 1)},
    ],
)
def test_b7_what_is_no_statement_is_refused(changes: dict[str, Any]) -> None:
    assert refused(parse_statement, statement(**changes)) == "not-a-statement"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff",
        b"not json",
        statement().replace(b'{"passed": true}', b'{"passed": NaN}'),
        statement().replace(b'{"passed": true}', b'{"passed": 1e999}'),
        statement().replace(b'"passed"', b'"\\ud800"'),
        statement().replace(b'"predicate":', b'"predicateType": "https://other", "predicate":'),
        b'{"_type":' * 100 + b"1" + b"}" * 100,
    ],
)
def test_ambiguous_or_broken_json_is_no_statement(raw: bytes) -> None:
    assert refused(parse_statement, raw) == "not-a-statement"


def test_only_a_plain_signature_may_lack_its_predicate() -> None:
    bare = statement(predicateType="https://sigstore.dev/cosign/sign/v1", predicate=None)
    assert parse_statement(bare).predicate == {}


@given(json_values)
def test_no_other_json_is_a_statement(value: object) -> None:
    raw = json.dumps(value).encode()
    with pytest.raises(VerificationError):
        parse_statement(raw)


@pytest.mark.parametrize(
    ("digests", "binds"),
    [
        ({"sha256": SUBJECT.encoded}, True),
        ({"sha512": "0" * 128, "sha256": SUBJECT.encoded}, True),
        ({"md5": SUBJECT.encoded}, False),
        ({"sha1": SUBJECT.encoded[:40]}, False),
        ({"gitCommit": SUBJECT.encoded[:40]}, False),
        ({"sha512": SUBJECT.encoded}, False),
        ({"SHA256": SUBJECT.encoded}, False),
        ({"sha256": SUBJECT.encoded.upper()}, False),
        ({"sha256": f"sha256:{SUBJECT.encoded}"}, False),
        ({"sha256": ""}, False),
    ],
)
def test_a2_only_the_asked_algorithm_binds(digests: dict[str, str], *, binds: bool) -> None:
    parsed = parse_statement(statement(subject=[{"name": str(SUBJECT), "digest": digests}]))
    assert parsed.names(SUBJECT) is binds


def test_a2_a_sha512_digest_needs_a_sha512_subject() -> None:
    wide = Digest("sha512", "a" * 128)
    assert parse_statement(statement(wide)).names(wide)
    assert not parse_statement(statement(SUBJECT)).names(wide)


def test_a2_any_of_several_subjects_binds_and_its_name_does_not() -> None:
    subjects = [
        {"name": str(SUBJECT), "digest": {"sha256": "0" * 64}},
        {"digest": {"sha256": OTHER_SUBJECT.encoded}},
    ]
    parsed = parse_statement(statement(subject=subjects))
    assert parsed.names(OTHER_SUBJECT)
    assert not parsed.names(SUBJECT)


@given(st.binary(min_size=1))
def test_base64_has_one_spelling(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert strict_base64(text, "x") == data
    for other in (text + "\n", " " + text, text.rstrip("=") + "==="):
        assert refused(lambda value: strict_base64(value, "x"), other) == "broken-bundle"


@pytest.mark.parametrize("value", ["", None, 7, "_-8=", "QR==", "QQ=", "Q Q=", "é"])
def test_other_base64_is_refused(value: object) -> None:
    # "QR==" has bits behind its end that "QQ==" has not: the same byte, another text.
    assert refused(lambda item: strict_base64(item, "x"), value) == "broken-bundle"


def bundle(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    value = json.loads(build_key_bundle(statement(), b"signature", "hint"))
    value.update(changes)
    return json.dumps({key: item for key, item in value.items() if item is not None}).encode()


ENVELOPE = json.loads(bundle())["dsseEnvelope"]
SIGNATURE = ENVELOPE["signatures"][0]


def test_a_key_bundle_is_read_as_it_was_written() -> None:
    parsed = parse_bundle(build_key_bundle(statement(), b"signature", "hint"))
    assert parsed.envelope.payload == statement()
    assert parsed.envelope.signature == b"signature"
    assert (parsed.key_hint, parsed.certificate) == ("hint", b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"mediaType": None},
        {"mediaType": "application/vnd.dev.sigstore.bundle.v0.4+json"},
        {"mediaType": 3},
        {"verificationMaterial": None},
        {"verificationMaterial": {}},
        {"verificationMaterial": {"publicKey": {}, "certificate": {"rawBytes": "QQ=="}}},
        {"verificationMaterial": {"publicKey": {"hint": 1}}},
        {"verificationMaterial": {"publicKey": None}},
        {"verificationMaterial": {"publicKey": {}, "public_key": {}}},
        {"verificationMaterial": {"publicKey": {}, "tlogEntries": [{}] * 17}},
        {"verificationMaterial": {"publicKey": {}, "tlogEntries": [{}]}},
        {"verificationMaterial": {"publicKey": {}, "tlogEntries": {}}},
        {"verificationMaterial": {"x509CertificateChain": {"certificates": []}}},
        {"verificationMaterial": {"certificate": {"rawBytes": "!"}}},
        {"verificationMaterial": {"publicKey": {}, "timestampVerificationData": None}},
        {"dsseEnvelope": None},
        {"dsseEnvelope": []},
        {"dsseEnvelope": ENVELOPE | {"signatures": []}},
        {"dsseEnvelope": ENVELOPE | {"signatures": [SIGNATURE, SIGNATURE]}},
        {"dsseEnvelope": ENVELOPE | {"signatures": [SIGNATURE | {"cert": "x"}]}},
        {"dsseEnvelope": ENVELOPE | {"signatures": [{"sig": SIGNATURE["sig"] + "\n"}]}},
        {"dsseEnvelope": ENVELOPE | {"signatures": [SIGNATURE | {"keyid": 1}]}},
        {"dsseEnvelope": ENVELOPE | {"payload": ""}},
        {"dsseEnvelope": ENVELOPE | {"extra": 1}},
        {"messageSignature": {"signature": "QQ=="}},
        {"unknown": 1},
    ],
)
def test_a_bundle_of_another_shape_is_broken(changes: dict[str, Any]) -> None:
    assert refused(parse_bundle, bundle(**changes)) == "broken-bundle"


@pytest.mark.parametrize(
    "payload_type", ["application/vnd.in-toto+json ", "application/json", "", None]
)
def test_b6_another_payload_type_is_no_statement(payload_type: object) -> None:
    changed = bundle(dsseEnvelope=ENVELOPE | {"payloadType": payload_type})
    assert refused(parse_bundle, changed) == "not-a-statement"


def test_a_blob_signature_is_no_statement() -> None:
    changed = bundle(dsseEnvelope=None, messageSignature={"signature": "QQ=="})
    assert refused(parse_bundle, changed) == "not-a-statement"


def test_b6_duplicate_keys_are_refused() -> None:
    twice = bundle().replace(b'"payload":', b'"payload": "QQ==", "payload":')
    assert refused(parse_bundle, twice) == "broken-bundle"


def test_b6_a_bundle_above_the_cap_is_refused_before_it_is_parsed() -> None:
    assert refused(parse_bundle, bundle() + b" " * MAX_BUNDLE_BYTES) == "broken-bundle"


@given(st.binary())
def test_no_other_bytes_are_a_bundle(raw: bytes) -> None:
    assert refused(parse_bundle, raw) == "broken-bundle"


def test_messages_are_short_whatever_the_bundle_says() -> None:
    long = "x" * 100_000
    for raw in (
        bundle(**{long: 1}),
        json.dumps({"mediaType": long}).encode(),
        f'{{"{long}":1,"{long}":2}}'.encode(),
    ):
        with pytest.raises(VerificationError) as caught:
            parse_bundle(raw)
        assert len(str(caught.value)) < 400


def test_reading_statements_imports_no_cryptography() -> None:
    script = (
        "import sys\n"
        "from modelseal.trust import bundle, dsse, identity, oidc, signer, trusted_root, verifier\n"
        "print(sorted({'sigstore', 'cryptography', 'pydantic'} & set(sys.modules)))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert shown.stdout == "[]\n"


def test_keys_import_no_sigstore() -> None:
    script = "import sys, modelseal.trust.keys; print('sigstore' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert shown.stdout == "False\n"
