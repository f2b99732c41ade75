# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A part of a blob as a stream that asks again, from where it broke off.

Source: RFC 9110, 14 (Range, Content-Range). Each request goes to the registry first: its token may
have expired, and it may send us elsewhere this time.
"""

import io
import re
from typing import TYPE_CHECKING

from modelseal.errors import ContentMismatchError, UnavailableError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.registry.answers import Answer, refusal
from modelseal.oci.registry.client import Client, Request
from modelseal.oci.registry.options import RetryPolicy
from modelseal.oci.registry.received import AT_ONCE, Body
from modelseal.oci.registry.retry import pause

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PARTIAL = 206
_PROGRESS = 1 << 20
"""Bytes after which a connection that breaks off counts as the first one again."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_CHANGED = "the registry or the network changed it; fetch it again, or from a mirror"


class RangeBody(io.RawIOBase):
    """The bytes `start` to `end` of a blob, unchecked, but never more nor fewer."""

    def __init__(
        self,
        client: Client,
        policy: RetryPolicy,
        target: Descriptor,
        what: str,
        *,
        start: int,
        end: int,
    ) -> None:
        """Ask for the bytes. Raises as `Client.open` does, and `ContentMismatchError`."""
        self._client = client
        self._policy = policy
        self._target = target
        self._what = what
        self._position = start
        self._end = end
        self._whole = (start, end) == (0, target.size)
        self._failures = 0
        self._since = 0
        self._ended = False
        self.ranged = True
        """Whether the answer is the part that was asked for, and not the whole blob."""
        self._skip = 0
        self._body = self._open()

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` with the next bytes; 0 at the end.

        Raises:
            UnavailableError: it broke off too often, or the registry does not let us go on.
            ContentMismatchError: the registry has something else now.
        """
        view = memoryview(buffer).cast("B")[: self._end - self._position]
        if not view:
            self._check_end()
            return 0
        while True:
            try:
                self._leave_out()
                count = self._body.readinto(view)
            except UnavailableError as error:
                self._ask_again(error)
                continue
            if count:
                self._position += count
                self._since += count
                return count
            self._ask_again(self._too_short())

    def _leave_out(self) -> None:
        """Read over what was not asked for."""
        while self._skip:
            count = self._body.readinto(bytearray(min(self._skip, AT_ONCE)))
            if not count:
                raise self._too_short()
            self._skip -= count

    def _ask_again(self, error: UnavailableError) -> None:
        self._body.close()
        if self._since >= _PROGRESS:
            self._failures = 0
        self._since = 0
        self._failures += 1
        if self._failures >= self._policy.attempts:
            raise error
        self._policy.sleep(pause(self._policy, self._failures))
        self._body = self._open()

    def _open(self) -> Body:
        whole = self._whole and not self._position
        last = self._end - 1
        headers = {} if whole else {"Range": f"bytes={self._position}-{last}"}
        request = Request(
            method="GET", target=f"blobs/{self._target.digest}", what=self._what, headers=headers
        )
        answer, body = self._client.open(request)
        if body is None:
            raise refusal(answer, self._what, self._client.registry)
        try:
            self._check_answer(answer, whole=whole)
        except BaseException:
            body.close()
            raise
        self.ranged = whole or answer.status == _PARTIAL
        self._skip = 0 if self.ranged else self._position
        return body

    def _check_answer(self, answer: Answer, *, whole: bool) -> None:
        size = self._target.size
        if answer.status != _PARTIAL:
            if answer.length not in {None, size}:
                raise self._mismatch(f"is served with {answer.length} bytes, not {size}")
            return
        said = answer.headers.get("content-range", "")
        match = None if whole else _CONTENT_RANGE.fullmatch(said)
        good = (
            match is not None
            and int(match[1]) == self._position <= int(match[2]) < self._end
            and match[3] in {"*", str(size)}
            and answer.length in {None, int(match[2]) - self._position + 1}
        )
        if not good:
            raise self._mismatch(
                f"is served as {said[:80]!r}, and {self._position} to {self._end - 1} of {size} "
                "was asked for"
            )

    def _check_end(self) -> None:
        if self._ended:
            return
        self._ended = True
        # A body of unknown length may go on; one that is at its end gives its connection back.
        if self._position == self._target.size and self._goes_on():
            raise self._mismatch(f"goes on after its {self._target.size} bytes")

    def _goes_on(self) -> bool:
        try:
            return self._body.readinto(bytearray(1)) > 0
        except UnavailableError:
            return False

    def _too_short(self) -> UnavailableError:
        return UnavailableError(
            f"{self._what} broke off after {self._position} bytes",
            hint="the network or the registry; try again",
        )

    def _mismatch(self, how: str) -> ContentMismatchError:
        return ContentMismatchError(f"{self._what} {how}", hint=_CHANGED)

    def close(self) -> None:
        """Give the connection back if it is at its end, else close it."""
        if not self.closed:
            self._body.close()
        super().close()
