# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Files that come into a directory all at once, or not at all.

They grow in a hidden folder inside the directory (so on the same disk), under numbers, and are
renamed into place when all of them are right. Every step goes relative to an open directory and
follows no link: whoever can write into the directory meanwhile can make it fail, not lead it
elsewhere. The directory itself may be reached through a link: that is its owner's wish.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from modelseal.errors import ConflictError, StorageError, UnsafePathError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.store import FilePlacer

_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755
_PRIVATE_MODE = 0o700
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = re.compile(r"\.modelseal-[0-9a-f]{16}\.partial")


@dataclass(frozen=True, slots=True)
class _Step:
    """One change of the directory, to be taken back if a later one fails."""

    path: PurePosixPath
    kept: str
    """Where the file that stood there before is kept; empty when there was none."""


class Staging:
    """The hidden folder, and the way out of it. Use `staging()` to make one."""

    def __init__(self, output: Path, root: int, folder: int, *, overwrite: bool) -> None:
        """Take the open directory and the open folder in it."""
        self._output = output
        self._root = root
        self._folder = folder
        self._overwrite = overwrite
        self._steps: list[_Step] = []
        self._made: list[PurePosixPath] = []

    def check_space(self, needed: int) -> None:
        """See that the disk has room for `needed` bytes. Raises `StorageError`."""
        free = self.free_space()
        if needed > free:
            raise StorageError(
                f"{self._output} has room for {free} bytes, and the model has {needed}",
                hint="make room, or name a directory on another disk",
            )

    def free_space(self) -> int:
        """Return the bytes that the disk has room for now. Raises `StorageError`."""
        with _translated(self._output):
            disk = os.fstatvfs(self._root)
        return disk.f_bavail * disk.f_frsize

    @contextlib.contextmanager
    def create(self, number: int, path: PurePosixPath) -> Iterator["Sink"]:
        """Open a new file for writing; `path` names it in errors. Raises `StorageError`."""
        shown = self._output / path
        with _translated(shown):
            descriptor = os.open(str(number), _NEW_FILE, _FILE_MODE, dir_fd=self._folder)
            file = os.fdopen(descriptor, "wb", buffering=0)
        with file:
            with _translated(shown):
                os.fchmod(descriptor, _FILE_MODE)  # whatever the umask
            yield Sink(file, shown)

    def place(
        self, placer: FilePlacer, target: Descriptor, number: int, stop: threading.Event
    ) -> None:
        """Let `placer` make a new file. Raises as it does."""
        placer.place(target, self._folder, str(number), stop)

    def there_already(self, placer: FilePlacer, targets: Sequence[Descriptor]) -> int:
        """Return the bytes that need no room, because `placer` has them on this disk."""
        return placer.there_already(targets, self._folder)

    def commit(self, files: Iterable[tuple[int, PurePosixPath]]) -> None:
        """Give the files with these numbers these names; if one fails, none of them has its name.

        Raises:
            ConflictError: something stands there.
            UnsafePathError: a directory on the way is a link.
            StorageError: the disk refused.
        """
        try:
            for number, path in files:
                with _translated(self._output / path):
                    self._install(number, path)
        except BaseException:
            self._roll_back()
            raise

    def _install(self, number: int, path: PurePosixPath) -> None:
        with self._parent(path, make=True) as parent:
            kept = f"{number}.old" if self._stands(path, parent) else ""
            # Noted before it is done: an interrupt must not fall between the two.
            self._steps.append(_Step(path, kept))
            if kept:
                os.rename(path.name, kept, src_dir_fd=parent, dst_dir_fd=self._folder)
            os.rename(str(number), path.name, src_dir_fd=self._folder, dst_dir_fd=parent)

    def _stands(self, path: PurePosixPath, parent: int) -> bool:
        try:
            mode = os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(mode) or not self._overwrite:
            raise ConflictError(
                f"{self._output / path} is there already", hint="name another directory"
            )
        return True

    @contextlib.contextmanager
    def _parent(self, path: PurePosixPath, *, make: bool) -> Iterator[int]:
        """Open the directory that `path` stands in, one part at a time, through no link."""
        here = os.dup(self._root)
        try:
            for place in reversed(path.parents[:-1]):
                if make and self._make_directory(place, here):
                    self._made.append(place)
                below = self._open_directory(place, here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def _make_directory(self, place: PurePosixPath, parent: int) -> bool:
        try:
            os.mkdir(place.name, _DIRECTORY_MODE, dir_fd=parent)
        except FileExistsError:
            return False
        return True

    def _open_directory(self, place: PurePosixPath, parent: int) -> int:
        try:
            return os.open(place.name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            raise UnsafePathError(
                f"{self._output / place} is a link or a file, not a directory",
                hint="somebody put it there; name an empty directory of your own",
            ) from error

    def _roll_back(self) -> None:
        for step in reversed(self._steps):
            with contextlib.suppress(OSError, UnsafePathError):
                self._take_back(step)
        for place in reversed(self._made):
            with contextlib.suppress(OSError, UnsafePathError):
                self._remove_directory(place)

    def _remove_directory(self, place: PurePosixPath) -> None:
        with self._parent(place, make=False) as parent:
            os.rmdir(place.name, dir_fd=parent)

    def _take_back(self, step: _Step) -> None:
        with self._parent(step.path, make=False) as parent:
            if step.kept:
                os.rename(step.kept, step.path.name, src_dir_fd=self._folder, dst_dir_fd=parent)
            else:
                os.unlink(step.path.name, dir_fd=parent)


@dataclass(frozen=True, slots=True)
class Sink:
    """A new file, written from its start."""

    _file: BinaryIO
    _path: Path

    def write(self, data: bytes) -> None:
        """Append all of `data`. Raises `StorageError` that names the file."""
        view = memoryview(data)
        with _translated(self._path):
            while view:
                view = view[self._file.write(view) :]


@contextlib.contextmanager
def staging(output: Path, *, overwrite: bool) -> Iterator[Staging]:
    """Open `output` for a set of files; it is made if it is not there.

    However the block ends, the hidden folder is gone after it; after an error, so is what was
    made here. What an earlier run that was killed left there is removed first.

    Raises:
        ConflictError: `output` is no directory, is not empty (unless `overwrite`), or is just
            being written by another process.
        StorageError: the disk refused.
    """
    with _directory(output) as root:
        _clear(output, root, overwrite=overwrite)
        name = f".modelseal-{secrets.token_hex(8)}.partial"
        with _translated(output):
            os.mkdir(name, _PRIVATE_MODE, dir_fd=root)
        try:
            with _translated(output):
                folder = os.open(name, _DIRECTORY, dir_fd=root)
            try:
                with contextlib.suppress(OSError):  # not every network disk has locks
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield Staging(output, root, folder, overwrite=overwrite)
            finally:
                os.close(folder)
        finally:
            shutil.rmtree(name, ignore_errors=True, dir_fd=root)


@contextlib.contextmanager
def _directory(output: Path) -> Iterator[int]:
    made: list[Path] = []
    try:
        with _translated(output):
            for place in reversed((output, *output.parents)):
                if not place.exists():
                    place.mkdir()
                    made.append(place)
        root = _open_output(output)
        try:
            yield root
        finally:
            os.close(root)
    except BaseException:
        for place in reversed(made):
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def _open_output(output: Path) -> int:
    try:
        return os.open(output, _DIRECTORY & ~os.O_NOFOLLOW)
    except NotADirectoryError as error:
        raise ConflictError(f"{output} is not a directory", hint="name a directory") from error
    except OSError as error:
        raise StorageError(f"cannot open {output}: {error.strerror}") from error


def _clear(output: Path, root: int, *, overwrite: bool) -> None:
    with _translated(output):
        names = os.listdir(root)
    for name in names:
        if _NAME.fullmatch(name):
            _remove_leftover(output, root, name)
        elif not overwrite:
            raise ConflictError(
                f"{output} is not empty", hint="name an empty directory, or one that is not there"
            )


def _remove_leftover(output: Path, root: int, name: str) -> None:
    # Whoever still writes there holds the lock; the kernel drops it when a process dies.
    with _translated(output / name):
        folder = os.open(name, _DIRECTORY, dir_fd=root)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConflictError(
            f"another process is writing into {output}",
            hint=f"wait for it; if there is none, remove {output / name}",
        ) from error
    else:
        with _translated(output / name):
            shutil.rmtree(name, dir_fd=root)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room, or name a directory on another disk" if full else ""
        raise StorageError(f"cannot write {path}: {error.strerror}", hint=hint) from error
