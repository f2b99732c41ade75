# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Blobs that were fetched before, by digest, on this disk.

The cache is never believed: whatever comes out of it is hashed on its way, and what is not what
its name says is thrown away. A new file shares its bytes with the cache as a reflink, where the
disk has them. Else the *first* output of a blob is a hard link, which costs nothing, and every
other is a copy: so whoever changes a file in place changes one model, and at most loses the
cache's copy of it.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

from modelseal.errors import StorageError
from modelseal.oci.content import verifying
from modelseal.oci.descriptor import Descriptor

DEFAULT_LIMIT = 20 << 30
"""Bytes that a cache may hold when a command ends."""

FILE_MODE = 0o644
_PRIVATE = 0o700
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # linux/fs.h
_AT_ONCE = 256 << 10
_POLL = 0.1
_OLD_PART_SECONDS = 7 * 86400.0
_NAME = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What a cache holds, in bytes. `unfinished` are part files, for runs to go on from."""

    blobs: int
    size: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class _Kept:
    """A blob or a part file of the cache."""

    path: Path
    size: int
    used: float


class BlobCache:
    """A directory of blobs; several processes may use it at once."""

    def __init__(self, path: Path, limit: int = DEFAULT_LIMIT) -> None:
        """Name the directory; nothing is read or made yet.

        Args:
            path: the cache; it is made when it is needed, for its owner only.
            limit: bytes that it may hold.
        """
        self.path = path
        self.limit = limit
        self._clones = True
        self._parts = path / "parts"
        self._folders = {name: path / "blobs" / name for name in ("sha256", "sha512")}

    def __str__(self) -> str:
        return str(self.path)

    def prepare(self) -> None:
        """Make the directory, if it is not there. Raises `StorageError`."""
        with self.translated():
            self.path.mkdir(parents=True, exist_ok=True)
            blobs = self._blobs("sha256")
            for folder in (blobs.parent, blobs, self._parts):
                folder.mkdir(exist_ok=True, mode=_PRIVATE)

    def holds(self, target: Descriptor) -> bool:
        """Tell whether a blob of that name and size is here; nothing is read."""
        try:
            found = self._blob(target).lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == target.size

    def begun(self, target: Descriptor) -> int:
        """Return about how many bytes of a blob a run that was killed has left here."""
        try:
            return min(self._part(target).lstat().st_blocks * 512, target.size)
        except OSError:
            return 0

    def open(self, target: Descriptor) -> BinaryIO | None:
        """Open a blob as a stream that checks itself; None when it is not here."""
        file = self._open_blob(target)
        return None if file is None else verifying(os.fdopen(file, "rb", buffering=0), target)

    def check(self, target: Descriptor) -> bool:
        """Hash a blob; False when it is not here, or is something else and now thrown away.

        Raises:
            StorageError: the disk refused.
        """
        file = self._open_blob(target)
        if file is None:
            return False
        try:
            good = _copied(file, None, target, Event())
        finally:
            os.close(file)
        if not good:
            self.forget(target)
        return good

    def forget(self, target: Descriptor) -> None:
        """Throw a blob away: it is not what its name says. Raises `StorageError`."""
        with self.translated():
            self._blob(target).unlink(missing_ok=True)

    def is_beside(self, directory: int) -> bool:
        """Tell whether an open directory is on the disk of the cache."""
        try:
            return self._parts.stat().st_dev == os.fstat(directory).st_dev
        except OSError:
            return False

    def free_space(self) -> int:
        """Return for how many bytes the cache's disk has room. Raises `StorageError`."""
        with self.translated():
            disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    # Placing

    def place(self, target: Descriptor, directory: int, name: str, stop: Event) -> bool:
        """Make a file of a blob that is here; False when it is not, or not any more.

        What is here under the name of `target` with another content is thrown away.

        Raises:
            StorageError: the disk is full, or refused.
        """
        source = self._open_blob(target)
        if source is None:
            return False
        try:
            with self.translated():
                file = os.open(name, _NEW, FILE_MODE, dir_fd=directory)
            try:
                with self.translated():
                    os.fchmod(file, FILE_MODE)
                cloned = clone(source, file)
                if _copied(file if cloned else source, None if cloned else file, target, stop):
                    return True
            finally:
                os.close(file)
            with self.translated():
                os.unlink(name, dir_fd=directory)
            self.forget(target)
            return False
        finally:
            os.close(source)

    def place_part(self, part: "Part", directory: int, name: str, stop: Event) -> None:
        """Make a file of a part file that is whole and was hashed. Raises `StorageError`."""
        with self.translated():
            os.fchmod(part.file, FILE_MODE)
            try:
                os.link(part.path, name, dst_dir_fd=directory, follow_symlinks=not part.named)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                linked = False
            else:
                linked = True
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if not os.path.samestat(found, os.fstat(part.file)):
                    raise StorageError(f"somebody changes files in {self.path}")
        if linked:
            if self._clones:
                self._clones = self._unshare(part, directory, name)
            return
        with self.translated():
            file = os.open(name, _NEW, FILE_MODE, dir_fd=directory)
            try:
                os.fchmod(file, FILE_MODE)
                os.lseek(part.file, 0, os.SEEK_SET)
                if not _copied(part.file, file, part.target, stop):
                    raise StorageError(f"the part file {part.path} changed while it was copied")
            finally:
                os.close(file)

    def _unshare(self, part: "Part", directory: int, name: str) -> bool:
        """Give the output an inode of its own where that costs nothing; False: it does not."""
        beside = f"{name}.clone"
        try:
            file = os.open(beside, _NEW, FILE_MODE, dir_fd=directory)
            try:
                os.fchmod(file, FILE_MODE)
                cloned = clone(part.file, file)
            finally:
                os.close(file)
            if cloned:
                os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
            else:
                os.unlink(beside, dir_fd=directory)
        except OSError:
            return False
        return cloned

    # Part files

    @contextlib.contextmanager
    def part(self, target: Descriptor, stop: Event) -> Iterator["Part | None"]:
        """Open the part file of a blob, for this process and thread alone.

        Whoever fetches the same blob is waited for; None when it is here then.

        Raises:
            StorageError: the disk refused, or `stop` was set.
        """
        path = self._part(target)
        file = -1
        try:
            while file < 0:
                with self.translated():
                    file = _locked(path)
                if file < 0:
                    if stop.is_set():
                        raise StorageError(f"{target.name} was not fetched to its end")
                    time.sleep(_POLL)
            if self.holds(target):
                # Whoever had the lock has fetched it meanwhile.
                path.unlink(missing_ok=True)
                yield None
            else:
                yield Part(path, file, target)
        finally:
            if file >= 0:
                os.close(file)

    def keep(self, part: "Part") -> None:
        """Take a whole, checked part file into the cache. Raises `StorageError`."""
        with self.translated():
            blob = self._blob(part.target)
            blob.parent.mkdir(exist_ok=True, mode=_PRIVATE)
            if not part.named:
                try:
                    # With a descriptor the call follows /proc to the file.
                    os.link(part.path, blob, src_dir_fd=part.file)
                except FileExistsError:
                    if self.holds(part.target):  # somebody else was faster
                        return
                    blob.unlink(missing_ok=True)
                    with contextlib.suppress(FileExistsError):
                        os.link(part.path, blob, src_dir_fd=part.file)
                return
            part.path.rename(blob)
            part.journal_path.unlink(missing_ok=True)

    def drop(self, part: "Part") -> None:
        """Remove a part file and its journal. Raises `StorageError`."""
        with self.translated():
            part.journal_path.unlink(missing_ok=True)
            part.path.unlink(missing_ok=True)

    def add(self, target: Descriptor, data: bytes, directory: int, name: str) -> None:
        """Keep a small blob that is at hand and was checked, and make a file of it.

        Raises:
            StorageError: the disk is full, or refused.
        """
        with self._filled(target, data) as part:
            self.place_part(part, directory, name, Event())
            self.keep(part)

    def store(self, target: Descriptor, data: bytes) -> None:
        """Keep a small blob that is at hand and was checked. Raises `StorageError`."""
        if not self.check(target):
            with self._filled(target, data) as part:
                self.keep(part)

    @contextlib.contextmanager
    def _filled(self, target: Descriptor, data: bytes) -> Iterator["Part"]:
        """Make a file that has no name yet, where the disk can: a kill leaves nothing then."""
        with self.translated():
            try:
                file = os.open(self._parts, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
                part = Part(Path(f"/proc/self/fd/{file}"), file, target, named=False)
            except (OSError, AttributeError):
                path = self._parts / f"{target.digest.encoded}.{secrets.token_hex(8)}"
                file = os.open(path, _NEW, FILE_MODE)
                part = Part(path, file, target)
        try:
            with self.translated():
                os.fchmod(file, FILE_MODE)
                _write(file, memoryview(data))
            yield part
        finally:
            os.close(file)
            if part.named:
                part.path.unlink(missing_ok=True)

    # Room

    def use(self) -> CacheUse:
        """Return what is here. Raises `StorageError`."""
        blobs, parts = self._all_blobs(), self._all_parts()
        return CacheUse(len(blobs), sum(b.size for b in blobs), sum(p.size for p in parts))

    def prune(self, limit: int | None = None, *, parts_older: float = _OLD_PART_SECONDS) -> int:
        """Remove what was not used for longest until the cache is below a limit.

        What is being used just now stays, and so do part files of the last days.

        Args:
            limit: bytes that may stay; the cache's own limit when None.
            parts_older: seconds after which a part file that nobody went on from is removed.

        Returns:
            The bytes that were removed.

        Raises:
            StorageError: the disk refused.
        """
        limit = self.limit if limit is None else limit
        now, removed = time.time(), 0
        for part in self._all_parts():
            if part.used < now - parts_older and _remove(part):
                removed += part.size
        blobs = self._all_blobs()
        size = sum(blob.size for blob in blobs)
        for blob in sorted(blobs, key=lambda blob: (blob.used, blob.path)):
            if size <= limit:
                break
            if _remove(blob):
                size -= blob.size
                removed += blob.size
        return removed

    def _all_blobs(self) -> list[_Kept]:
        with self.translated():
            return [
                kept
                for algorithm in ("sha256", "sha512")
                for kept in _listed(self._blobs(algorithm))
                if _NAME.fullmatch(kept.path.name)
            ]

    def _all_parts(self) -> list[_Kept]:
        with self.translated():
            return _listed(self._parts, parts=True)

    # Names

    def _blobs(self, algorithm: str) -> Path:
        return self._folders[algorithm]

    def _blob(self, target: Descriptor) -> Path:
        return self._blobs(target.digest.algorithm) / target.digest.encoded

    def _part(self, target: Descriptor) -> Path:
        return self._parts / f"{target.digest.encoded}.part"

    def _open_blob(self, target: Descriptor) -> int | None:
        """Open a blob, in use until it is closed, and note that it was used."""
        try:
            file = os.open(self._blob(target), _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise StorageError(f"cannot read the cache {self.path}: {error.strerror}") from error
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size != target.size:
            os.close(file)
            return None
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):
            os.utime(file, ns=(time.time_ns(), found.st_mtime_ns))
        return file

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise what the disk refuses as `StorageError`."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "make room (`modelseal cache prune`)" if full else ""
            hint = hint or "name another cache with --cache DIR, or use --no-cache"
            where = error.filename or self.path
            raise StorageError(
                f"cannot use the cache {self.path}: {where}: {error.strerror}", hint=hint
            ) from error


@dataclass(frozen=True, slots=True)
class Part:
    """The open part file of a blob."""

    path: Path
    file: int
    target: Descriptor
    named: bool = True
    """Whether `path` is its name; else it is a way to a file without one."""

    @property
    def journal_path(self) -> Path:
        """Where its journal stands."""
        return self.path.with_name(f"{self.target.digest.encoded}.journal")


_NO_LOCK = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})


def clone(source: int, sink: int) -> bool:
    """Let `sink` share the bytes of `source` until one is changed; False if the disk cannot."""
    try:
        fcntl.ioctl(sink, _FICLONE, source)
    except OSError:
        return False
    return True


def _copied(source: int, sink: int | None, target: Descriptor, stop: Event) -> bool:
    """Hash, and copy unless `sink` is None; tell whether it is `target`."""
    hasher = hashlib.new(target.digest.algorithm)
    buffer = memoryview(bytearray(min(_AT_ONCE, target.size + 1)))
    seen = 0
    try:
        while count := os.readv(source, [buffer]):
            seen += count
            if seen > target.size:
                return False
            hasher.update(buffer[:count])
            if sink is not None:
                _write(sink, buffer[:count])
            if stop.is_set():
                raise StorageError(f"{target.name} was not copied to its end")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room, or name a directory on another disk" if full else ""
        raise StorageError(f"cannot write {target.name}: {error.strerror}", hint=hint) from error
    return seen == target.size and hasher.hexdigest() == target.digest.encoded


def _write(file: int, view: memoryview) -> None:
    while view:
        view = view[os.write(file, view) :]


def _locked(path: Path) -> int:
    """Open and lock a part file; -1 when somebody else has it."""
    file = os.open(path, _PART, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCK:  # not every network disk has locks
            os.close(file)
            if isinstance(error, BlockingIOError):
                return -1
            raise
    try:
        about = os.fstat(file)
        # Whoever had the lock may have moved the file away: then ours has no name any more.
        if os.path.samestat(about, path.lstat()):
            if _is_ours(about):
                return file
            # It becomes a file of the output: nobody else may be able to write to it.
            path.unlink()
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return -1


def _is_ours(about: os.stat_result) -> bool:
    ours = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid()
    return ours and about.st_nlink == 1 and not about.st_mode & 0o022


def _listed(folder: Path, *, parts: bool = False) -> list[_Kept]:
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                used = max(about.st_atime, about.st_mtime if parts else 0)
                size = min(about.st_size, about.st_blocks * 512) if parts else about.st_size
                found.append(_Kept(Path(entry.path), size, used))
    return found


def _remove(kept: _Kept) -> bool:
    """Remove a file that nobody uses just now."""
    try:
        file = os.open(kept.path, _READ)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept.path.unlink()
    except OSError:
        return False
    finally:
        os.close(file)
    return True
