# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Closed sites: nobody but the registry is asked, and what is believed came on a carrier."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import cli
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import PrivateSigstore
from tests.support.tuf_repository import tuf_repository

TRAINER = "trainer@acme.example"
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
ONLY = """
import os, sys

ALLOWED = os.environ["ONLY"].split()

def watch(event, arguments):
    if event == "socket.connect":
        host = "%s:%s" % tuple(arguments[1][:2])
    elif event == "socket.getaddrinfo":
        host = "%s:%s" % tuple(arguments[:2])
    else:
        return
    with open(os.environ["ASKED"], "a") as log:
        log.write(host + "\\n")
    if host not in ALLOWED:
        raise RuntimeError("the network was asked: " + host)

sys.addaudithook(watch)
"""


@pytest.fixture
def only(home: Path) -> Callable[..., dict[str, str]]:
    """Give an environment in which a Python process reaches these hosts and no other."""
    (home / "only").mkdir()
    (home / "only" / "sitecustomize.py").write_text(ONLY)

    def environment(*hosts: str) -> dict[str, str]:
        return {
            "PYTHONPATH": str(home / "only"),
            "ONLY": " ".join(hosts),
            "ASKED": str(home / "asked"),
        }

    return environment


def asked(home: Path) -> set[str]:
    return set((home / "asked").read_text().split()) if (home / "asked").exists() else set()


def published(modelseal: Command, sigstore: PrivateSigstore, home: Path, reference: str) -> None:
    modelseal(
        *("publish", make_model(home / "model"), reference),
        *("--trusted-root", sigstore.trusted_root, "--signing-config", sigstore.signing_config),
        *("--identity-token", sigstore.token_file(TRAINER)),
    ).check()


def believing(sigstore: PrivateSigstore, root: str | Path) -> list[str | Path]:
    return [
        *("--trusted-root", root, "--certificate-identity", TRAINER),
        *("--certificate-oidc-issuer", sigstore.issuer),
    ]


def policy_file(path: Path, sigstore: PrivateSigstore) -> Path:
    identity = {"issuer": sigstore.issuer, "subject": TRAINER}
    value = {
        "apiVersion": "modelseal.dev/v1",
        "kind": "Policy",
        "metadata": {"name": "production"},
        "spec": {
            "roles": {"trainer": {"identities": [identity]}},
            "rules": [
                {"use": "signed", "with": {"role": "trainer"}},
                {"use": "provenance", "with": {"role": "trainer"}},
                {"use": "resource", "with": {"usedFrom": ["oci:"]}},
            ],
        },
    }
    path.write_text(json.dumps(value))
    return path


def test_a_closed_site_verifies_with_the_bundle_and_a_layout_alone(
    modelseal: Command,
    private_sigstore: PrivateSigstore,
    serve_registry: Callable[[RegistryName], Registry],
    home: Path,
    tmp_path: Path,
    only: Callable[..., dict[str, str]],
) -> None:
    outside = f"{serve_registry('distribution').host}/closed/m-{uuid.uuid4().hex[:12]}:1.4.0"
    published(modelseal, private_sigstore, home, outside)
    carrier = tmp_path / "carrier"
    modelseal("copy", "-r", outside, f"oci:{carrier}/model:1.4.0").check()
    policy = policy_file(home / "production.yaml", private_sigstore)
    packing = ("--trusted-root", private_sigstore.trusted_root, "--policy", policy)
    packed = modelseal("trust", "export", carrier / "trust", *packing, "-o", "json").check()
    files = {one["path"]: one for one in json.loads(packed.stdout)["files"]}
    assert set(files) == {"trusted_root.json", "policies/production.yaml"}

    # Inside: another user, another home, no network.
    inside_home = tmp_path / "inside"
    inside_home.mkdir()
    inside = Command(cli.modelseal_program(), inside_home, only())
    model, trust = f"oci:{carrier}/model:1.4.0", carrier / "trust"
    shown = inside("trust", "show", trust).check()
    assert "transparency log (Rekor)" in shown.stdout
    assert "the first of these ends: " in shown.stdout
    root = trust / "trusted_root.json"
    with_policy = ("--policy", trust / "policies" / "production.yaml", "--trusted-root", root)
    inside("verify", model, *with_policy, "--offline").check()
    inside("pull", model, "--output", inside_home / "out", *with_policy).check()
    other = private_sigstore.foreign_trusted_root()
    inside("verify", model, *believing(private_sigstore, other)).check(11)
    assert asked(home) == set()

    (trust / "policies" / "production.yaml").write_text("changed on the way")
    changed = inside("trust", "show", trust).check(11)
    assert "[content-mismatch]" in changed.stderr


def test_offline_asks_the_registry_and_nobody_else(
    modelseal: Command,
    private_sigstore: PrivateSigstore,
    serve_registry: Callable[[RegistryName], Registry],
    home: Path,
    only: Callable[..., dict[str, str]],
) -> None:
    registry = serve_registry("distribution")
    reference = f"{registry.host}/closed/m-{uuid.uuid4().hex[:12]}:1.4.0"
    published(modelseal, private_sigstore, home, reference)
    verify = ("verify", reference, "--offline")
    root = private_sigstore.trusted_root
    env = only(registry.host)
    modelseal(*verify, *believing(private_sigstore, root), env=env).check()
    assert asked(home) == {registry.host}
    # The public instance's root is taken as it is shipped: it did not sign this.
    public = believing(private_sigstore, root)[2:]
    assert "[untrusted-root]" in modelseal(*verify, *public, env=env).check(11).stderr
    assert asked(home) == {registry.host}
    # What the cache holds needs not even the registry.
    modelseal(*verify, *believing(private_sigstore, root), env=only()).check()


def test_a_trusted_root_comes_from_a_tuf_repository_and_stays_for_offline(
    modelseal: Command,
    private_sigstore: PrivateSigstore,
    home: Path,
    tmp_path: Path,
    only: Callable[..., dict[str, str]],
) -> None:
    reference = f"oci:{home}/store:1.4.0"
    published(modelseal, private_sigstore, home, reference)
    with tuf_repository(tmp_path / "tuf") as repository:
        repository.add("trusted_root.json", private_sigstore.trusted_root.read_bytes())
        source = f"tuf+{repository.url}"
        unknown = modelseal("verify", reference, *believing(private_sigstore, source)).check(2)
        assert "is not known here yet" in unknown.stderr
        first = f"{source}#{repository.first_root}"
        modelseal("verify", reference, *believing(private_sigstore, first)).check()
        offline = ("verify", reference, "--offline", *believing(private_sigstore, source))
        modelseal(*offline, env=only()).check()
        shown = modelseal("trust", "show", source, "--output", "json").check()
        assert len(json.loads(shown.stdout)["parts"]) == 4
        modelseal("trust", "export", home / "trust", "--trusted-root", source).check()
        raw = private_sigstore.trusted_root.read_bytes()
        assert (home / "trust" / "trusted_root.json").read_bytes() == raw
        repository.expire()
        stale = modelseal("verify", reference, *believing(private_sigstore, source)).check(11)
        assert "[expired-metadata]" in stale.stderr
        modelseal(*offline, env=only()).check()
