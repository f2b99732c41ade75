# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Every error that this package raises on purpose, as one tree.

::

    modelseal.Error
    ├── UsageError                  the caller asked for something that cannot be
    │   ├── InvalidReferenceError
    │   ├── InvalidProjectError     modelseal.yaml
    │   ├── InvalidPolicyError
    │   └── KeyFileError
    ├── ContentError                bytes are not what they have to be
    │   ├── ContentMismatchError    another digest or size than the descriptor says
    │   ├── InvalidDocumentError    not strict JSON or YAML, or of another shape
    │   ├── LimitExceededError      larger, deeper or more than we read from a stranger
    │   └── UnsafePathError         a name that would leave the directory
    ├── NotFoundError               no such tag, manifest, blob or repository
    ├── ConflictError               somebody else was there first
    ├── StorageError                the local disk refused
    ├── VerificationError           not signed, or not by whom it has to be
    ├── DeniedError                 the policy says no
    ├── SigningError                a signature could not be made
    └── UnavailableError            registry, Sigstore or network
        └── AccessDeniedError       the registry answered 401 or 403

Nothing below `cli` turns them into exits, and no third-party exception crosses a package of
ours: whoever calls a library translates at the call (`raise … from error`).
"""

from typing import ClassVar


class Error(Exception):
    """The base of them all: catch this one to catch everything from here."""

    code: ClassVar[str] = "error"
    """A stable name for scripts; it goes into `--output json`."""

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        """Say what failed, on what; `hint` says what to do about it.

        Args:
            message: one sentence, without a full stop, that names the thing.
            hint: the next step, as a sentence or a command.
            code: a finer stable name than the class's own.
        """
        super().__init__(message)
        self.hint = hint
        self.reason = code or self.code


class UsageError(Error):
    """The caller asked for something that cannot be."""

    code = "usage"


class InvalidReferenceError(UsageError):
    """A text is not a reference, a digest, a tag or a repository name."""

    code = "invalid-reference"


class InvalidProjectError(UsageError):
    """`modelseal.yaml`, or the directory that it describes, does not hold together."""

    code = "invalid-project"


class InvalidPolicyError(UsageError):
    """A policy file is not one."""

    code = "invalid-policy"


class KeyFileError(UsageError):
    """A key cannot be read, decrypted or used."""

    code = "invalid-key"


class ContentError(Error):
    """Bytes are not what they have to be."""

    code = "invalid-content"


class ContentMismatchError(ContentError):
    """Content has another digest or size than its descriptor says."""

    code = "content-mismatch"


class InvalidDocumentError(ContentError):
    """Text is not the strict JSON or YAML, or not the document, that it has to be."""

    code = "invalid-document"


class LimitExceededError(ContentError):
    """Something is larger, deeper or more than we take from a stranger."""

    code = "limit-exceeded"


class UnsafePathError(ContentError):
    """A file name would leave the directory, or meet another one on some disk."""

    code = "unsafe-path"


class NotFoundError(Error):
    """There is no such tag, manifest, blob or repository."""

    code = "not-found"


class ConflictError(Error):
    """Something else stands where this was to go."""

    code = "conflict"


class StorageError(Error):
    """The local disk refused: full, read-only, or not ours."""

    code = "storage"


class VerificationError(Error):
    """Nobody who has to vouch for the content does so."""

    code = "not-verified"


class DeniedError(Error):
    """The policy says no."""

    code = "denied"


class SigningError(Error):
    """A signature could not be made."""

    code = "signing-failed"


class UnavailableError(Error):
    """A registry, a Sigstore service or the network did not answer as it must."""

    code = "unavailable"


class AccessDeniedError(UnavailableError):
    """The registry answered 401 or 403."""

    code = "access-denied"
