"""Real registries on loopback, each with its own view of the distribution specification."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tests.support import cli, peers, processes
from tests.support.processes import LOOPBACK, Server
from tests.support.tls import KeyPair

RegistryName: TypeAlias = Literal["distribution", "crane", "olareg"]
NAMES: tuple[RegistryName, ...] = ("distribution", "crane", "olareg")


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry.

    Attributes:
        name: Which program it is.
        host: `127.0.0.1:PORT`, the first part of references.
        has_referrers_api: Whether it lists referrers itself; else clients keep a fallback tag.
        server: The process, for tests that stop it.
        directory: Its storage and its log.
    """

    name: RegistryName
    host: str
    has_referrers_api: bool
    server: Server
    directory: Path
    tls: KeyPair | None = None

    @property
    def url(self) -> str:
        """Where it speaks HTTP, without a path."""
        return f"{'http' if self.tls is None else 'https'}://{self.host}"


@contextlib.contextmanager
def serve(name: RegistryName, directory: Path, *, tls: KeyPair | None = None) -> Iterator[Registry]:
    """Start a registry that keeps its content in `directory`, and stop it at the end.

    With a certificate, which only `distribution` is given, it speaks HTTPS.
    """
    port = processes.free_port()
    host = f"{LOOPBACK}:{port}"
    command = _COMMANDS[name](port, directory)
    healthy = processes.answers(f"http://{host}/v2/")
    if tls is not None:
        assert name == "distribution", name
        command = _distribution(port, directory, tls)
        healthy = processes.listens(port)
    server = processes.start(
        name,
        [peers.path(name), *command],
        log=directory / f"{name}.log",
        healthy=healthy,
        env=cli.clean_environment(directory),
        cwd=directory,
    )
    try:
        yield Registry(name, host, name == "olareg", server, directory, tls)
    finally:
        server.stop()


def _distribution(port: int, directory: Path, tls: KeyPair | None = None) -> list[str]:
    http: dict[str, object] = {"addr": f"{LOOPBACK}:{port}"}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "storage")},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    path = directory / "distribution.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return ["serve", str(path)]


def _crane(port: int, directory: Path) -> list[str]:
    """Blobs on disk, manifests in memory: that is all it can do."""
    storage = directory / "storage"
    storage.mkdir()
    return ["registry", "serve", "--address", f"{LOOPBACK}:{port}", "--disk", str(storage)]


def _olareg(port: int, directory: Path) -> list[str]:
    storage = directory / "storage"
    storage.mkdir()
    address = ["--addr", LOOPBACK, "--port", str(port)]
    deletion = ["--api-delete", "--api-blob-delete"]
    return ["serve", *address, "--dir", str(storage), *deletion, "--gc-frequency=-1s"]


_COMMANDS: dict[RegistryName, Callable[[int, Path], list[str]]] = {
    "distribution": _distribution,
    "crane": _crane,
    "olareg": _olareg,
}
