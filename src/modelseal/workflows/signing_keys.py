# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `--key` names: a file, or a key in a KMS. To sign with, and to verify with."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelseal.errors import UsageError

if TYPE_CHECKING:
    from modelseal.trust.keys import PublicKey, SigningKey


def open_signing_key(
    key: Path | str,
    *,
    passphrase: Callable[[], str],
    pin: Callable[[], str],
    offline: bool = False,
) -> "SigningKey":
    """Return the private key that `key` names.

    Args:
        key: an encrypted file, or a URI as `trust.kms` has them.
        passphrase: of the file, asked when it is needed.
        pin: of a PKCS#11 token, asked when it is needed.
        offline: ask no service.

    Raises:
        UsageError: offline, and the key is kept by a service.
        KeyFileError: it cannot be used, or an extra is not installed.
        SigningError, UnavailableError: the KMS refused, or did not answer.
    """
    from modelseal.trust.kms import is_key_uri, open_remote_key

    if isinstance(key, str) and is_key_uri(key):
        _require_reachable(key, offline=offline)
        return open_remote_key(key, pin)
    from modelseal.trust.keys import load_private_key

    return load_private_key(Path(key), passphrase)


def open_public_key(
    key: Path | str, *, pin: Callable[[], str], offline: bool = False
) -> "PublicKey":
    """Return the public key that `key` names; of a KMS it is asked for. Raises as above."""
    from modelseal.trust.kms import is_key_uri, open_remote_key

    if isinstance(key, str) and is_key_uri(key):
        _require_reachable(key, offline=offline)
        return open_remote_key(key, pin).public_key()
    from modelseal.trust.keys import load_public_key

    return load_public_key(Path(key))


def open_either_key(
    key: Path | str, *, passphrase: Callable[[], str], pin: Callable[[], str]
) -> "PublicKey":
    """Return the public half of a key, whether `key` names the public or the private one.

    Raises as above.
    """
    from modelseal.trust.kms import is_key_uri
    from modelseal.trust.pem import pem_block, read_key_file

    if isinstance(key, str) and is_key_uri(key):
        return open_public_key(key, pin=pin)
    label, _ = pem_block(read_key_file(Path(key)), key)
    if label.endswith("PRIVATE KEY"):
        return open_signing_key(key, passphrase=passphrase, pin=pin).public_key()
    return open_public_key(key, pin=pin)


def _require_reachable(uri: str, *, offline: bool) -> None:
    """Refuse to ask a service for a key while offline; a token in this machine is no service."""
    if offline and not uri.startswith("hsm:"):
        raise UsageError(
            f"--offline and --key {uri.partition(':')[0]}:… exclude each other",
            hint="write the public key into a file once: modelseal key show URI",
        )
