# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""From a TPM's evidence to a quote that holds: for one artifact, by one attestation key.

Source: TCG TPM 2.0 Library, Part 1, 23 (attestation) and Part 3, 18.4 (TPM2_Quote). Whose the
attestation key is stands elsewhere (`ak`): that it signed says only that some TPM is so.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.environment import Quote, nonce_for
from modelseal.trust.identity import KeyIdentity
from modelseal.trust.tpm import structures
from modelseal.trust.tpm.evidence import TpmEvidence, parse_evidence
from modelseal.trust.tpm.structures import Attestation, PublicArea, QuoteSignature

_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_AGAIN = "have the machine quote for this artifact: modelseal environment quote REF"


def verify_quote(raw: bytes, subject: Digest) -> Quote:
    """Return the quote in an evidence document, if it holds for `subject`.

    Raises:
        VerificationError: `broken-quote`; `unfit-attestation-key`: the key could sign what is not
            from the TPM; `bad-signature`; `wrong-nonce`: it was made for something else;
            `wrong-pcr-values`: the values beside it are not those that it is about.
    """
    evidence = parse_evidence(raw)
    area = structures.parse_public(evidence.public_area)

    # (1) A restricted key signs nothing that claims to be from the TPM and is not.
    lacking = area.attributes.lacking()
    if lacking:
        _refuse(
            "unfit-attestation-key",
            f"the key {area.name} is no attestation key: it is not {', '.join(lacking)}",
            "make one with tpm2_createak",
        )

    # (2) It signed exactly these bytes, with its own algorithm.
    signature = structures.parse_signature(evidence.signature)
    key = _public_key(area)
    _check_signature(area, key, signature, evidence.attest)

    # (3) They are a quote, for this artifact.
    attestation = structures.parse_attestation(evidence.attest)
    if attestation.extra_data != nonce_for(subject):
        _refuse("wrong-nonce", f"the quote was made for something else than {subject}", _AGAIN)

    # (4) The values are those that it is about.
    _check_values(attestation, evidence, signature.hash_name)
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Quote(
        subject=subject,
        ak_name=area.name,
        ak_key=KeyIdentity(f"sha256:{hashlib.sha256(der).hexdigest()}"),
        nonce=attestation.extra_data.hex(),
        pcrs=MappingProxyType(
            {
                bank: MappingProxyType({number: value.hex() for number, value in values.items()})
                for bank, values in evidence.pcrs.items()
            }
        ),
        reset_count=attestation.reset_count,
        restart_count=attestation.restart_count,
        clock=attestation.clock,
        firmware=attestation.firmware,
        certificates=evidence.certificates,
        evidence=Digest.of(raw),
    )


def public_key_der(public_area: bytes) -> bytes:
    """Return the key in TPM2B_PUBLIC as DER SubjectPublicKeyInfo. Raises `VerificationError`."""
    return _public_key(structures.parse_public(public_area)).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _public_key(area: PublicArea) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        if area.modulus:
            return rsa.RSAPublicNumbers(area.exponent, area.modulus).public_key()
        x, y = area.point
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise VerificationError(
            "the public area of the TPM holds no key", hint=_AGAIN, code="broken-quote"
        ) from error


def _check_signature(
    area: PublicArea,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signature: QuoteSignature,
    signed: bytes,
) -> None:
    of_key = (area.scheme or signature.scheme, area.scheme_hash or signature.hash_name)
    if of_key != (signature.scheme, signature.hash_name):
        _refuse("bad-signature", "the quote is signed in another way than its key signs", _AGAIN)
    algorithm = _HASHES[signature.hash_name]()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            encoded = utils.encode_dss_signature(*signature.ecdsa)
            key.verify(encoded, signed, ec.ECDSA(algorithm))
        elif signature.scheme == structures.ALG_RSAPSS:
            # TPMs take the largest salt, or as many bytes as the hash has (Part 1, B.7).
            pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
            key.verify(signature.rsa, signed, pss, algorithm)
        else:
            key.verify(signature.rsa, signed, padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError(
            f"the quote is not signed by the attestation key {area.name}",
            hint="it was changed; " + _AGAIN,
            code="bad-signature",
        ) from error


def _check_values(attestation: Attestation, evidence: TpmEvidence, hash_name: str) -> None:
    """Hash the values in the order of the selection, as the TPM did (Part 3, 18.4.1)."""
    selected = {bank: set(numbers) for bank, numbers in attestation.selection}
    given = {bank: set(values) for bank, values in evidence.pcrs.items()}
    hasher = hashlib.new(hash_name)
    if selected == given:
        for bank, numbers in attestation.selection:
            size = hashlib.new(bank).digest_size
            for number in numbers:
                value = evidence.pcrs[bank][number]
                if len(value) != size:
                    _refuse("wrong-pcr-values", f"PCR {number} is no {bank} value", _AGAIN)
                hasher.update(value)
        if hasher.digest() == attestation.pcr_digest:
            return
    _refuse("wrong-pcr-values", "the PCR values are not those that the quote is about", _AGAIN)


def _refuse(code: str, message: str, hint: str) -> NoReturn:
    raise VerificationError(message, hint=hint, code=code)
