# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What has to be refused, is: through the installed command, on each of the three registries.

Each case has its own message, its own code for scripts, and the exit code of docs/cli.md.
"""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support import cli
from tests.support.cli import Command, Result
from tests.support.faulty_proxy import Alter, Answered, Asked, FaultyProxy
from tests.support.intoto import statement
from tests.support.model_factory import make_model
from tests.support.registries import Registry
from tests.support.sigstore import PrivateSigstore
from tests.support.virtual_sigstore import Certified, VirtualSigstore

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.attest.referrers import BUNDLE, attach
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import (
    EMPTY_BYTES,
    EMPTY_DESCRIPTOR,
    INDEX,
    MANIFEST,
    Descriptor,
    Digest,
)
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.reference import parse_repository
from modelseal.oci.referrer import fallback_tag
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import fetch_bytes, fetch_manifest, push_bytes

TRAINER = "trainer@acme.example"
ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
UNVERIFIED, UNAVAILABLE = 11, 20


@dataclass(frozen=True)
class Release:
    """A model in one registry: signed by a key and, beside it, keylessly; tests only read it."""

    registry: Registry
    repository: str
    digest: str
    other_digest: str
    """Another model in the same repository, unsigned."""
    key: Path
    other_key: Path
    keyless: list[str]
    """Options that make `verify` accept the keyless signature."""
    home: Path
    sigstore: PrivateSigstore

    @property
    def reference(self) -> str:
        return f"{self.repository}:1.4.0"

    @property
    def subject(self) -> Descriptor:
        return self.store.resolve(Digest.parse(self.digest))

    @property
    def store(self) -> RegistryStore:
        return RegistryStore(parse_repository(self.repository))


@pytest.fixture(scope="module")
def release(
    registry: Registry,
    private_sigstore: PrivateSigstore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Release:
    home = tmp_path_factory.mktemp("release")
    run = Command(cli.modelseal_program(), home)
    repository = f"{registry.host}/refusals/{home.name}"
    for name in ("key", "other"):
        run("key", "generate", "--output", home / name, env=ENV).check()
    model = make_model(home / "model")
    run("publish", model, f"{repository}:1.4.0", "--key", home / "key", env=ENV).check()
    signing: list[str | Path] = [
        *("--trusted-root", private_sigstore.trusted_root),
        *("--signing-config", private_sigstore.signing_config),
        *("--identity-token", private_sigstore.token_file(TRAINER)),
    ]
    run("sign", f"{repository}:1.4.0", *signing).check()
    other = make_model(home / "other-model", version="2.0.0")
    pushed = run("push", other, f"{repository}:2.0.0").check().stdout.strip()
    store = RegistryStore(parse_repository(repository))
    return Release(
        registry=registry,
        repository=repository,
        digest=str(store.resolve("1.4.0").digest),
        other_digest=pushed,
        key=home / "key",
        other_key=home / "other",
        keyless=[
            *("--trusted-root", str(private_sigstore.trusted_root)),
            *("--certificate-identity", TRAINER),
            *("--certificate-oidc-issuer", private_sigstore.issuer),
        ],
        home=home,
        sigstore=private_sigstore,
    )


@pytest.fixture
def fresh(repository: str, modelseal: Command, tmp_path: Path) -> RegistryStore:
    """An unsigned model under `:1.4.0` in a repository of this test's own."""
    modelseal("push", make_model(tmp_path / "fresh"), f"{repository}:1.4.0").check()
    return RegistryStore(parse_repository(repository))


def refused(result: Result, exit_code: int, code: str, *words: str) -> None:
    """See that a command failed as it has to: exit code, code for scripts, message, next step."""
    result.check(exit_code)
    error = json.loads(result.stdout)["error"]
    assert error["code"] == code, result
    assert error["hint"], result
    for word in words:
        assert word in error["message"], result
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr


def verify(run: Command, reference: str, *options: str | Path) -> Result:
    return run("verify", reference, "--output", "json", *options)


def by_key(release: Release) -> tuple[str, Path]:
    return "--key", release.key.with_name("key.pub")


def test_01_unsigned(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command
) -> None:
    assert fresh.exists(fresh.resolve("1.4.0"))
    result = verify(modelseal, f"{repository}:1.4.0", *by_key(release))
    refused(result, UNVERIFIED, "unsigned", "is not signed: nothing is attached")


def test_02_only_a_statement_that_is_no_signature(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command, cosign: Command
) -> None:
    predicate = release.home / "scan.json"
    predicate.write_text('{"result": "FAILED"}')
    attesting = ("--type", "https://example.com/scan-failed/v1", "--predicate", predicate)
    modelseal("attest", f"{repository}:1.4.0", *attesting, "--key", release.key, env=ENV).check()
    public = release.key.with_name("key.pub")
    # The hole that this closes: cosign takes any statement for a signature.
    ignore = ("--allow-http-registry", "--insecure-ignore-tlog", "--key", public)
    cosign("verify", *ignore, f"{repository}@{fresh.resolve('1.4.0').digest}").check()
    result = verify(modelseal, f"{repository}:1.4.0", "--key", public)
    refused(result, UNVERIFIED, "no-signature", "only https://example.com/scan-failed/v1")


def test_03_another_identity(release: Release, modelseal: Command) -> None:
    options = [*release.keyless]
    options[options.index(TRAINER)] = "trainer@acme.example.evil.example"
    result = verify(modelseal, release.reference, *options)
    refused(result, UNVERIFIED, "other-identity", TRAINER)


def test_04_another_issuer(release: Release, modelseal: Command) -> None:
    options = [*release.keyless]
    options[options.index(release.sigstore.issuer)] = "https://accounts.google.com"
    result = verify(modelseal, release.reference, *options)
    refused(result, UNVERIFIED, "other-issuer", release.sigstore.issuer)


def test_05_another_key(release: Release, modelseal: Command) -> None:
    result = verify(modelseal, release.reference, "--key", f"{release.other_key}.pub")
    refused(result, UNVERIFIED, "other-key", "signed by another key")


def test_06_a_bundle_about_another_digest_moved_here(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command
) -> None:
    bundles = [
        fetch_bytes(release.store, fetch_manifest(release.store, entry).layers[0], limit=1 << 20)
        for entry in release.store.referrers(release.subject)
        if entry.artifact_type == BUNDLE
    ]
    make_model(release.home / "moved", version="3.0.0")
    tag = f"{repository}:3.0.0"
    modelseal("push", release.home / "moved", tag).check()
    shutil.rmtree(release.home / "moved")
    subject = fresh.resolve("3.0.0")
    for bundle in bundles:
        attach(fresh, subject, bundle, SIGNATURE, datetime.now(UTC))
    for options in (list(by_key(release)), release.keyless):
        result = verify(modelseal, tag, *options)
        refused(result, UNVERIFIED, "wrong-subject", release.digest, "not about")


def through(release: Release, alter: Alter) -> tuple[FaultyProxy, str]:
    """Return a proxy before the registry, and the release's repository as seen through it."""
    proxy = FaultyProxy(release.registry.host, alter)
    return proxy, release.repository.replace(release.registry.host, proxy.host, 1)


def flipped(body: bytes) -> bytes:
    return body[:-10] + bytes([body[-10] ^ 1]) + body[-9:]


def test_07_the_manifest_was_changed(release: Release, modelseal: Command) -> None:
    def alter(asked: Asked, answered: Answered) -> Answered:
        if asked.is_(f"/manifests/{release.digest}$", "GET"):
            answered.body = flipped(answered.body)
        return answered

    proxy, repository = through(release, alter)
    with proxy:
        result = verify(modelseal, f"{repository}@{release.digest}", *by_key(release))
    refused(result, UNVERIFIED, "content-mismatch", release.digest)


def test_08_a_blob_was_changed(release: Release, modelseal: Command, tmp_path: Path) -> None:
    manifest = fetch_manifest(release.store, release.subject)
    weights = next(layer for layer in manifest.layers if layer.name == "model.safetensors")

    def alter(asked: Asked, answered: Answered) -> Answered:
        if asked.is_(f"/blobs/{weights.digest}$", "GET"):
            answered.body = flipped(answered.body)
        return answered

    proxy, repository = through(release, alter)
    with proxy:
        result = modelseal(
            "pull", f"{repository}:1.4.0", "--output", tmp_path / "out", "--json", *by_key(release)
        )
    refused(result, UNVERIFIED, "content-mismatch", "model.safetensors", str(weights.digest))
    assert not (tmp_path / "out").exists()


def test_09_the_tag_moves_between_the_steps(
    release: Release, modelseal: Command, tmp_path: Path
) -> None:
    evil = fetch_bytes(
        release.store, release.store.resolve(Digest.parse(release.other_digest)), limit=1 << 20
    )
    seen: list[Asked] = []

    def alter(asked: Asked, answered: Answered) -> Answered:
        if asked.is_("/manifests/1.4.0$"):
            seen.append(asked)
            if len([one for one in seen if one.method == "GET"]) > 1:
                answered.body = evil
                answered.headers["Docker-Content-Digest"] = release.other_digest
        return answered

    proxy, repository = through(release, alter)
    reference, out = f"{repository}:1.4.0", tmp_path / "out"
    with proxy:
        modelseal("pull", reference, "--output", out, *by_key(release)).check()
        assert "1.4.0" in (out / "modelseal.yaml").read_text()
        assert len([one for one in seen if one.method == "GET"]) == 1
        result = verify(modelseal, reference, *by_key(release))
    refused(result, UNVERIFIED, "unsigned", release.other_digest)


def forged(
    release: Release, store: RegistryStore, **material: object
) -> tuple[dict[str, object], VirtualSigstore, list[str]]:
    """Return a bundle by a Sigstore of our own about the model in `store`, and whom it proves."""
    sigstore = VirtualSigstore()
    root = release.home / "virtual-root.json"
    root.write_bytes(sigstore.trusted_root())
    payload = statement(store.resolve("1.4.0").digest, predicateType=SIGNATURE, predicate={})
    bundle = sigstore.bundle(payload, **material)  # type: ignore[arg-type]
    options = [
        *("--trusted-root", str(root)),
        *("--certificate-identity", TRAINER),
        *("--certificate-oidc-issuer", "https://issuer.example"),
    ]
    return bundle, sigstore, options


def attached(store: RegistryStore, bundle: dict[str, object]) -> None:
    raw = json.dumps(bundle).encode()
    attach(store, store.resolve("1.4.0"), raw, SIGNATURE, datetime.now(UTC))


def test_10_an_expired_certificate_without_a_timestamp(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    bundle, _, options = forged(release, fresh, certified=Certified(valid_from=yesterday))
    attached(fresh, bundle)
    result = verify(modelseal, f"{repository}:1.4.0", *options)
    refused(result, UNVERIFIED, "expired-certificate", f"{yesterday:%Y-%m-%d}")
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]  # type: ignore[index]
    del entry["inclusionPromise"]
    entry["integratedTime"] = "0"
    other = RegistryStore(parse_repository(f"{repository}/b"))
    modelseal("push", release.home / "model", f"{repository}/b:1.4.0").check()
    attached(other, bundle)
    result = verify(modelseal, f"{repository}/b:1.4.0", *options)
    refused(result, UNVERIFIED, "no-timestamp", f"{yesterday:%Y-%m-%d}")


def test_11_another_trusted_root(release: Release, modelseal: Command) -> None:
    options = [*release.keyless]
    options[1] = str(release.sigstore.foreign_trusted_root())
    result = verify(modelseal, release.reference, *options)
    refused(result, UNVERIFIED, "untrusted-root")


def test_12_no_log_entry(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command, cosign: Command
) -> None:
    cosign(
        "sign",
        "--allow-http-registry",
        *("--trusted-root", release.sigstore.trusted_root),
        *("--signing-config", release.sigstore.signing_config_without("rekor")),
        *("--identity-token", release.sigstore.token_file(TRAINER)),
        f"{repository}@{fresh.resolve('1.4.0').digest}",
    ).check()
    result = verify(modelseal, f"{repository}:1.4.0", *release.keyless)
    refused(result, UNVERIFIED, "no-log-entry", "transparency log")


def test_13_a_broken_bundle(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command
) -> None:
    attach(fresh, fresh.resolve("1.4.0"), b'{"mediaType": 1, "x"', SIGNATURE, datetime.now(UTC))
    result = verify(modelseal, f"{repository}:1.4.0", *by_key(release))
    refused(result, UNVERIFIED, "broken-bundle", "JSON")


def test_14_three_hundred_junk_referrers(
    release: Release, fresh: RegistryStore, repository: str, modelseal: Command
) -> None:
    subject = fresh.resolve("1.4.0")
    flood(fresh, subject, has_api=release.registry.has_referrers_api)
    assert len(list(fresh.referrers(subject))) == 300
    result = verify(modelseal, f"{repository}:1.4.0", *by_key(release))
    refused(result, UNVERIFIED, "broken-bundle", "300 times")
    modelseal("sign", f"{repository}:1.4.0", "--key", release.key, env=ENV).check()
    verify(modelseal, f"{repository}:1.4.0", *by_key(release)).check()


def flood(store: RegistryStore, subject: Descriptor, *, has_api: bool) -> None:
    """Attach 300 bundles of junk, as somebody with push rights can, in as few requests."""
    layer = push_bytes(store, b'{"junk": true}', BUNDLE)
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    about = Descriptor(MANIFEST, subject.digest, subject.size)
    entries = []
    for number in range(300):
        junk = Manifest.build(
            artifact_type=BUNDLE,
            layers=[layer],
            subject=about if has_api else None,
            annotations={"number": str(number)},
        )
        store.push(junk.descriptor, BytesContent(junk.raw))
        entries.append(junk.descriptor)
    if not has_api:
        index = Index.build(entries)
        store.push(index.descriptor, BytesContent(index.raw))
        store.tag(index.descriptor, fallback_tag(subject.digest))


def test_15_a_referrers_list_with_missing_annotations(release: Release, modelseal: Command) -> None:
    """What a registry or an old client lists about a referrer is a hint and never decides."""
    stripped: list[str] = []

    def alter(asked: Asked, answered: Answered) -> Answered:
        listing = asked.is_(f"/(referrers/|manifests/){release.digest.replace(':', '.')}", "GET")
        if listing and INDEX in answered.headers.get("Content-Type", ""):
            value = json.loads(answered.body)
            for entry in value["manifests"]:
                entry.pop("annotations", None)
                entry["artifactType"] = "application/vnd.oci.empty.v1+json"
            answered.body = json.dumps(value).encode()
            answered.headers.pop("Docker-Content-Digest", None)
            stripped.append(asked.path)
        return answered

    proxy, repository = through(release, alter)
    with proxy:
        verify(modelseal, f"{repository}:1.4.0", *by_key(release)).check()
        verify(modelseal, f"{repository}:1.4.0", *release.keyless).check()
        other = verify(modelseal, f"{repository}:1.4.0", "--key", f"{release.other_key}.pub")
    assert stripped
    refused(other, UNVERIFIED, "other-key")


def test_16_the_registry_is_down(release: Release, modelseal: Command) -> None:
    proxy, repository = through(release, lambda _, answered: answered)
    with proxy:
        pass
    result = verify(modelseal, f"{repository}:1.4.0", *by_key(release))
    refused(result, UNAVAILABLE, "unavailable", proxy.host)


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "forbidden")])
def test_17_and_18_access_denied(
    release: Release, modelseal: Command, status: int, code: str
) -> None:
    def alter(_: Asked, __: Answered) -> Answered:
        headers = {"WWW-Authenticate": 'Basic realm="registry"'} if status == 401 else {}
        return Answered(status, headers, b'{"errors":[{"code":"DENIED","message":"go away"}]}')

    proxy, repository = through(release, alter)
    with proxy:
        result = verify(modelseal, f"{repository}:1.4.0", *by_key(release))
    refused(result, UNAVAILABLE, code, str(status), proxy.host)
    assert "docker login" in result.stderr


def test_19_too_many_requests_and_then_fine(release: Release, modelseal: Command) -> None:
    told: list[Asked] = []

    def alter(asked: Asked, answered: Answered) -> Answered:
        if asked not in told:
            told.append(asked)
            return Answered(429, {"Retry-After": "0"}, b"{}")
        return answered

    proxy, repository = through(release, alter)
    with proxy:
        verify(modelseal, f"{repository}:1.4.0", *by_key(release)).check()
    assert len(proxy.asked) > len(told) >= 3


def test_20_a_truncated_answer(release: Release, modelseal: Command, tmp_path: Path) -> None:
    def alter(asked: Asked, answered: Answered) -> Answered:
        if asked.is_("/blobs/", "GET"):
            answered.length = len(answered.body)
            answered.body = answered.body[: len(answered.body) // 2]
        return answered

    proxy, repository = through(release, alter)
    with proxy:
        result = modelseal("pull", f"{repository}:1.4.0", "--output", tmp_path / "out", "--json")
    refused(result, UNAVAILABLE, "unavailable", "broke off after")
    assert not (tmp_path / "out").exists()
