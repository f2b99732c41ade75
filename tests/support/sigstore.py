"""A private Sigstore on loopback: OIDC issuer, Fulcio, CT log, Rekor v2 and a timestamp authority.

The real servers, with keys of their own, so that keyless signing and verifying are tested for real
and without the network. Each instance has its own ports; any number can run side by side.
"""

import contextlib
import itertools
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from tests.support import cli, peers, processes
from tests.support.authorities import FULCIO_KEY_PASSWORD, Authorities
from tests.support.oidc_issuer import CLIENT_ID, DEFAULT_EMAIL, OidcIssuer
from tests.support.processes import LOOPBACK, Server

TrustPart: TypeAlias = Literal["fulcio", "ct", "rekor", "tsa"]
"""What a trusted root may name."""

SigningPart: TypeAlias = Literal["fulcio", "oidc", "rekor", "tsa"]
"""What a signing config may name."""

TRUST_DOMAIN = "acme.example"
"""The SPIFFE trust domain of the workloads."""

_OPERATOR = "modelseal-tests"
_PEERS = ("cosign", "ct-test-srv", "fulcio", "rekor", "timestamp")
_RUN_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the services listen on loopback."""

    fulcio: int = field(default_factory=processes.free_port)
    fulcio_grpc: int = field(default_factory=processes.free_port)
    fulcio_metrics: int = field(default_factory=processes.free_port)
    ct: int = field(default_factory=processes.free_port)
    rekor: int = field(default_factory=processes.free_port)
    rekor_grpc: int = field(default_factory=processes.free_port)
    rekor_metrics: int = field(default_factory=processes.free_port)
    tsa: int = field(default_factory=processes.free_port)


@dataclass(frozen=True, slots=True)
class PrivateSigstore:
    """A running Sigstore, and the files that make clients trust it.

    Attributes:
        directory: Its keys, certificates, logs of the servers, and trust files.
        oidc: The issuer of identity tokens of people.
        kubernetes: The issuer of a cluster's service accounts.
        spiffe: The issuer of the trust domain `TRUST_DOMAIN`.
        authorities: The keys of all services, for tests that forge.
        ports: Where the services listen.
        servers: The running services by name: `ct`, `fulcio`, `rekor`, `tsa`.
    """

    directory: Path
    oidc: OidcIssuer
    kubernetes: OidcIssuer
    spiffe: OidcIssuer
    authorities: Authorities
    ports: Ports
    servers: dict[str, Server] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """The OIDC issuer, as it stands in certificates."""
        return self.oidc.url

    @property
    def fulcio_url(self) -> str:
        """The certificate authority."""
        return f"http://{LOOPBACK}:{self.ports.fulcio}"

    @property
    def rekor_url(self) -> str:
        """The transparency log."""
        return f"http://{LOOPBACK}:{self.ports.rekor}"

    @property
    def tsa_url(self) -> str:
        """The timestamp authority, down to the resource that takes requests."""
        return f"http://{LOOPBACK}:{self.ports.tsa}/api/v1/timestamp"

    @property
    def trusted_root(self) -> Path:
        """The trusted root with all the parts, as cosign writes it."""
        return self.directory / "trusted_root.json"

    @property
    def signing_config(self) -> Path:
        """The signing config with all the parts, as cosign writes it."""
        return self.directory / "signing_config.json"

    def token(self, email: str = DEFAULT_EMAIL, *, ttl: float = 600) -> str:
        """Return an identity token for `email` that expires in `ttl` seconds."""
        return self.oidc.token(email, ttl=ttl)

    def token_file(self, email: str = DEFAULT_EMAIL, *, ttl: float = 600) -> Path:
        """Write an identity token to a new file, as a job's projected token would stand there."""
        path = self._new_file("token", "jwt")
        path.write_text(self.token(email, ttl=ttl))
        return path

    def trusted_root_without(self, *parts: TrustPart) -> Path:
        """Write a trusted root that lacks these parts, exactly as cosign leaves them out."""
        path = self._new_file("trusted_root", "json")
        self._create_trusted_root(path, self.directory, without=parts)
        return path

    def foreign_trusted_root(self) -> Path:
        """Write a trusted root with the same addresses and other keys: it trusts nothing here."""
        directory = self._new_file("foreign", "keys")
        directory.mkdir()
        Authorities.generate().write_public(directory)
        path = directory / "trusted_root.json"
        self._create_trusted_root(path, directory)
        return path

    def signing_config_without(self, *parts: SigningPart) -> Path:
        """Write a signing config that lacks these parts, exactly as cosign leaves them out."""
        path = self._new_file("signing_config", "json")
        self._create_signing_config(path, without=parts)
        return path

    def client_trust_config(self) -> Path:
        """Write both trust files as the one file that sigstore-python's `--trust-config` reads."""
        path = self._new_file("trust_config", "json")
        path.write_text(
            json.dumps(
                {
                    "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                    "trustedRoot": json.loads(self.trusted_root.read_text()),
                    "signingConfig": json.loads(self.signing_config.read_text()),
                }
            )
        )
        return path

    def write_trust_files(self) -> None:
        """Write `trusted_root` and `signing_config`."""
        self._create_trusted_root(self.trusted_root, self.directory)
        self._create_signing_config(self.signing_config)

    def _create_trusted_root(
        self, path: Path, keys: Path, *, without: Collection[TrustPart] = ()
    ) -> None:
        start = f"start-time={self.authorities.valid_from:%Y-%m-%dT%H:%M:%SZ}"
        fulcio = f"url={self.fulcio_url},certificate-chain={keys / 'fulcio.pem'},{start}"
        ct = f"url=http://{LOOPBACK}:{self.ports.ct},public-key={keys / 'ct.pub'},{start}"
        # A log's identifier is computed from the origin in its checkpoints: its --hostname.
        rekor = f"url={self.rekor_url},public-key={keys / 'rekor.pub'},{start},origin={LOOPBACK}"
        tsa = f"url={self.tsa_url},certificate-chain={keys / 'tsa.pem'},{start}"
        arguments: dict[TrustPart, list[str]] = {
            "fulcio": ["--fulcio", fulcio],
            "ct": ["--ctfe", ct],
            "rekor": ["--rekor", rekor],
            "tsa": ["--tsa", tsa],
        }
        chosen = itertools.chain(*(arguments[part] for part in arguments if part not in without))
        self._cosign("trusted-root", "create", *chosen, "--out", str(path))

    def _create_signing_config(self, path: Path, *, without: Collection[SigningPart] = ()) -> None:
        start = f"start-time={self.authorities.valid_from:%Y-%m-%dT%H:%M:%SZ},operator={_OPERATOR}"
        rekor = f"url={self.rekor_url},api-version=2,{start}"
        tsa = f"url={self.tsa_url},api-version=1,{start}"
        arguments: dict[SigningPart, list[str]] = {
            "fulcio": ["--fulcio", f"url={self.fulcio_url},api-version=1,{start}"],
            "oidc": ["--oidc-provider", f"url={self.issuer},api-version=1,{start}"],
            "rekor": ["--rekor", rekor, "--rekor-config", "ANY"],
            "tsa": ["--tsa", tsa, "--tsa-config", "ANY"],
        }
        chosen = itertools.chain(*(arguments[part] for part in arguments if part not in without))
        self._cosign("signing-config", "create", *chosen, "--out", str(path))

    def _cosign(self, *arguments: str) -> None:
        environment = cli.clean_environment(self.directory)
        cli.run([peers.path("cosign"), *arguments], env=environment).check()

    def _new_file(self, stem: str, suffix: str) -> Path:
        return self.directory / f"{stem}-{next(_RUN_NUMBERS)}.{suffix}"


@contextlib.contextmanager
def private_sigstore(directory: Path) -> Iterator[PrivateSigstore]:
    """Start a whole Sigstore that keeps its state in `directory`, and stop it at the end."""
    for name in _PEERS:
        peers.path(name)  # skips or fails before anything is started
    with contextlib.ExitStack() as stack:
        people, cluster, workloads = (stack.enter_context(OidcIssuer()) for _ in range(3))
        sigstore = PrivateSigstore(
            directory, people, cluster, workloads, Authorities.generate(), Ports()
        )
        sigstore.authorities.write_public(directory)
        sigstore.authorities.write_private(directory, f"{LOOPBACK}:{sigstore.ports.ct}")
        for start in (_start_ct_log, _start_fulcio, _start_rekor, _start_tsa):
            server = start(sigstore)
            stack.callback(server.stop)
            sigstore.servers[server.name] = server
        sigstore.write_trust_files()
        yield sigstore


def _start_ct_log(sigstore: PrivateSigstore) -> Server:
    command: list[str | Path] = [
        peers.path("ct-test-srv"),
        "-config",
        sigstore.directory / "ct.json",
    ]
    return _start(sigstore, "ct", command, f"http://{LOOPBACK}:{sigstore.ports.ct}/get-rejections")


def _start_fulcio(sigstore: PrivateSigstore) -> Server:
    directory, ports = sigstore.directory, sigstore.ports
    config = directory / "fulcio.yaml"
    # Block style on purpose: from JSON text Fulcio reads no issuer, and says nothing.
    config.write_text(
        f"oidc-issuers:\n"
        f"  {sigstore.issuer}:\n"
        f"    issuer-url: {sigstore.issuer}\n"
        f"    client-id: {CLIENT_ID}\n"
        f"    type: email\n"
        f"  {sigstore.kubernetes.url}:\n"
        f"    issuer-url: {sigstore.kubernetes.url}\n"
        f"    client-id: {CLIENT_ID}\n"
        f"    type: kubernetes\n"
        f"  {sigstore.spiffe.url}:\n"
        f"    issuer-url: {sigstore.spiffe.url}\n"
        f"    client-id: {CLIENT_ID}\n"
        f"    type: spiffe\n"
        f"    spiffe-trust-domain: {TRUST_DOMAIN}\n"
    )
    command: list[str | Path] = [peers.path("fulcio"), "serve"]
    command += ["--host", LOOPBACK, "--port", str(ports.fulcio)]
    command += ["--grpc-host", LOOPBACK, "--grpc-port", str(ports.fulcio_grpc)]
    command += ["--metrics-port", str(ports.fulcio_metrics)]
    # Abstract sockets are one name space on a machine, and this one has a fixed default.
    command += ["--legacy-unix-domain-socket", f"@modelseal-fulcio-{os.getpid()}-{ports.fulcio}"]
    command += ["--config-path", config, "--ca", "fileca"]
    command += ["--fileca-cert", directory / "fulcio.pem", "--fileca-key", directory / "fulcio.key"]
    command += ["--fileca-key-passwd", FULCIO_KEY_PASSWORD]
    command += ["--ct-log-url", f"http://{LOOPBACK}:{ports.ct}"]
    return _start(sigstore, "fulcio", command, f"{sigstore.fulcio_url}/healthz")


def _start_rekor(sigstore: PrivateSigstore) -> Server:
    directory, ports = sigstore.directory, sigstore.ports
    command: list[str | Path] = [peers.path("rekor"), "serve"]
    command += ["--http-address", LOOPBACK, "--http-port", str(ports.rekor)]
    command += ["--grpc-address", LOOPBACK, "--grpc-port", str(ports.rekor_grpc)]
    command += ["--http-metrics-port", str(ports.rekor_metrics), "--hostname", LOOPBACK]
    command += ["--storage-dir", directory / "rekor", "--signer-filepath", directory / "rekor.key"]
    # An entry is answered when a checkpoint covers it: 10 s with the defaults.
    command += ["--checkpoint-interval", "200ms", "--batch-max-age", "20ms"]
    return _start(sigstore, "rekor", command, f"{sigstore.rekor_url}/healthz")


def _start_tsa(sigstore: PrivateSigstore) -> Server:
    directory, port = sigstore.directory, sigstore.ports.tsa
    command: list[str | Path] = [peers.path("timestamp"), "-address", f"{LOOPBACK}:{port}"]
    command += ["-key", directory / "tsa.key", "-chain", directory / "tsa.pem"]
    return _start(sigstore, "tsa", command, f"http://{LOOPBACK}:{port}/ping")


def _start(
    sigstore: PrivateSigstore, name: str, command: list[str | Path], health_url: str
) -> Server:
    return processes.start(
        name,
        command,
        log=sigstore.directory / f"{name}.log",
        healthy=processes.answers(health_url),
        env=cli.clean_environment(sigstore.directory),
        cwd=sigstore.directory,
    )
