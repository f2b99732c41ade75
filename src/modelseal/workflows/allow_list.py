# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Allow-lists: names that pickles may import, believed only from whom the caller names."""

from pathlib import Path

from modelseal.attest.predicates.types import ALLOW_LIST
from modelseal.attest.statement import build_statement
from modelseal.errors import UsageError, VerificationError
from modelseal.evidence.scan.allowed import (
    BUILT_IN,
    MAX_ALLOW_LIST_BYTES,
    Allowed,
    parse_allow_list,
)
from modelseal.oci.descriptor import Digest
from modelseal.trust.signer import Signer
from modelseal.workflows.files import read_file
from modelseal.workflows.trust import Trust

MAX_SIGNATURE_BYTES = 1 << 20
"""Largest bundle beside an allow-list, in bytes."""


def sign_allow_list(path: Path, signer: Signer) -> bytes:
    """Return a bundle in which the signer says that the list at `path` holds.

    Raises:
        UsageError: it is no allow-list.
        SigningError, UnavailableError: as `Signer.sign` does.
    """
    raw = read_file(path, "allow-list", limit=MAX_ALLOW_LIST_BYTES)
    names = sorted(f"{module}.{name}" for module, name in parse_allow_list(raw))
    statement = build_statement(Digest.of(raw), ALLOW_LIST, {"globals": names})
    return signer.sign([statement])[0]


def read_allow_list(path: Path, signature: Path, trust: Trust) -> Allowed:
    """Return what is built in and what the list at `path` opens.

    Args:
        path: the list.
        signature: the bundle that signs it.
        trust: whom to believe.

    Raises:
        VerificationError: nobody of them signed exactly this list.
        UsageError: it is no allow-list, or a file is not there.
    """
    raw = read_file(path, "allow-list", limit=MAX_ALLOW_LIST_BYTES)
    bundle = read_file(signature, "allow-list's signature", limit=MAX_SIGNATURE_BYTES)
    refusal: VerificationError | None = None
    for verifier in trust.verifiers:
        try:
            statement = verifier.verify(bundle, subject=Digest.of(raw))
        except VerificationError as error:
            refusal = error
            continue
        if statement.predicate_type != ALLOW_LIST:
            raise VerificationError(
                f"{signature} is a {statement.predicate_type} statement, and no allow-list's",
                hint=f"sign it: modelseal allowlist sign {path} --signature {signature}",
                code="not-an-allow-list",
            )
        return BUILT_IN.and_list(raw)
    if refusal is None:
        raise UsageError("nobody is named who has to have signed the allow-list")
    raise VerificationError(
        f"the allow-list {path} is not taken: {refusal}", hint=refusal.hint, code=refusal.reason
    ) from refusal
