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

    next_step: ClassVar[str] = "run it again with --debug to see what is done"
    """What to do about an error of this class, where nobody knows better."""

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        """Say what failed, on what; `hint` says what to do about it.

        Args:
            message: one sentence, without a full stop, that names the thing.
            hint: the next step, as a sentence or a command; without one that of the class.
            code: a finer stable name than the class's own.
        """
        super().__init__(message)
        self.hint = hint or self.next_step
        self.reason = code or self.code


class UsageError(Error):
    """The caller asked for something that cannot be."""

    code = "usage"
    next_step = "`modelseal COMMAND --help` shows what is taken, with examples"


class InvalidReferenceError(UsageError):
    """A text is not a reference, a digest, a tag or a repository name."""

    code = "invalid-reference"
    next_step = "write registry/repository:tag, registry/repository@sha256:…, or oci:PATH:tag"


class InvalidProjectError(UsageError):
    """`modelseal.yaml`, or the directory that it describes, does not hold together."""

    code = "invalid-project"
    next_step = (
        "docs/publishing.md describes modelseal.yaml; `modelseal init DIR` writes a first one"
    )


class InvalidPolicyError(UsageError):
    """A policy file is not one."""

    code = "invalid-policy"
    next_step = "docs/policy.md describes policies; policies/ has some to copy"


class KeyFileError(UsageError):
    """A key cannot be read, decrypted or used."""

    code = "invalid-key"
    next_step = "`modelseal key generate --output K` makes a key that works"


class ContentError(Error):
    """Bytes are not what they have to be."""

    code = "invalid-content"
    next_step = "have it published again by whoever made it, or take it from another mirror"


class ContentMismatchError(ContentError):
    """Content has another digest or size than its descriptor says."""

    code = "content-mismatch"
    next_step = "the store or the network changed it; fetch it again, or from another mirror"


class InvalidDocumentError(ContentError):
    """Text is not the strict JSON or YAML, or not the document, that it has to be."""

    code = "invalid-document"
    next_step = "it is damaged, or made for something else; whoever made it has to make it anew"


class LimitExceededError(ContentError):
    """Something is larger, deeper or more than we take from a stranger."""

    code = "limit-exceeded"
    next_step = "no limit can be lifted, for they hold against strangers: SECURITY.md lists them"


class UnsafePathError(ContentError):
    """A file name would leave the directory, or meet another one on some disk."""

    code = "unsafe-path"
    next_step = "do not unpack it by other means; tell whoever published it"


class NotFoundError(Error):
    """There is no such tag, manifest, blob or repository."""

    code = "not-found"
    next_step = "`modelseal list REPOSITORY` shows what is there"


class ConflictError(Error):
    """Something else stands where this was to go."""

    code = "conflict"
    next_step = "look at what stands there, then choose another name or try again"


class StorageError(Error):
    """The local disk refused: full, read-only, or not ours."""

    code = "storage"
    next_step = "see that the path is there, that this user may use it, and that the disk has room"


class VerificationError(Error):
    """Nobody who has to vouch for the content does so."""

    code = "not-verified"
    next_step = "`--output json` lists every statement with its reason"


class DeniedError(Error):
    """The policy says no."""

    code = "denied"
    next_step = "`--output json` lists every finding with what to do about it"


class SigningError(Error):
    """A signature could not be made."""

    code = "signing-failed"
    next_step = "nothing was attached; mend what is named, then sign again"


class UnavailableError(Error):
    """A registry, a Sigstore service or the network did not answer as it must."""

    code = "unavailable"
    next_step = "try again later; `--debug` shows what was asked and answered"


class AccessDeniedError(UnavailableError):
    """The registry answered 401 or 403."""

    code = "access-denied"
    next_step = "log in with `modelseal login REGISTRY`, as somebody who may"
