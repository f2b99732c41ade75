# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A TPM (swtpm) quotes for a model, and modelseal verifies it without a TPM."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.cli import Command, clean_environment, modelseal_program
from tests.support.model_factory import make_model
from tests.support.swtpm import AttestationKey, SoftwareTpm, software_tpm

SECRET = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
REF = "oci:./store:1.4.0"
SIGN = ("--key", "k")
VERIFY = ("--key", "k.pub")


@dataclass(frozen=True, slots=True)
class Place:
    """A TPM, an attestation key of it, and a published model."""

    modelseal: Command
    tpm: SoftwareTpm
    key: AttestationKey

    def quote(self, reference: str = REF, *, ak: str = "", code: int = 0, **env: str) -> str:
        words = ["environment", "quote", reference, "--ak", ak or self.key.handle, *SIGN]
        words += ["--tcti", self.tpm.tcti, "--output", "json"]
        done = self.modelseal(*words, env={**SECRET, **env}).check(code)
        return done.stdout if code == 0 else done.stderr

    def verify(self, *words: str | Path, reference: str = REF, code: int = 0) -> str:
        keys = () if "--ak" in words or "--ak-ca" in words else ("--ak", self.key.public)
        done = self.modelseal("environment", "verify", reference, *VERIFY, *keys, *words)
        done.check(code)
        return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("environment")
    home = directory / "home"
    home.mkdir()
    modelseal = Command(modelseal_program(), home, clean_environment(home))
    modelseal("key", "generate", "--output", "k", env=SECRET).check()
    make_model(home / "model")
    make_model(home / "other", version="1.5.0")
    modelseal("publish", "model", REF, *SIGN, env=SECRET).check()
    modelseal("publish", "other", "oci:./store:1.5.0", *SIGN, env=SECRET).check()
    state = directory / "tpm"
    state.mkdir()
    with software_tpm(state) as tpm:
        tpm.extend(7, "ab" * 32)
        yield Place(modelseal, tpm, tpm.attestation_key("ecdsa", "0x81010002"))


@pytest.fixture(scope="module")
def quoted(place: Place) -> dict[str, object]:
    """What `environment quote` answers; the quote hangs on the model."""
    answer = json.loads(place.quote())
    assert isinstance(answer, dict)
    return answer


def pcr7(quoted: dict[str, object]) -> str:
    quote = quoted["quote"]
    assert isinstance(quote, dict)
    value = quote["pcrs"]["sha256"]["7"]
    assert isinstance(value, str)
    return value


def test_a_tpm_quotes_for_a_model_and_everybody_verifies_it(
    place: Place, quoted: dict[str, object]
) -> None:
    assert pcr7(quoted) != "00" * 32  # something was measured there
    text = place.verify("--pcr", f"sha256:7={pcr7(quoted)}")
    assert text.startswith("verified: sha256:")
    assert "pinned by its name" in text
    answer = json.loads(place.verify("--output", "json"))
    (found,) = answer["quotes"]
    assert found["pcrs"] == quoted["quote"]["pcrs"]  # type: ignore[index] # it is JSON
    assert found["attestationKeyBelievedBy"] == "name"
    statement = found["statement"]
    assert statement["predicateType"] == "https://in-toto.io/attestation/scai/v0.3"
    (attribute,) = statement["predicate"]["attributes"]
    assert attribute["attribute"] == "TPM2_QUOTE_VERIFIED"
    assert attribute["conditions"]["nonce"] == found["nonce"]


def test_another_key_other_values_another_signer_and_nothing_are_refused(
    place: Place, quoted: dict[str, object], tmp_path: Path
) -> None:
    stranger = place.tpm.attestation_key("ecdsa", "0x81010003")
    assert "[other-attestation-key]" in place.verify("--ak", stranger.public, code=11)
    assert "[other-pcrs]" in place.verify("--pcr", f"sha256:7={'00' * 32}", code=11)
    assert "[other-pcrs]" in place.verify("--pcr", f"sha256:9={'00' * 32}", code=11)
    place.modelseal("key", "generate", "--output", tmp_path / "o", env=SECRET).check()
    words = ["environment", "verify", REF, "--key", str(tmp_path / "o.pub")]
    done = place.modelseal(*words, "--ak", place.key.public).check(11)
    assert "[other-key]" in done.stderr
    bare = place.verify(reference="oci:./store:1.5.0", code=11)
    assert "no-statement" in bare or "no-quote" in bare
    nobody = place.modelseal("environment", "verify", REF, *VERIFY).check(2)
    assert "no attestation key was given" in nobody.stderr
    assert pcr7(quoted)


def test_a_quote_for_another_model_is_refused(place: Place, quoted: dict[str, object]) -> None:
    """Its evidence is replayed: the same blob, in a statement about the other model."""
    evidence, quote = quoted["evidence"], quoted["quote"]
    assert isinstance(evidence, dict)
    assert isinstance(quote, dict)
    predicate = {
        "attributes": [
            {
                "attribute": "TPM2_QUOTE_VERIFIED",
                "conditions": {"nonce": quote["nonce"], "pcrs": quote["pcrs"]},
                "evidence": {
                    "digest": {"sha256": evidence["digest"].removeprefix("sha256:")},
                    "mediaType": evidence["mediaType"],
                    "annotations": {"dev.modelseal.size": str(evidence["size"])},
                },
            }
        ]
    }
    file = place.modelseal.home / "replayed.json"
    file.write_text(json.dumps(predicate))
    words = ["attest", "oci:./store:1.5.0", "--type", "scai", "--predicate", str(file), *SIGN]
    place.modelseal(*words, env=SECRET).check()
    refused = place.verify(reference="oci:./store:1.5.0", code=11)
    assert "[wrong-nonce]" in refused


def test_a_key_that_signs_anything_is_no_attestation_key(place: Place) -> None:
    plain = place.tpm.plain_key("0x81010004")
    refused = place.quote(ak=plain.handle, code=11)
    assert "[unfit-attestation-key]" in refused
    assert "not restricted" in refused


@pytest.mark.parametrize(("kind", "handle"), [("rsassa", "0x81010005"), ("rsapss", "0x81010006")])
def test_rsa_keys_quote_too_also_with_a_password(place: Place, kind: str, handle: str) -> None:
    key = place.tpm.attestation_key(kind, handle, auth="let-me-in")
    refused = place.quote("oci:./store:1.5.0", ak=handle, code=1)
    assert "tpm2_quote failed" in refused
    assert "MODELSEAL_TPM_AUTH" in refused
    place.quote("oci:./store:1.5.0", ak=handle, MODELSEAL_TPM_AUTH="let-me-in")
    text = place.verify("--ak", key.public, reference="oci:./store:1.5.0")
    assert text.startswith("verified: ")


POLICY = """\
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: trained-on-known-machines}}
spec:
  roles:
    builder:
      identities:
        - publicKey: |
{pem}
  rules:
    - {{use: signed, with: {{role: builder}}}}
    - use: environment
      with:
        role: builder
        attestationKeys: ["{key}"]
        pcrs: {{sha256: {{"7": "{pcr}"}}}}
"""


def test_a_policy_asks_for_the_key_and_the_values(place: Place, quoted: dict[str, object]) -> None:
    quote = quoted["quote"]
    assert isinstance(quote, dict)
    home = place.modelseal.home
    pem = "\n".join(f"            {line}" for line in (home / "k.pub").read_text().splitlines())
    name = quote["attestationKey"]["name"]
    for value, key, code in (
        (pcr7(quoted), name, 0),
        ("00" * 32, name, 10),
        (pcr7(quoted), "000b" + "00" * 32, 10),
    ):
        (home / "policy.yaml").write_text(POLICY.format(pem=pem, key=key, pcr=value))
        done = place.modelseal("verify", REF, "--policy", "policy.yaml").check(code)
        if code:
            assert "environment: no quote of a TPM says" in done.stderr


def test_evidence_is_explained(place: Place, quoted: dict[str, object]) -> None:
    told = place.modelseal("explain", REF, *VERIFY).check().stdout
    assert "evidence that a statement names by its digest; unsigned itself" in told
    assert quoted


def test_the_evidence_comes_along_with_a_copy(place: Place, quoted: dict[str, object]) -> None:
    place.modelseal("copy", "--recursive", REF, "oci:./far:1.4.0").check()
    assert place.verify(reference="oci:./far:1.4.0").startswith("verified: ")
    assert quoted


def test_what_is_missing_is_told_with_the_next_step(place: Place, tmp_path: Path) -> None:
    gone = place.quote(ak=str(tmp_path / "nothing.ctx"), code=2)
    assert "there is no attestation key" in gone
    words = ["environment", "quote", REF, "--ak", "0x81010002", *SIGN]
    env = {**SECRET, "PATH": str(tmp_path)}
    missing = place.modelseal(*words, env=env).check(20)
    assert "there is no tpm2_readpublic" in missing.stderr
    assert "apt-get install tpm2-tools" in missing.stderr
    silent = place.modelseal(*words, "--tcti", "swtpm:port=1", env=SECRET).check(1)
    assert "tpm2_readpublic failed" in silent.stderr
