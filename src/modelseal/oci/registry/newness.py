# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a repository is so new that asking it for each small blob is a waste.

Of the requests that a small file takes, the question whether it is there already is a third. When
the registry has none of the first blobs that it is asked for, and says that it does not know the
repository at all, small blobs are sent without that question. At worst some of them go twice.

Source: distribution-spec v1.1, "Error Codes": `NAME_UNKNOWN`, and "Listing Tags".
"""

import threading
from collections.abc import Callable

from modelseal.oci.descriptor import Descriptor, Digest

_ENOUGH = 16
"""Blobs that the registry is asked for first. Whoever goes on with a push that broke off begins
with the same ones as before, so those would be there."""

_SMALL = 64 << 10
"""Bytes up to which to send a blob twice costs about what asking for it does."""


class Newness:
    """What the answers so far say; safe to use from several threads."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._lock = threading.Lock()
        self._absent = 0
        self._found = False
        self._asked = False
        self._new = False
        self._sent: set[Digest] = set()

    def lacks(self, target: Descriptor) -> bool:
        """Tell whether `target` need not be asked for."""
        small = target.size <= _SMALL and not target.is_manifest
        return self._new and small and target.digest not in self._sent

    def sent(self, target: Descriptor) -> None:
        """Take that a blob is there now because we sent it."""
        with self._lock:
            self._sent.add(target.digest)

    def note(self, *, there: bool, is_unknown: Callable[[], bool]) -> None:
        """Take what the registry answered about a blob.

        Args:
            there: whether it has the blob.
            is_unknown: asks the registry about the repository; called once at most.
        """
        with self._lock:
            if there:
                self._found, self._new = True, False
            self._absent += 1
            if self._found or self._asked or self._absent < _ENOUGH:
                return
            self._asked = True
        unknown = is_unknown()  # not under the lock: others go on asking meanwhile
        with self._lock:
            self._new = unknown and not self._found
