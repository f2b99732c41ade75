"""Fixtures that every test may ask for. Servers start with the first test that needs them.

With pytest-xdist each worker has its own servers, on ports of their own: nothing is shared, so
nothing has to be agreed on between the workers, nor between test runs on one machine.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from tests.support import cli, peers, registries
from tests.support.cli import Command
from tests.support.forks import ForkedCommand
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import PrivateSigstore
from tests.support.sigstore import private_sigstore as start_private_sigstore

# A busy machine is no failure, and a failing case is one everywhere: no deadline, no chance.
hypothesis.settings.register_profile("modelseal", deadline=None, derandomize=True)
hypothesis.settings.load_profile("modelseal")


@pytest.fixture(scope="session")
def private_sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSigstore]:
    """A whole Sigstore with keys of its own."""
    with start_private_sigstore(tmp_path_factory.mktemp("sigstore")) as sigstore:
        yield sigstore


@pytest.fixture(scope="session")
def serve_registry(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[RegistryName], Registry]]:
    """Give the running registry of a name, and start it when it is asked for first."""
    running: dict[RegistryName, Registry] = {}
    with contextlib.ExitStack() as stack:

        def serve(name: RegistryName) -> Registry:
            if name not in running:
                directory = tmp_path_factory.mktemp(name)
                running[name] = stack.enter_context(registries.serve(name, directory))
            return running[name]

        yield serve


@pytest.fixture(scope="session", params=registries.NAMES)
def registry(
    request: pytest.FixtureRequest, serve_registry: Callable[[RegistryName], Registry]
) -> Registry:
    """Each of the real registries in turn."""
    name: RegistryName = request.param
    return serve_registry(name)


@pytest.fixture
def repository(registry: Registry) -> str:
    """A repository in each registry in turn, `127.0.0.1:PORT/NAME`, that nobody has used yet."""
    return f"{registry.host}/models/m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The empty home directory of the user who runs the commands."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def modelseal(home: Path) -> Command:
    """The installed command, in a process of its own that need not import it first."""
    return ForkedCommand(cli.modelseal_program(), home)


@pytest.fixture
def started_modelseal(home: Path) -> Command:
    """The installed command, started as a user starts it: for tests of that."""
    return Command(cli.modelseal_program(), home)


@pytest.fixture
def cosign(home: Path) -> Command:
    """Cosign, answering yes to its questions, with an empty TUF cache."""
    settings = {"COSIGN_YES": "true", "COSIGN_PASSWORD": "", "TUF_ROOT": str(home / "tuf")}
    return Command(peers.path("cosign"), home, settings)


@pytest.fixture
def oras(home: Path) -> Command:
    """The command of the oras project."""
    return Command(peers.path("oras"), home)


@pytest.fixture
def crane(home: Path) -> Command:
    """The command of go-containerregistry."""
    return Command(peers.path("crane"), home)


@pytest.fixture
def kit(home: Path) -> Command:
    """The command of KitOps, keeping its store in the home directory."""
    return Command(peers.path("kit"), home, {"KITOPS_HOME": str(home / "kitops")})


@pytest.fixture
def modctl(home: Path) -> Command:
    """The reference command of ModelPack."""
    return Command(peers.path("modctl"), home)


@pytest.fixture
def model_signing(home: Path) -> Command:
    """The reference implementation of OMS."""
    return Command(peers.model_signing(), home)
