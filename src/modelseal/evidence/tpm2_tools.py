# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A quote from the TPM of this machine, by the commands of `tpm2-tools`.

Each is started without a shell, with a time-out and with nothing of the environment but what it
needs; files go through a directory that only this user may read, and that goes again.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelseal.errors import SigningError, UnavailableError, UsageError
from modelseal.oci.descriptor import Digest
from modelseal.trust.environment import Quote, nonce_for
from modelseal.trust.tpm.evidence import MAX_EVIDENCE_BYTES, TpmEvidence
from modelseal.trust.tpm.quote import verify_quote
from modelseal.trust.tpm.structures import (
    ALG_ECDSA,
    ALG_RSAPSS,
    ALG_RSASSA,
    HASHES,
    MAX_PCRS,
    parse_public,
)

DEFAULT_SELECTION: Final = "sha256:0,1,2,3,4,5,6,7"
"""The PCRs of a PC's firmware, boot loader and secure boot (PC Client Platform, 3.3.4)."""

_SCHEMES = {ALG_RSASSA: "rsassa", ALG_RSAPSS: "rsapss", ALG_ECDSA: "ecdsa"}
_TIMEOUT_SECONDS = 60
_HANDLE = re.compile(r"0x[0-9a-fA-F]{8}")
_BANK = re.compile(rf"({'|'.join(HASHES.values())}):((?:[0-9]{{1,2}})(?:,[0-9]{{1,2}})*)")
_KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR")
_WHICH = "is it the right TPM (--tcti, TPM2TOOLS_TCTI), and is the key in it (--ak)?"
_FULL = (
    "the TPM holds too many loaded keys: name a resource manager (--tcti device:/dev/tpmrm0), or "
    "flush them with tpm2_flushcontext -t"
)
_HINTS = {
    "(0x902)": _FULL,
    "authorization": "what authorises the key's use comes from MODELSEAL_TPM_AUTH",
}
_INSTALL = "install tpm2-tools (Debian: apt-get install tpm2-tools)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm:
    """Where the TPM is, and the attestation key in it.

    Attributes:
        ak: a file with the key's context, or a persistent handle (`0x81010002`).
        tcti: how the TPM is reached, as `tpm2-tools` has it; empty for their own default.
        auth: what authorises the use of the key; empty when nothing has to.
        environment: of the process.
    """

    ak: str
    tcti: str = ""
    auth: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_selection(text: str) -> dict[str, tuple[int, ...]]:
    """Read `sha256:0,1,7`, or several banks with `+` between them.

    Raises:
        UsageError: it is not of this form.
    """
    chosen: dict[str, tuple[int, ...]] = {}
    for part in text.split("+"):
        match = _BANK.fullmatch(part)
        numbers = sorted({int(number) for number in match[2].split(",")}) if match else []
        if match is None or match[1] in chosen or numbers[-1] >= MAX_PCRS:
            raise UsageError(
                f"{text[:100]!r} selects no PCRs",
                hint=f"write for example {DEFAULT_SELECTION}; banks: {', '.join(HASHES.values())}",
            )
        chosen[match[1]] = tuple(numbers)
    return chosen


def quote(
    tpm: Tpm,
    subject: Digest,
    selection: Mapping[str, Sequence[int]],
    certificates: Sequence[bytes] = (),
) -> tuple[bytes, Quote]:
    """Have the TPM quote its PCRs for an artifact; return the evidence, and what is in it.

    Args:
        tpm: the TPM and its key.
        subject: the artifact.
        selection: PCRs by bank.
        certificates: (DER) of the attestation key, its own first, to go into the evidence.

    Raises:
        UsageError: there is no such key file.
        UnavailableError: `tpm2-tools` is not there, or did not end in time.
        SigningError: the TPM refused, or what it gave does not hold.
        VerificationError: the key is no attestation key.
    """
    key = _key(tpm.ak)
    with tempfile.TemporaryDirectory(prefix="modelseal-tpm-") as name:  # mode 0700
        place = Path(name)
        area, attest, signature, values = (place / part for part in ("pub", "msg", "sig", "pcr"))
        _run(tpm, "tpm2_readpublic", "-c", key, "-o", str(area))
        wanted = "+".join(f"{bank}:{','.join(map(str, pcrs))}" for bank, pcrs in selection.items())
        auth = ["-p", "file:-"] if tpm.auth else []
        nonce = nonce_for(subject).hex()
        out = ["-m", str(attest), "-s", str(signature), "-o", str(values), "-F", "values"]
        how = _scheme(_read(area))
        words = ["-c", key, *auth, *how, "-l", wanted, "-q", nonce, *out]
        _run(tpm, "tpm2_quote", *words, stdin=tpm.auth)
        evidence = TpmEvidence(
            attest=_read(attest),
            signature=_read(signature),
            public_area=_read(area),
            pcrs=_values(_read(values), selection),
            certificates=tuple(certificates),
        )
    raw = evidence.to_bytes()
    return raw, verify_quote(raw, subject)


def _key(text: str) -> str:
    if _HANDLE.fullmatch(text):
        return text
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"there is no attestation key {text}",
            hint="name the context file that tpm2_createak -c wrote, or a handle: 0x81010002",
        )
    return str(path.resolve())  # absolute, so that it is taken for no option


def _scheme(public_area: bytes) -> list[str]:
    """Return how the key signs; without it tpm2_quote takes RSASSA for every RSA key."""
    area = parse_public(public_area)
    name = _SCHEMES.get(area.scheme or 0)
    return ["--scheme", name, "-g", area.scheme_hash] if name else []


def _values(raw: bytes, selection: Mapping[str, Sequence[int]]) -> dict[str, dict[int, bytes]]:
    """Split the values, which stand one behind the other."""
    found: dict[str, dict[int, bytes]] = {}
    place = 0
    sizes = {"sha256": 32, "sha384": 48, "sha512": 64}
    for bank, numbers in selection.items():
        size = sizes[bank]
        found[bank] = {}
        for number in numbers:
            found[bank][number] = raw[place : place + size]
            place += size
    if place != len(raw):
        raise SigningError(
            f"the TPM gave {len(raw)} bytes of PCR values instead of {place}",
            hint="does it have all banks that were asked for? tpm2_pcrread",
        )
    return found


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_EVIDENCE_BYTES)


def _run(tpm: Tpm, program: str, *words: str, stdin: str = "") -> None:
    environment = {key: tpm.environment[key] for key in _KEPT if key in tpm.environment}
    if "TPM2TOOLS_TCTI" in tpm.environment:
        environment["TPM2TOOLS_TCTI"] = tpm.environment["TPM2TOOLS_TCTI"]
    where = ["-T", tpm.tcti] if tpm.tcti else []
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            [program, *where, *words],
            env=environment,
            input=stdin.encode(),
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
            cwd=os.sep,
        )
    except FileNotFoundError as error:
        raise UnavailableError(f"there is no {program}", hint=_INSTALL) from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"{program} did not end in {_TIMEOUT_SECONDS} s",
            hint="is the TPM in use by somebody? name its resource manager with --tcti",
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        told = [line for line in lines if line.startswith("ERROR: ")] or lines or ["nothing said"]
        text = " ".join(told[0].removeprefix("ERROR: ").split())[:300]
        hint = next((hint for sign, hint in _HINTS.items() if sign in text), _WHICH)
        raise SigningError(f"{program} failed: {text}", hint=hint)
