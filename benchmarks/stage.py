# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where the benchmarks play: a directory in memory if there is room, the programs, the models."""

import contextlib
import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import cli, peers, registries
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName
from tests.support.tls import KeyPair

MIB = 1 << 20
PEERS = (
    "cosign",
    "ct-test-srv",
    "distribution",
    "fulcio",
    "kit",
    "modctl",
    "oras",
    "rekor",
    "timestamp",
)

_RAM_DISK = Path("/dev/shm")  # noqa: S108 - a directory with a random name is made in it
_BLOCK = MIB
_HEADER = 256  # of a safetensors file, in bytes


@dataclass(frozen=True, slots=True)
class Stage:
    """A directory that goes away at the end, and the programs with a home in it."""

    directory: Path
    modelseal: Command
    cosign: Command
    oras: Command

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """Give an empty directory; all that is in it is removed after the block."""
        place = self.directory / name
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place)

    @contextlib.contextmanager
    def registry(
        self, name: RegistryName = "distribution", *, tls: KeyPair | None = None
    ) -> Iterator[Registry]:
        """Start an empty registry; what it holds is removed after the block."""
        with (
            self.place(f"registry-{name}-{secrets.token_hex(4)}") as place,
            registries.serve(name, place, tls=tls) as registry,
        ):
            yield registry

    @contextlib.contextmanager
    def small_model(self, files: int, size: int = 4096) -> Iterator[Path]:
        """Give a model of `files` files of `size` bytes, 500 a directory, with the usual ones."""
        with self.place(f"model-of-{files}") as place:
            make_model(place)
            for number in range(files):
                folder = place / f"shard-{number // 500:02}"
                folder.mkdir(exist_ok=True)
                name = f"part-{number:05}.bin"
                (folder / name).write_bytes(hashlib.shake_128(name.encode()).digest(size))
            yield place

    @contextlib.contextmanager
    def model(self, size: int, *, files: int = 4) -> Iterator[Path]:
        """Give a model of `size` bytes in `files` weight files, with the usual small ones."""
        with self.place(f"model-{size}") as place:
            make_model(place)
            for number in range(1, files + 1):
                name = f"model-{number:05}-of-{files:05}.safetensors"
                write_weights(place / name, size // files)
            yield place


@contextlib.contextmanager
def open_stage(needed: int, wanted: Path | None = None) -> Iterator[Stage]:
    """Make the directory, where `needed` bytes have room: in memory, else on disk.

    Args:
        needed: Bytes that stand there at once.
        wanted: Where it has to be, whatever the room.
    """
    base = wanted or (_RAM_DISK if _has_room(_RAM_DISK, needed) else Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix="modelseal-bench-", dir=base) as name:
        directory = Path(name)
        home = directory / "home"
        home.mkdir()
        cosign = {"COSIGN_YES": "true", "COSIGN_PASSWORD": "", "TUF_ROOT": str(home / "tuf")}
        yield Stage(
            directory,
            Command(cli.modelseal_program(), home),
            Command(peers.path("cosign"), home, cosign),
            Command(peers.path("oras"), home),
        )


def _has_room(place: Path, needed: int) -> bool:
    """Tell whether a RAM disk has room, on it and in the memory behind it."""
    if not place.is_dir():
        return False
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    return needed < min(shutil.disk_usage(place).free, available) * 3 // 4


def write_weights(path: Path, size: int) -> None:
    """Write a safetensors file of `size` bytes that nothing can compress; always the same."""
    count = size - _HEADER
    header = {"w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}
    text = json.dumps(header).encode().ljust(_HEADER - 8)
    block = hashlib.shake_128(path.name.encode()).digest(_BLOCK)
    with path.open("wb") as sink:
        sink.write(len(text).to_bytes(8, "little") + text)
        for number in range(-(-count // _BLOCK)):
            sink.write(number.to_bytes(8, "big") + block[8 : count - number * _BLOCK])
