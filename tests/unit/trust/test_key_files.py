import base64
import hashlib
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox

from modelseal.errors import KeyFileError, StorageError, VerificationError
from modelseal.trust.keys import (
    Algorithm,
    generate_key,
    load_private_key,
    load_public_key,
    parse_public_key,
    write_key_pair,
)
from modelseal.trust.pem import MAX_KEY_FILE_BYTES, to_pem
from modelseal.trust.pkcs8 import derivation_is_bounded

PASSPHRASE = "correct horse — bätterie"
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def passphrase() -> str:
    return PASSPHRASE


def never_asked() -> str:
    raise AssertionError("nobody was to be asked")


def public_pem(
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey | dsa.DSAPublicKey,
) -> bytes:
    return key.public_bytes(PEM, SPKI)


def test_a_key_pair_comes_back_as_it_was_written(tmp_path: Path) -> None:
    key = generate_key()
    pair = write_key_pair(key, tmp_path / "release.key", passphrase)
    assert pair.public == tmp_path / "release.key.pub"
    private, public = load_private_key(pair.private, passphrase), load_public_key(pair.public)
    assert private.public_key() == public == key.public_key()
    assert pair.fingerprint == public.identity.fingerprint
    public.verify(private.sign(b"data"), b"data")


def test_the_private_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        pair = write_key_pair(generate_key(), tmp_path / "k", passphrase)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600


def test_the_private_key_is_encrypted_with_a_slow_derivation(tmp_path: Path) -> None:
    pem = write_key_pair(generate_key(), tmp_path / "k", passphrase).private.read_bytes()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in pem
    der = serialization.load_pem_private_key(pem, PASSPHRASE.encode())
    assert isinstance(der, ec.EllipticCurvePrivateKey)
    scrypt = bytes.fromhex("06092b06010401da47040b")
    assert scrypt in b"".join(_decoded(pem))


def _decoded(pem: bytes) -> list[bytes]:
    return [base64.b64decode(b"".join(pem.splitlines()[1:-1]))]


@pytest.mark.parametrize("taken", ["k", "k.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"precious")
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key_pair(generate_key(), tmp_path / "k", never_asked)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        write_key_pair(generate_key(), tmp_path / "k", never_asked)
    assert not (tmp_path / "elsewhere").exists()


def test_both_files_are_written_or_none(tmp_path: Path) -> None:
    def passphrase_while_somebody_takes_the_name() -> str:
        (tmp_path / "k.pub").write_bytes(b"precious")
        return PASSPHRASE

    with pytest.raises(KeyFileError, match=r"k\.pub is there already"):
        write_key_pair(generate_key(), tmp_path / "k", passphrase_while_somebody_takes_the_name)
    assert [path.name for path in tmp_path.iterdir()] == ["k.pub"]


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        write_key_pair(generate_key(), tmp_path / "no" / "k", passphrase)


def test_an_empty_passphrase_encrypts_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="passphrase is empty"):
        write_key_pair(generate_key(), tmp_path / "k", str)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_or_missing_passphrase_is_told(tmp_path: Path) -> None:
    path = write_key_pair(generate_key(), tmp_path / "k", passphrase).private
    with pytest.raises(KeyFileError, match="another passphrase") as caught:
        load_private_key(path, lambda: "hunter2")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(KeyFileError, match="there is no passphrase"):
        load_private_key(path, str)


def test_a_key_that_is_not_encrypted_is_refused_without_asking(tmp_path: Path) -> None:
    plain = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "k"
    for form in (PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        path.write_bytes(plain.private_bytes(PEM, form, serialization.NoEncryption()))
        with pytest.raises(KeyFileError, match="is not encrypted") as caught:
            load_private_key(path, never_asked)
        assert "openssl pkcs8" in caught.value.hint


def test_other_private_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "k"
    encryption = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    for key, reason in (
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1, and cosign would refuse"),
        (rsa.generate_private_key(65537, 1024), "RSA of 1024 bits"),
        (rsa.generate_private_key(65537, 2560), "RSA of 2560 bits"),
        (dsa.generate_private_key(1024), "another algorithm"),
    ):
        path.write_bytes(key.private_bytes(PEM, PKCS8, encryption))
        with pytest.raises(KeyFileError, match=reason):
            load_private_key(path, passphrase)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no PEM block"),
        (b"x" * (MAX_KEY_FILE_BYTES + 1), "too large"),
        (b"-----BEGIN PUBLIC KEY-----\nQQ==\n-----END PUBLIC KEY-----\n", "has a PUBLIC KEY"),
        (
            (
                b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nQQ==\n"
                b"-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
            ),
            "damaged cosign key",
        ),
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nQQ==\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "encrypted in a way that is not taken",
        ),
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nQQQ\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "damaged PEM",
        ),
    ],
)
def test_what_is_no_private_key_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=message):
        load_private_key(path, passphrase)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_algorithm_signs_and_comes_back(tmp_path: Path, algorithm: Algorithm) -> None:
    pair = write_key_pair(generate_key(algorithm), tmp_path / "k", passphrase)
    private, public = load_private_key(pair.private, passphrase), load_public_key(pair.public)
    assert public.algorithm == algorithm
    public.verify(private.sign(b"data"), b"data")


def encrypted(path: Path, *options: str) -> Path:
    """Encrypt a new key with openssl, as its users do."""
    plain = ec.generate_private_key(ec.SECP256R1())
    pem = plain.private_bytes(PEM, PKCS8, serialization.NoEncryption())
    command = ["openssl", "pkcs8", "-topk8", *options, "-passout", f"pass:{PASSPHRASE}"]
    subprocess.run([*command, "-out", path], input=pem, check=True)
    return path


@pytest.mark.parametrize("options", [(), ("-scrypt",), ("-v2", "aes-128-cbc", "-iter", "100000")])
def test_what_openssl_encrypts_is_read(tmp_path: Path, options: tuple[str, ...]) -> None:
    load_private_key(encrypted(tmp_path / "k", *options), passphrase)


def test_a_file_that_asks_for_endless_work_is_refused_without_asking(tmp_path: Path) -> None:
    path = encrypted(tmp_path / "k", "-scrypt", "-scrypt_p", "8")
    pem = path.read_bytes()
    (der,) = _decoded(pem)
    costs = bytes.fromhex("0202 4000 020108 020108".replace(" ", ""))  # N, r, p
    assert costs in der
    for other in ("0202 4000 020108 02017f", "0202 7fff 02017f 020108"):
        forged = der.replace(costs, bytes.fromhex(other.replace(" ", "")))
        path.write_bytes(to_pem("ENCRYPTED PRIVATE KEY", forged))
        with pytest.raises(KeyFileError, match="at a cost without measure"):
            load_private_key(path, never_asked)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_the_cost_stumble(data: bytes) -> None:
    assert derivation_is_bounded(data) in {True, False}


def cosign_document(secret: str = PASSPHRASE, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the JSON of a cosign key, as go-securesystemslib writes it."""
    salt, nonce = os.urandom(32), os.urandom(24)
    scrypt = hashlib.scrypt(secret.encode(), salt=salt, n=1 << 15, r=8, p=1, maxmem=1 << 27)
    plain = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, PKCS8, serialization.NoEncryption()
    )
    sealed = SecretBox(scrypt[:32]).encrypt(plain, nonce).ciphertext
    text = {name: base64.b64encode(value).decode() for name, value in (("s", salt), ("n", nonce))}
    return {
        "kdf": {"name": "scrypt", "params": {"N": 1 << 15, "r": 8, "p": 1}, "salt": text["s"]},
        "cipher": {"name": "nacl/secretbox", "nonce": text["n"]},
        "ciphertext": base64.b64encode(sealed).decode(),
    } | changes


def cosign_file(path: Path, document: object) -> Path:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    path.write_bytes(to_pem("ENCRYPTED COSIGN PRIVATE KEY", raw))
    return path


def test_a_cosign_key_of_before_is_read(tmp_path: Path) -> None:
    path = cosign_file(tmp_path / "k", cosign_document())
    key = load_private_key(path, passphrase)
    key.public_key().verify(key.sign(b"data"), b"data")
    with pytest.raises(KeyFileError, match="another passphrase"):
        load_private_key(path, lambda: "hunter2")
    load_private_key(cosign_file(path, cosign_document("")), str)  # as cosign takes it


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kdf": None}, "damaged"),
        ({"kdf": {"name": "argon2"}}, "unknown way"),
        ({"cipher": {"name": "rot13"}}, "unknown way"),
        ({"cipher": {"name": "nacl/secretbox", "nonce": "QQ=="}}, "damaged"),
        ({"ciphertext": "?"}, "damaged"),
        ({"ciphertext": 1}, "damaged"),
        ({"ciphertext": ""}, "another passphrase"),
        ({"params": {"N": 1 << 40, "r": 8, "p": 1}}, "cosign does not write"),
        ({"params": {"N": 1 << 15, "r": 8, "p": True}}, "cosign does not write"),
        ({"params": {"N": [], "r": {}, "p": None}}, "cosign does not write"),
        ({"params": []}, "damaged"),
    ],
)
def test_what_is_no_cosign_key_is_told(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    document = cosign_document()
    if "params" in changes:
        document["kdf"]["params"] = changes["params"]
    else:
        document |= changes
    with pytest.raises(KeyFileError, match=message) as caught:
        load_private_key(cosign_file(tmp_path / "k", document), passphrase)
    assert caught.value.hint


def test_a_missing_key_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        load_public_key(tmp_path / "k.pub")


def test_the_algorithm_comes_from_the_key() -> None:
    data = b"data"
    p256 = ec.generate_private_key(ec.SECP256R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    big = rsa.generate_private_key(65537, 2048)
    keys = [
        (public_pem(p256.public_key()), p256.sign(data, ec.ECDSA(hashes.SHA256()))),
        (public_pem(edwards.public_key()), edwards.sign(data)),
        (
            public_pem(big.public_key()),
            big.sign(data, padding.PKCS1v15(), hashes.SHA256()),
        ),
    ]
    for place, (pem, _) in enumerate(keys):
        key = parse_public_key(pem, "k.pub")
        for other, (_, signature) in enumerate(keys):
            if other == place:
                key.verify(signature, data)
                continue
            with pytest.raises(VerificationError):
                key.verify(signature, data)


def test_other_digests_and_paddings_of_the_same_key_do_not_count() -> None:
    data = b"data"
    p256, big = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for pem, signature in (
        (public_pem(p256.public_key()), p256.sign(data, ec.ECDSA(hashes.SHA384()))),
        (public_pem(big.public_key()), big.sign(data, pss, hashes.SHA256())),
        (public_pem(big.public_key()), big.sign(data, padding.PKCS1v15(), hashes.SHA512())),
        (public_pem(p256.public_key()), b""),
    ):
        with pytest.raises(VerificationError) as caught:
            parse_public_key(pem, "k.pub").verify(signature, data)
        assert caught.value.reason == "bad-signature"


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (public_pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "secp384r1"),
        (public_pem(ec.generate_private_key(ec.SECP521R1()).public_key()), "secp521r1"),
        (public_pem(rsa.generate_private_key(65537, 1024).public_key()), "RSA of 1024 bits"),
        (public_pem(dsa.generate_private_key(2048).public_key()), "another algorithm"),
    ],
)
def test_other_public_keys_are_refused_with_the_reason(pem: bytes, reason: str) -> None:
    with pytest.raises(KeyFileError, match=reason):
        parse_public_key(pem, "k.pub")


def test_an_rsa_pss_key_is_not_taken_for_pkcs1() -> None:
    # The same SubjectPublicKeyInfo, with the algorithm id-RSASSA-PSS and no parameters.
    der = (
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(serialization.Encoding.DER, SPKI)
    )
    at = der.index(bytes.fromhex("300d06092a864886f70d0101010500"))
    bits = der[at + 15 :]
    body = bytes.fromhex("300b06092a864886f70d01010a") + bits
    spki = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    pem = b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n" % base64.b64encode(spki)
    with pytest.raises(KeyFileError, match="RSA-PSS"):
        parse_public_key(pem, "k.pub")


def test_one_key_has_one_fingerprint() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    compressed = base64.b64encode(head + point)
    pem = b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n" % compressed
    assert serialization.load_pem_public_key(pem) == key
    with pytest.raises(KeyFileError, match="usual encoding"):
        parse_public_key(pem, "k.pub")


def test_a_private_key_does_not_pass_as_a_public_one(tmp_path: Path) -> None:
    pair = write_key_pair(generate_key(), tmp_path / "k", passphrase)
    with pytest.raises(KeyFileError, match="is not a public key"):
        load_public_key(pair.private)
    with pytest.raises(KeyFileError, match="more than one PEM block"):
        parse_public_key(pair.public.read_bytes() * 2, "k.pub")


def test_keys_do_not_show_themselves() -> None:
    key = generate_key()
    assert repr(key) == "PrivateKey()"
    assert "EllipticCurve" not in repr(key.public_key())
