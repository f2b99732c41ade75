# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""With a person at a terminal: prompts, the browser, bars. And what none of them may show."""

from pathlib import Path

import pytest
from tests.support import browser, terminal
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore

SECRET = "correct horse battery staple"


@pytest.fixture
def modelseal(started_modelseal: Command) -> Command:
    return started_modelseal


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model", extra={"large.safetensors": weights(3 << 20)})


def weights(size: int) -> bytes:
    header = b'{"t":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    return len(header).to_bytes(8, "little") + header + bytes(size)


def test_the_passphrase_is_asked_for_and_never_shown(
    modelseal: Command, home: Path, model: Path
) -> None:
    prompts = {
        "Passphrase for the new key: ": SECRET,
        "Repeat for confirmation: ": SECRET,
        "Passphrase of the private key: ": SECRET,
    }
    made = terminal.run(
        [modelseal.program, "key", "generate", "--output", home / "k"],
        env=modelseal.environment,
        answers=prompts,
    )
    assert made.returncode == 0, made.screen
    done = terminal.run(
        [modelseal.program, "publish", model, f"oci:{home}/store:1", "--key", home / "k"],
        env=modelseal.environment,
        answers=prompts,
    )
    assert done.returncode == 0, done.screen
    assert "published:" in done.screen
    assert SECRET not in made.screen + done.screen
    modelseal("verify", f"oci:{home}/store:1", "--key", home / "k.pub").check()


def test_a_wrong_passphrase_says_so(modelseal: Command, home: Path, model: Path) -> None:
    modelseal(
        "key", "generate", "--output", home / "k", env={"MODELSEAL_KEY_PASSPHRASE": SECRET}
    ).check()
    done = terminal.run(
        [modelseal.program, "publish", model, f"oci:{home}/store:1", "--key", home / "k"],
        env=modelseal.environment,
        answers={"Passphrase of the private key: ": "wrong"},
    )
    assert done.returncode == 2, done.screen
    assert "another passphrase" in done.screen


def test_e_a_person_signs_in_with_the_browser(
    modelseal: Command, home: Path, model: Path, private_sigstore: PrivateSigstore
) -> None:
    reference = f"oci:{home}/store:1"
    private_sigstore.oidc.login_email = "person@acme.example"
    done = terminal.run(
        [
            *(modelseal.program, "publish", model, reference),
            *("--trusted-root", private_sigstore.trusted_root),
            *("--signing-config", private_sigstore.signing_config),
        ],
        env=modelseal.environment | browser.environment(),
    )
    assert done.returncode == 0, done.screen
    modelseal(
        "verify",
        reference,
        *("--trusted-root", private_sigstore.trusted_root),
        *("--certificate-identity", "person@acme.example"),
        *("--certificate-oidc-issuer", private_sigstore.issuer),
    ).check()


def test_without_a_person_there_is_no_browser(
    modelseal: Command, home: Path, model: Path, private_sigstore: PrivateSigstore
) -> None:
    done = modelseal(
        *("publish", model, f"oci:{home}/store:1"),
        *("--trusted-root", private_sigstore.trusted_root),
        *("--signing-config", private_sigstore.signing_config),
    ).check(1)
    assert "there is no identity token" in done.stderr
    assert "id-token: write" in done.stderr
    assert not (home / "store").exists()  # told before anything was hashed or sent


def test_bars_on_a_terminal_lines_elsewhere_nothing_when_quiet(
    modelseal: Command, home: Path, model: Path
) -> None:
    bars = terminal.run(
        [modelseal.program, "push", model, f"oci:{home}/a:1"], env=modelseal.environment
    )
    assert bars.returncode == 0
    assert "large.safetensors (3.0 MiB): done" in bars.screen
    lines = modelseal("push", model, f"oci:{home}/b:1").check()
    assert "large.safetensors (3.0 MiB): done" in lines.stderr
    assert "\x1b" not in lines.stderr
    quiet = modelseal("push", model, f"oci:{home}/c:1", "--quiet").check()
    assert len(quiet.stderr.splitlines()) <= 1
    assert quiet.stdout.startswith("sha256:")


def test_names_from_a_stranger_cannot_steer_the_terminal(
    modelseal: Command, home: Path, tmp_path: Path
) -> None:
    """A layer title with an escape sequence is refused, and shown harmless where it is shown."""
    import json

    from modelseal.oci.content import BytesContent
    from modelseal.oci.descriptor import Descriptor
    from modelseal.oci.layout import LayoutStore
    from modelseal.oci.manifest import Manifest

    store = LayoutStore(tmp_path / "layout")
    config = Descriptor.of(b"{}", "application/vnd.cncf.model.config.v1+json")
    store.push(config, BytesContent(b"{}"))
    evil = "model\x1b]0;owned\x07.safetensors"
    layer = Descriptor(
        "application/vnd.cncf.model.weight.v1.raw",
        config.digest,
        2,
        annotations={"org.cncf.model.filepath": evil, "org.opencontainers.image.title": evil},
    )
    manifest = Manifest.build(
        artifact_type="application/vnd.cncf.model.manifest.v1+json", layers=[layer], config=config
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    store.tag(manifest.descriptor, "1")
    for command in (
        ("inspect", f"oci:{tmp_path}/layout:1"),
        ("pull", f"oci:{tmp_path}/layout:1", "--output", str(home / "out")),
    ):
        done = modelseal(*command)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr
    assert json.loads(modelseal("inspect", f"oci:{tmp_path}/layout:1", "-o", "json").stdout)
    assert not (home / "out").exists()
