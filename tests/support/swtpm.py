# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A real TPM 2.0 in software (swtpm), with attestation keys made by tpm2-tools."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import missing
from tests.support.processes import free_port, start

PROGRAMS = ("swtpm", "tpm2_quote", "tpm2_createak")
_KINDS = {
    "ecdsa": ("-G", "ecc", "-g", "sha256", "-s", "ecdsa"),
    "rsassa": ("-G", "rsa", "-g", "sha256", "-s", "rsassa"),
    "rsapss": ("-G", "rsa", "-g", "sha256", "-s", "rsapss"),
}


@dataclass(frozen=True, slots=True)
class AttestationKey:
    """A key in the TPM: its persistent handle, and the file with its public area."""

    handle: str
    public: Path


@dataclass(frozen=True, slots=True)
class SoftwareTpm:
    """A running TPM; `tcti` is how it is reached."""

    directory: Path
    tcti: str

    def run(self, *words: str | Path) -> str:
        """Run one of tpm2-tools."""
        done = subprocess.run(
            [str(word) for word in words],
            env={**os.environ, "TPM2TOOLS_TCTI": self.tcti},
            cwd=self.directory,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def attestation_key(self, kind: str, handle: str, *, auth: str = "") -> AttestationKey:
        """Make an attestation key and keep it under a handle."""
        area = self.directory / f"{handle}.pub"
        authorised = ["-p", auth] if auth else []
        words = ["-C", "ek.ctx", "-c", "ak.ctx", *_KINDS[kind], "-u", str(area), *authorised]
        self.run("tpm2_createak", *words)
        self._keep("ak.ctx", handle)
        return AttestationKey(handle, area)

    def plain_key(self, handle: str) -> AttestationKey:
        """Make a key that signs whatever it is given: no attestation key."""
        area = self.directory / f"{handle}.pub"
        self.run("tpm2_createprimary", "-C", "o", "-c", "primary.ctx", "-G", "ecc")
        attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
        words = ["-C", "primary.ctx", "-G", "ecc:ecdsa-sha256", "-a", attributes]
        self.run("tpm2_create", *words, "-u", "plain.pub", "-r", "plain.priv")
        words = ["-C", "primary.ctx", "-u", "plain.pub", "-r", "plain.priv", "-c", "plain.ctx"]
        self.run("tpm2_flushcontext", "-t")
        self.run("tpm2_load", *words)
        self.run("tpm2_flushcontext", "-t")
        self.run("tpm2_readpublic", "-c", "plain.ctx", "-o", area)
        self._keep("plain.ctx", handle)
        return AttestationKey(handle, area)

    def extend(self, number: int, value: str) -> None:
        """Measure something into a PCR."""
        self.run("tpm2_pcrextend", f"{number}:sha256={value}")

    def answers(self) -> bool:
        """Tell whether it takes commands."""
        try:
            self.run("tpm2_getcap", "properties-fixed")
        except AssertionError:
            return False
        return True

    def _keep(self, context: str, handle: str) -> None:
        self.run("tpm2_evictcontrol", "-C", "o", "-c", context, handle)
        self.run("tpm2_flushcontext", "-t")


@contextlib.contextmanager
def software_tpm(directory: Path) -> Iterator[SoftwareTpm]:
    """Start a TPM with a state of its own, and an endorsement key in `ek.ctx`."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        missing(f"{', '.join(absent)} is not there: install the Debian packages swtpm, tpm2-tools")
    state = directory / "state"
    state.mkdir()
    port = free_port()
    control = port + 1  # where tpm2-tools take it to be
    tpm = SoftwareTpm(directory, f"swtpm:host=127.0.0.1,port={port}")
    server = start(
        "swtpm",
        [
            *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}"),
            *("--server", f"type=tcp,port={port},bindaddr=127.0.0.1"),
            *("--ctrl", f"type=tcp,port={control},bindaddr=127.0.0.1"),
            *("--flags", "startup-clear"),
        ],
        log=directory / "swtpm.log",
        healthy=tpm.answers,
    )
    try:
        tpm.run("tpm2_createek", "-c", "ek.ctx", "-G", "ecc")
        tpm.run("tpm2_flushcontext", "-t")
        yield tpm
    finally:
        server.stop()
