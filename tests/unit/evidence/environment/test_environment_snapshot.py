# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The environment of a build: equal ones give equal bytes, others are named, nothing is leaked."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support import machines

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.environment import distributions, snapshot, words
from modelseal.evidence.environment.accelerators import accelerators
from modelseal.evidence.environment.compare import differences
from modelseal.evidence.environment.container import container
from modelseal.evidence.environment.distributions import installed_distributions, record_digest
from modelseal.evidence.environment.machine import libc, musl, operating_system, processor
from modelseal.evidence.environment.snapshot import Snapshot, read_snapshot, take_snapshot
from modelseal.evidence.environment.variables import ALLOWED, NOT_SHOWN, variables
from modelseal.evidence.facts import Basis
from modelseal.evidence.programs import ProgramError, ask_program, find_program

_TAKE = """\
import os, sys
from modelseal.evidence.environment.snapshot import take_snapshot
sys.stdout.buffer.write(take_snapshot(os.environ).raw)
"""
NOBODY = 65534
IMAGE = f"registry.example/build/torch@sha256:{'a' * 64}"


def taken(root: Path, environment: dict[str, str] | None = None, *sites: Path) -> Snapshot:
    return take_snapshot(environment or {}, root=root, path=[str(site) for site in sites])


def run(cwd: Path, **environment: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", _TAKE],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
        capture_output=True,
    )
    return done.stdout


def test_the_same_environment_gives_the_same_bytes_whoever_asks_and_wherever(
    tmp_path: Path,
) -> None:
    # A distribution that lies in the working directory is not installed.
    machines.distribution(tmp_path, "planted", "6.6.6")
    first = run(Path("/"), PYTHONHASHSEED="1", LANG="C", HOME="/nonexistent", USER="ada")
    second = run(
        tmp_path,
        PYTHONHASHSEED="4711",
        LC_ALL="C.UTF-8",
        HOME=str(tmp_path),
        USER="grace",
        LOGNAME="grace",
        TZ="Asia/Tokyo",
    )
    assert first == second
    assert b"planted" not in first
    told = json.loads(first)
    assert told["python"]["version"] == sys.version.split()[0]
    assert {"pytest", "cryptography"} <= {item["name"] for item in told["packages"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_the_same_environment_gives_the_same_bytes_to_another_user() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are not for others to read
        root = Path(name)
        root.chmod(0o755)
        machines.with_amd(machines.debian(root / "machine"))
        machines.distribution(root / "site", "thing", "1.0")
        ours = taken(root / "machine", {}, root / "site").raw
        here, there = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setuid(NOBODY)
                os.chdir("/")
                os.write(there, taken(root / "machine", {}, root / "site").raw)
            finally:
                os._exit(0)
        os.close(there)
        with os.fdopen(here, "rb") as answer:
            theirs = answer.read()
        os.waitpid(child, 0)
    assert theirs == ours
    assert b"thing" in ours


def test_nothing_tells_who_where_or_when(tmp_path: Path) -> None:
    raw = run(tmp_path, HOME=str(tmp_path), USER="ada-lovelace").decode()
    assert os.uname().nodename not in raw or len(os.uname().nodename) < 4
    for private in ("ada-lovelace", str(tmp_path), sys.prefix, str(Path.home())):
        assert private not in raw


def test_no_secret_of_the_environment_is_published(tmp_path: Path) -> None:
    secret = secrets.token_hex(16)
    names = ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HF_TOKEN", "MODELSEAL_KEY_PASSPHRASE")
    # Also where a value of another form is expected, and in the names of the CI system.
    planted = dict.fromkeys((*names, *ALLOWED, "CI_JOB_TOKEN", "KUBERNETES_PORT"), secret)
    found = taken(machines.debian(tmp_path), planted)
    assert secret.encode() not in found.raw
    assert set(found.value["variables"].values()) == {NOT_SHOWN}
    assert not any(secret in fact.text for fact in words.facts(found))


def test_variables_that_change_results_are_told_in_their_own_form_only() -> None:
    said = {
        "OMP_NUM_THREADS": "8",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "MKL_NUM_THREADS": "8; rm",
        "PATH": "/usr/bin",
    }
    assert variables(said) == {
        "OMP_NUM_THREADS": "8",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "MKL_NUM_THREADS": NOT_SHOWN,
    }


def test_the_system_and_the_processor_are_read(tmp_path: Path) -> None:
    root = machines.debian(tmp_path)
    assert operating_system(root)["version"] == "12"
    told = processor(root)
    assert told["threads"] == "2"
    assert told["features"] == ["avx", "avx2", "sse2"]  # what both have
    assert libc(root)["name"] in {"glibc", "musl"}


def test_what_is_not_there_is_left_out_and_not_guessed(tmp_path: Path) -> None:
    found = taken(tmp_path)
    assert "models" not in found.value["cpu"]
    assert found.value["packages"] == []
    assert any("unknown" in fact.text for fact in words.facts(found))


def test_the_loader_of_musl_tells_its_version(tmp_path: Path) -> None:
    said = 'echo "musl libc (x86_64)" >&2; echo "Version 1.2.5" >&2; exit 1'
    machines.program(tmp_path / "lib", "ld-musl-x86_64.so.1", said)
    assert musl(tmp_path) == {"name": "musl", "version": "1.2.5"}
    assert musl(tmp_path / "elsewhere") == {}


def test_no_accelerator_is_said_as_none(tmp_path: Path) -> None:
    root = machines.debian(tmp_path)
    machines.pci(root, "0000:00:02.0", kind="0x030000", vendor="0x1234", device="0x1111")
    assert accelerators(root, {"PATH": ""}) == {"devices": []}
    assert "accelerators: none" in [fact.text for fact in words.facts(taken(root))]


def test_the_kernel_tells_cards_of_nvidia_and_their_driver_without_serial_numbers(
    tmp_path: Path,
) -> None:
    told = accelerators(machines.with_nvidia(tmp_path), {"PATH": ""})
    assert told == {
        "devices": [{"vendor": "nvidia", "name": "NVIDIA A100-SXM4-80GB", "count": "2"}],
        "drivers": {"nvidia": "535.129.03"},
    }


def test_nvidia_smi_tells_more_and_sees_no_secret(tmp_path: Path) -> None:
    answer = (
        'test -z "$AWS_SECRET_ACCESS_KEY" || exit 9\n'
        'echo "NVIDIA H100 80GB HBM3, 550.54.15, 81559, 9.0"'
    )
    machines.program(tmp_path / "bin", "nvidia-smi", answer)
    asked = {"PATH": str(tmp_path / "bin"), "AWS_SECRET_ACCESS_KEY": "x"}
    told = accelerators(machines.with_nvidia(tmp_path), asked)
    assert told["devices"] == [
        {
            "vendor": "nvidia",
            "name": "NVIDIA H100 80GB HBM3",
            "memoryMiB": "81559",
            "computeCapability": "9.0",
            "count": "1",
        }
    ]
    assert told["drivers"] == {"nvidia": "535.129.03"}


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", "kill -9 $$"])
def test_an_nvidia_smi_that_fails_leaves_what_the_kernel_tells(tmp_path: Path, script: str) -> None:
    machines.program(tmp_path / "bin", "nvidia-smi", script)
    told = accelerators(machines.with_nvidia(tmp_path), {"PATH": str(tmp_path / "bin")})
    assert told["devices"][0]["count"] == "2"


def test_cards_of_amd_and_others_are_read_from_the_kernel(tmp_path: Path) -> None:
    root = machines.with_amd(tmp_path)
    machines.pci(root, "0000:19:00.0", kind="0x120000", vendor="0x1da3", device="0x1020")
    assert accelerators(root, {"PATH": ""}) == {
        "devices": [
            {"vendor": "habana", "device": "0x1020", "count": "1"},
            {
                "vendor": "amd",
                "target": "gfx90a",
                "device": "0x740f",
                "name": "aldebaran",
                "count": "1",
            },
        ],
        "drivers": {"amdgpu": "6.7.0"},
    }


def test_a_program_that_hangs_or_floods_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    sleeps = machines.program(tmp_path, "sleeps", "sleep 60 & sleep 60")
    floods = machines.program(tmp_path, "floods", "while :; do echo xxxxxxxxxxxxxxxx; done")
    began = time.monotonic()
    with pytest.raises(ProgramError, match="longer than"):
        ask_program([sleeps], {"PATH": "/usr/bin:/bin"}, timeout=0.2)
    with pytest.raises(ProgramError, match="more than"):
        ask_program([floods], {"PATH": "/usr/bin:/bin"}, limit=1000)
    assert time.monotonic() - began < 20
    with pytest.raises(ProgramError, match="cannot be started"):
        ask_program([tmp_path / "nothing"], {})


def test_no_program_of_the_working_directory_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.program(tmp_path, "nvidia-smi", "exit 0")
    monkeypatch.chdir(tmp_path)
    assert find_program("nvidia-smi", {"PATH": ":.:bin"}) is None


def test_the_digest_of_a_distribution_is_that_of_its_files(tmp_path: Path) -> None:
    home = machines.distribution(tmp_path, "thing", "1.0", {"thing/b.py": b"b", "thing/a.py": b"a"})
    (one,) = installed_distributions([str(tmp_path)])
    files = sorted(["thing/a.py", "thing/b.py", "thing-1.0.dist-info/METADATA"])
    lines = "".join(
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in files
    )
    assert one.record_digest == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    assert home.is_dir()


def test_the_digest_does_not_depend_on_place_order_installer_or_compiled_files(
    tmp_path: Path,
) -> None:
    machines.distribution(tmp_path / "a", "thing", "1.0")
    machines.distribution(
        tmp_path / "b" / "deeper",
        "thing",
        "1.0",
        more=(
            "../../../bin/thing,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,99",
            "/usr/share/thing,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,99",
            "__pycache__/thing.cpython-311.pyc,,",
            "thing.pyc,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,9",
            "thing-1.0.dist-info/INSTALLER,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,4",
            "thing-1.0.dist-info/direct_url.json,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,4",
            "thing-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0",
        ),
        backwards=True,
    )
    (first,) = installed_distributions([str(tmp_path / "a")])
    (second,) = installed_distributions([str(tmp_path / "b" / "deeper")])
    assert first == second


def test_another_content_of_the_same_version_has_another_digest(tmp_path: Path) -> None:
    machines.distribution(tmp_path / "a", "thing", "1.0")
    machines.distribution(tmp_path / "b", "thing", "1.0", {"thing.py": b"x = 2\n"})
    (first,) = installed_distributions([str(tmp_path / "a")])
    (second,) = installed_distributions([str(tmp_path / "b")])
    assert first.record_digest != second.record_digest


@pytest.mark.parametrize("record", ["", "\n", "a,md5=x,1\n", 'a"b,,\n"', "a,sha256=@@,1\n"])
def test_a_record_without_any_hash_gives_no_digest(record: str) -> None:
    assert record_digest(record) == ""


def test_an_editable_distribution_has_no_digest_and_is_told(tmp_path: Path) -> None:
    home = machines.distribution(tmp_path, "thing", "1.0")
    url = {"url": "file:///home/ada/secret", "dir_info": {"editable": True}}
    (home / "direct_url.json").write_text(json.dumps(url))
    found = taken(machines.debian(tmp_path), {}, tmp_path)
    assert found.value["packages"] == [{"name": "thing", "version": "1.0", "editable": True}]
    assert b"ada" not in found.raw
    (finding,) = words.findings(found, {})
    assert finding.id == "package-without-digest"


def test_old_and_broken_metadata_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    said = "Metadata-Version: 1.0\nName: Old_One\nVersion: 0.1\n\nName: not this\n"
    machines.write(
        tmp_path,
        {
            "Old_One-0.1.egg-info": said,
            "eggs-2.egg-info/PKG-INFO": said.replace("Old_One", "eggs").replace("0.1", "2"),
            "killed-1.dist-info/RECORD": "",
            "odd-1.dist-info/METADATA": "\nName: odd\n",
        },
    )
    found = installed_distributions([str(tmp_path)])
    assert [(one.name, one.version) for one in found] == [("eggs", "2"), ("old-one", "0.1")]


def test_packages_of_conda_are_told_with_their_build_and_archive(tmp_path: Path) -> None:
    digest = "d" * 64
    machines.write(
        tmp_path / "conda-meta",
        {
            "cuda-cudart-12.4.127-0.json": json.dumps({"sha256": digest, "url": "https://a:b@c"}),
            "libgcc-14.2.0-h77fa898_1.json": "no JSON",
            "history": "",
        },
    )
    found = take_snapshot({}, root=machines.debian(tmp_path), path=[], prefix=tmp_path)
    cudart = {"name": "cuda-cudart", "version": "12.4.127", "build": "0"}
    assert found.value["condaPackages"] == [
        {**cudart, "archiveDigest": f"sha256:{digest}"},
        {"name": "libgcc", "version": "14.2.0", "build": "h77fa898_1"},
    ]
    assert "conda packages: 2" in [fact.text for fact in words.facts(found)]
    (change,) = differences({"condaPackages": [cudart]}, {"condaPackages": []})
    assert str(change) == "conda package cuda-cudart: 12.4.127 0 → none"


def test_of_two_distributions_of_one_name_the_one_that_is_imported_counts(tmp_path: Path) -> None:
    machines.distribution(tmp_path / "a", "My_Thing", "2.0")
    machines.distribution(tmp_path / "b", "my.thing", "1.0")
    found = installed_distributions([str(tmp_path / "a"), str(tmp_path / "b")])
    assert [(one.name, one.version) for one in found] == [("my-thing", "2.0")]


def test_too_many_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        machines.distribution(tmp_path, f"thing{number}", "1.0")
    monkeypatch.setattr(snapshot, "MAX_SNAPSHOT_BYTES", 100)
    with pytest.raises(LimitExceededError, match="environment"):
        taken(tmp_path, {}, tmp_path)
    monkeypatch.setattr(distributions, "MAX_RECORD_BYTES", 10)
    with pytest.raises(LimitExceededError, match="RECORD"):
        installed_distributions([str(tmp_path)])
    monkeypatch.undo()
    monkeypatch.setattr(distributions, "MAX_DISTRIBUTIONS", 2)
    with pytest.raises(LimitExceededError, match="packages"):
        installed_distributions([str(tmp_path)])


def test_the_image_is_known_when_it_is_declared_with_its_digest(tmp_path: Path) -> None:
    root = machines.write(tmp_path, {".dockerenv": ""})
    found = taken(root, {"MODELSEAL_BUILD_IMAGE": IMAGE})
    assert found.value["container"] == {"engine": "docker", "image": IMAGE}
    assert not list(words.findings(found, {}))
    assert Basis.DECLARED in {fact.basis for fact in words.facts(found)}


@pytest.mark.parametrize(
    ("environment", "finding"),
    [
        ({"MODELSEAL_BUILD_IMAGE": "registry.example/torch:2.6"}, "build-image-without-digest"),
        ({"CI_JOB_IMAGE": "python:3.12"}, "build-image-without-digest"),
        ({}, "build-image-unknown"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "build-image-unknown"),
    ],
)
def test_an_image_that_is_not_known_by_digest_is_a_finding_and_none_is_invented(
    tmp_path: Path, environment: dict[str, str], finding: str
) -> None:
    root = machines.write(
        tmp_path, {".dockerenv": "", "proc/self/cgroup": f"0::/docker/{'c' * 64}\n"}
    )
    found = taken(root, environment)
    assert "image" not in found.value["container"]
    assert b"c" * 64 not in found.raw
    assert [item.id for item in words.findings(found, environment)] == [finding]


def test_outside_of_a_container_nothing_is_missing(tmp_path: Path) -> None:
    assert container(tmp_path, {}).to_json() == {}
    assert not list(words.findings(taken(tmp_path), {}))


def test_another_active_environment_is_a_finding(tmp_path: Path) -> None:
    environment = {"VIRTUAL_ENV": str(tmp_path)}
    (finding,) = words.findings(taken(tmp_path, environment), environment)
    assert finding.id == "another-environment-is-active"
    assert not list(words.findings(taken(tmp_path), {"VIRTUAL_ENV": sys.prefix}))


def test_the_difference_of_two_environments_is_named(tmp_path: Path) -> None:
    machines.distribution(tmp_path / "a", "numpy", "2.1.0")
    machines.distribution(tmp_path / "a", "gone", "1.0")
    machines.distribution(tmp_path / "b", "numpy", "2.2.0")
    one = machines.debian(tmp_path / "one")
    other = machines.with_nvidia(machines.debian(tmp_path / "other"))
    more = machines.cpuinfo("AMD EPYC", "sse2 avx avx2 avx512f", "avx2 sse2 avx avx512f")
    machines.write(other, {"proc/cpuinfo": more})
    left = taken(one, {}, tmp_path / "a").value
    right: dict[str, Any] = dict(taken(other, {"OMP_NUM_THREADS": "4"}, tmp_path / "b").value)
    right["python"] = {**right["python"], "version": "3.99.0"}
    told = {item.name: item for item in differences(left, right)}
    assert told.keys() == {
        "accelerators.devices",
        "accelerators.drivers.nvidia",
        "cpu.features",
        "package gone",
        "package numpy",
        "python.version",
        "variables.OMP_NUM_THREADS",
    }
    assert told["cpu.features"].right == "avx512f"
    assert told["package numpy"].left.startswith("2.1.0 sha256:")
    assert str(told["python.version"]).endswith("→ 3.99.0")
    assert not differences(left, left)


def test_a_snapshot_in_a_provenance_is_compared_with_its_digest(tmp_path: Path) -> None:
    found = taken(machines.debian(tmp_path))

    def predicate(value: object) -> dict[str, object]:
        return {"buildDefinition": {"internalParameters": {"environment": value}}}

    parameter = found.parameter()
    assert read_snapshot(predicate(parameter)) == found.value
    assert read_snapshot({}) is None
    changed = {**parameter, "snapshot": {**parameter["snapshot"], "os": {"id": "other"}}}
    wrong: object
    for wrong in (changed, {}, [], {**parameter, "digest": {}}, {**parameter, "snapshot": 1}):
        with pytest.raises(InvalidDocumentError):
            read_snapshot(predicate(wrong))
