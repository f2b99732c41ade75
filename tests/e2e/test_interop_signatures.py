# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""ours ⇄ cosign: every way of signing, on every kind of registry and document: docs/interop.md."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from tests.support.cli import Command, Result
from tests.support.interop import Table, version_of
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import PrivateSigstore

from modelseal.documents import canonical_json
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import INDEX, Descriptor
from modelseal.oci.manifest import Manifest
from modelseal.oci.reference import parse_repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import fetch_manifest
from modelseal.workflows.choose import default_platform
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services

How: TypeAlias = Literal["key", "keyless"]
What: TypeAlias = Literal["manifest", "index"]
Said: TypeAlias = Literal["sign", "attest"]
Tool: TypeAlias = Literal["modelseal", "cosign"]

TRAINER, STRANGER = "trainer@acme.example", "stranger@acme.example"
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse", "COSIGN_PASSWORD": "battery staple"}
PREDICATE = {
    "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {"a": "b"}},
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}
REGISTRIES: Mapping[RegistryName, str] = {
    "olareg": "referrers API (olareg)",
    "distribution": "fallback tag (distribution)",
}
HOWS: tuple[How, ...] = ("key", "keyless")
WHATS: tuple[What, ...] = ("manifest", "index")
SAIDS: tuple[Said, ...] = ("sign", "attest")
TOOLS: tuple[Tool, ...] = ("modelseal", "cosign")
_AT_ONCE = 8
"""What is signed keylessly waits a second for the log."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository with one model, to be had under any number of digests."""

    repository: str
    store: RegistryStore
    base: Manifest

    def manifest(self, name: str) -> Descriptor:
        """Push the model's manifest under a digest of its own."""
        manifest = Manifest.build(
            artifact_type=self.base.artifact_type,
            config=self.base.config,
            layers=self.base.layers,
            annotations={**self.base.annotations, "dev.example.cell": name},
        )
        self.store.push(manifest.descriptor, BytesContent(manifest.raw))
        return manifest.descriptor

    def index(self, name: str) -> tuple[Descriptor, Sequence[Descriptor]]:
        """Push an index of two models, for this machine and for another."""
        children = [self.manifest(f"{name}, {number}") for number in range(2)]
        systems = (default_platform().split("/"), ("linux", "riscv64"))
        listed = [
            {**child.to_json(), "platform": {"os": system[0], "architecture": system[1]}}
            for child, system in zip(children, systems, strict=True)
        ]
        raw = canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
        index = Descriptor.of(raw, INDEX)
        self.store.push(index, BytesContent(raw))
        return index, children

    def reference(self, what: What, name: str) -> str:
        """Push what is to be signed; return its reference by digest."""
        made = self.manifest(name) if what == "manifest" else self.index(name)[0]
        return f"{self.repository}@{made.digest}"


@dataclass(frozen=True, slots=True)
class Signers:
    """Both commands, with a key each, and as one identity."""

    sigstore: PrivateSigstore
    modelseal: Command
    cosign: Command
    home: Path

    def key(self, tool: Tool) -> Path:
        """Return the private key of a tool's user."""
        return self.home / ("ours" if tool == "modelseal" else "cosign.key")

    def public_key(self, tool: Tool) -> Path:
        """Return the public key that belongs to it."""
        return self.home / ("ours.pub" if tool == "modelseal" else "cosign.pub")

    def say(self, tool: Tool, how: How, said: Said, reference: str) -> Result:
        """Let a tool sign, or attest."""
        words: list[str | Path] = [said, reference, *self.signing(tool, how)]
        if said == "attest":
            predicate = self.home / "predicate.json"
            words += ["--type", "slsaprovenance1", "--predicate", predicate]
        if tool == "modelseal":
            return self.modelseal(*words, env=PASSPHRASE)
        return self.cosign(*words, "--allow-http-registry", env=PASSPHRASE)

    def signing(self, tool: Tool, how: How) -> list[str | Path]:
        """Return the words that say who signs."""
        if how == "keyless":
            config, token = self.sigstore.signing_config, self.sigstore.token_file(TRAINER)
            where: list[str | Path] = ["--trusted-root", self.sigstore.trusted_root]
            return [*where, "--signing-config", config, "--identity-token", token]
        if tool == "modelseal":
            return ["--key", self.key(tool)]
        return ["--key", self.key(tool), "--signing-config", self.home / "no-services.json"]

    def verify(
        self, tool: Tool, how: How, said: Said, reference: str, *, signer: Tool | None
    ) -> Result:
        """Let a tool verify what `signer` has said; None is a stranger."""
        asked = ["--type", "slsaprovenance1"] if said == "attest" else []
        words = [reference, *self.believing(how, signer), *asked]
        if tool == "modelseal":
            return self.modelseal("verify", *words)
        command = "verify" if said == "sign" else "verify-attestation"
        unlogged = ["--insecure-ignore-tlog"] if how == "key" else []
        return self.cosign(command, *words, *unlogged, "--allow-http-registry")

    def believing(self, how: How, signer: Tool | None) -> list[str | Path]:
        """Return the words that name a signer: the same for both. None is a stranger."""
        if how == "key":
            return ["--key", self.public_key(signer) if signer else self.home / "stranger.pub"]
        whom = ["--certificate-identity", TRAINER if signer else STRANGER]
        root: list[str | Path] = ["--trusted-root", self.sigstore.trusted_root]
        return [*whom, "--certificate-oidc-issuer", self.sigstore.issuer, *root]


@pytest.fixture
def signers(
    private_sigstore: PrivateSigstore, modelseal: Command, cosign: Command, home: Path
) -> Signers:
    for name in ("ours", "stranger"):
        modelseal("key", "generate", "--output", home / name, env=PASSPHRASE).check()
    cosign("generate-key-pair", env=PASSPHRASE).check()
    cosign("signing-config", "create", "--out", home / "no-services.json").check()
    (home / "predicate.json").write_text(json.dumps(PREDICATE))
    return Signers(private_sigstore, modelseal, cosign, home)


@pytest.fixture
def place(
    serve_registry: Callable[[RegistryName], Registry], home: Path, tmp_path: Path
) -> Callable[[RegistryName], Place]:
    def made(name: RegistryName) -> Place:
        repository = f"{serve_registry(name).host}/signatures/{tmp_path.name.replace('_', '-')}"
        store = RegistryStore(parse_repository(repository))
        model = home / "fraud"
        base = push_directory(
            model if model.is_dir() else make_model(model), "base", Services(store=store), {}
        )
        return Place(repository, store, fetch_manifest(store, base))

    return made


def told(done: Result, good: Result, stranger: Result) -> str:
    """Say what a tool made of what the other has signed, and of asking for somebody else."""
    if done.returncode:
        return f"**cannot be made**: {done.stderr.splitlines()[-1]}"
    if good.returncode:
        return f"**refused**: {good.stderr.splitlines()[-1]}"
    return "yes" if stranger.returncode else "**yes, whoever is asked for**"


def test_each_verifies_what_the_other_signs_and_attests(
    signers: Signers, place: Callable[[RegistryName], Place]
) -> None:
    rows = list(product(REGISTRIES, WHATS, HOWS, SAIDS))
    places = {name: place(name) for name in REGISTRIES}

    def cell(registry: RegistryName, what: What, how: How, said: Said, signer: Tool) -> str:
        reference = places[registry].reference(what, f"{what} {how} {said} {signer}")
        done = signers.say(signer, how, said, reference)
        other: Tool = "cosign" if signer == "modelseal" else "modelseal"
        return told(
            done,
            signers.verify(other, how, said, reference, signer=signer),
            signers.verify(other, how, said, reference, signer=None),
        )

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [(*row, tool) for row in rows for tool in TOOLS]
        cells = list(pool.map(lambda one: cell(*one), asked))
    name = version_of("cosign")
    by_cosign, by_us = (
        f"{name} verifies what modelseal signs",
        f"modelseal verifies what {name} signs",
    )
    table = Table("signatures", ["registry", "of", "with", "command", by_cosign, by_us])
    for (registry, what, how, said), ours, theirs in zip(
        rows, cells[::2], cells[1::2], strict=True
    ):
        words = f"`{said}`" if said == "sign" else "`attest`, SLSA provenance"
        table.add(REGISTRIES[registry], what, _WITH[how], words, ours, theirs)
    table.hold()


_WITH = {"key": "a key", "keyless": "an identity"}


def test_whose_word_counts_for_a_model_in_an_index(
    signers: Signers, place: Callable[[RegistryName], Place]
) -> None:
    signed: Mapping[str, tuple[Tool, Sequence[str]]] = {
        "`modelseal sign INDEX`": ("modelseal", ["index"]),
        "`cosign sign INDEX`": ("cosign", ["index"]),
        "`cosign sign --recursive INDEX`": ("cosign", ["index", "--recursive"]),
        "`modelseal sign MANIFEST`": ("modelseal", ["manifest"]),
        "`cosign sign MANIFEST`": ("cosign", ["manifest"]),
    }
    asked: Mapping[str, tuple[Tool, Sequence[str]]] = {
        "`modelseal verify INDEX`": ("modelseal", ["verify", "index"]),
        "the same, `--platform` of MANIFEST": ("modelseal", ["verify", "index", *THIS]),
        "the same, of another": ("modelseal", ["verify", "index", *OTHER]),
        "`modelseal pull INDEX`, on that platform": ("modelseal", ["pull", "index", "--output"]),
        "`modelseal verify MANIFEST`": ("modelseal", ["verify", "manifest"]),
        "`cosign verify INDEX`": ("cosign", ["verify", "index"]),
        "`cosign verify MANIFEST`": ("cosign", ["verify", "manifest"]),
    }
    there = place("olareg")
    table = Table("indexes", ["asked", *signed])
    answers: dict[str, list[str]] = {words: [] for words in asked}
    for number, (signer, (kind, *options)) in enumerate(signed.values()):
        index, (child, _) = there.index(f"index {number}")
        digests = {"index": index.digest, "manifest": child.digest}
        references = {what: f"{there.repository}@{digest}" for what, digest in digests.items()}
        program = signers.modelseal if signer == "modelseal" else signers.cosign
        key = signers.signing(signer, "key")
        http = ["--allow-http-registry"] if signer == "cosign" else []
        program("sign", references[kind], *key, *options, *http, env=PASSPHRASE).check()
        extra: Mapping[str, Sequence[str | Path]] = {
            "pull": [signers.home / f"out-{number}"],
            "cosign": ["--insecure-ignore-tlog", "--allow-http-registry"],
        }
        for words, (tool, (command, what, *more)) in asked.items():
            program = signers.modelseal if tool == "modelseal" else signers.cosign
            more_still = (*more, *extra.get(command, ()), *extra.get(tool, ()))
            believed = signers.believing("key", signer)
            done = program(command, references[what], *more_still, *believed)
            answers[words].append("yes" if done.returncode == 0 else "no")
            assert tool == "cosign" or done.returncode in {0, 11}, done
    for words, cells in answers.items():
        table.add(words, *cells)
    table.hold()


THIS = ("--platform", default_platform())
OTHER = ("--platform", "linux/riscv64")
