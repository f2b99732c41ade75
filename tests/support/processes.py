"""Servers as child processes: started, waited for until they answer, stopped by their own id."""

import atexit
import contextlib
import ctypes
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 2.0
_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2), PR_SET_PDEATHSIG

# Below the range that Linux gives to outgoing connections, so that none of those takes a port
# between our look and its use.
_PORTS = range(12_000, 32_000)


class ServerError(Exception):
    """A server did not start; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running child process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it, politely first. Does nothing when it has ended."""
        atexit.unregister(self.stop)
        if not self.running:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return port
    raise ServerError("no free port on 127.0.0.1 after 200 tries")


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    healthy: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    deadline: float = _START_SECONDS,
) -> Server:
    """Start a server and return when `healthy` says so.

    Args:
        name: What to call it in messages.
        command: The program and its arguments; no shell sees them.
        log: The file that gets its output.
        healthy: Asks the server whether it is ready; called again and again.
        env: The whole environment; this process's one when not given.
        cwd: Its working directory.
        deadline: Seconds after which waiting ends.

    Raises:
        ServerError: It ended, or was not healthy in time.
    """
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one C call
        )
    server = Server(name, process, log)
    atexit.register(server.stop)
    try:
        _wait(server, healthy, time.monotonic() + deadline)
    except BaseException:
        server.stop()
        raise
    return server


def answers(url: str) -> Callable[[], bool]:
    """Return a check that passes when a GET of `url` is answered with a success."""

    def check() -> bool:
        try:
            with _DIRECT.open(url, timeout=_ANSWER_SECONDS) as response:
                return 200 <= int(response.status) < 300
        except OSError:
            return False

    return check


def listens(port: int) -> Callable[[], bool]:
    """Return a check that passes when something accepts connections on a loopback port."""

    def check() -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=_ANSWER_SECONDS):
                return True
        except OSError:
            return False

    return check


# Loopback is never spoken to through a proxy, whatever the environment says.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Ask Linux to end this child when the test process dies without a chance to clean up."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _wait(server: Server, healthy: Callable[[], bool], until: float) -> None:
    """Return when the server is healthy; its end, or `until` on the monotonic clock, raises."""
    while not healthy():
        if time.monotonic() > until:
            raise ServerError(f"{server.name} is not ready; its log ends:\n{server.log_tail()}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = server.process.wait(_POLL_SECONDS)
            raise ServerError(f"{server.name} ended with {code}:\n{server.log_tail()}")
