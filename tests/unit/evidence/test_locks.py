# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Lock files: of five tools, what is wrong in them, and that no bytes break the readers."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import ContentError, InvalidDocumentError, InvalidProjectError
from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.locks.entries import Edge, Lock, LockFormat, Manager, Source
from modelseal.evidence.locks.read import MAX_LOCK_BYTES, parse_lock, read_lock

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "tests" / "vectors" / "locks"
HASH = "--hash=sha256:" + "1" * 64
PINNED = {
    "blinker",
    "click",
    "colorama",
    "flask",
    "itsdangerous",
    "jinja2",
    "markupsafe",
    "werkzeug",
}


def vector(name: str) -> Lock:
    return read_lock(VECTORS, name)


def requirements(*lines: str) -> Lock:
    return parse_lock("\n".join(lines).encode(), "requirements.lock")


def finding(lock: Lock, id_: str) -> Finding:
    (found,) = [item for item in lock.findings if item.id == id_]
    return found


def ids(lock: Lock) -> set[str]:
    return {item.id for item in lock.findings}


@pytest.mark.parametrize(
    ("name", "form", "more"),
    [
        ("uv.lock", LockFormat.UV, {"iniconfig", "prometheus-client"}),
        ("pylock.toml", LockFormat.PYLOCK, {"iniconfig"}),
        ("requirements.txt", LockFormat.REQUIREMENTS, {"iniconfig"}),
    ],
)
def test_what_uv_locks_is_read_alike_in_its_three_formats(
    name: str, form: LockFormat, more: set[str]
) -> None:
    lock = vector(name)
    assert (lock.format, lock.tool, lock.findings) == (form, "uv", ())
    assert {package.name for package in lock.packages} == PINNED | more
    assert all(package.pinned and package.hashed and package.line for package in lock.packages)
    assert lock.requires_python == ("" if form is LockFormat.REQUIREMENTS else ">=3.11")
    (windows,) = [package for package in lock.packages if package.name == "colorama"]
    # uv.lock has the marker on the edge.
    assert windows.marker == ("" if form is LockFormat.UV else windows.marker)
    assert form is LockFormat.UV or "win32" in windows.marker


def test_the_three_formats_give_the_same_hashes_and_urls_of_packages() -> None:
    locks = [vector(name) for name in ("uv.lock", "pylock.toml", "requirements.txt")]
    for name in sorted(PINNED):
        same = {
            (package.purl, package.digests)
            for lock in locks
            for package in lock.packages
            if package.name == name
        }
        assert len(same) == 1, name


def test_uv_tells_the_edges_with_markers_and_the_project() -> None:
    lock = vector("uv.lock")
    by_name = {package.name: package for package in lock.packages}
    assert Edge(name="markupsafe") in by_name["jinja2"].requires
    assert [root.name for root in lock.roots] == ["fraud"]
    edges = {edge.name: edge for edge in lock.roots[0].requires}
    assert edges["colorama"].marker == "sys_platform == 'win32'"
    assert (edges["prometheus-client"].extra, edges["iniconfig"].extra) == ("metrics", "dev")


def test_the_comments_of_a_requirements_file_tell_the_edges() -> None:
    by_name = {package.name: package for package in vector("requirements.txt").packages}
    assert {edge.name for edge in by_name["flask"].requires} == {
        *("blinker", "click", "itsdangerous", "jinja2", "markupsafe", "werkzeug")
    }


def test_the_projects_own_lock_is_pinned_and_hashed() -> None:
    lock = read_lock(ROOT, "requirements-dev.lock")
    assert (lock.findings, lock.format) == ((), LockFormat.REQUIREMENTS)
    names = re.findall(r"^([a-z0-9][^ =\[]*)", (ROOT / lock.path).read_text(), re.MULTILINE)
    assert len(lock.packages) == len(names) > 50
    assert lock.digest.encoded


def test_poetry_is_read() -> None:
    lock = vector("poetry.lock")
    by_name = {package.name: package for package in lock.packages}
    assert (lock.format, lock.requires_python) == (LockFormat.POETRY, ">=3.11")
    assert by_name["colorama"].marker == 'platform_system == "Windows"'
    assert by_name["inner"].purl == (
        "pkg:pypi/inner@2.0.0?vcs_url=git%2Bhttps://github.com/acme/inner.git%40" + "5" * 40
    )
    assert by_name["inner"].hashed  # the commit is one
    assert [edge.name for edge in by_name["flask"].requires].count("inner") == 2
    assert by_name["pytest"].optional
    assert finding(lock, "lock-entry-without-hash").message == (
        "poetry.lock: 1 of 5 packages lack a SHA-256 of some file: pytest 9.0.0 (line 62)"
    )
    assert finding(lock, "lock-entry-without-hash").hint == "`poetry lock`"


def test_poetry_before_1_5_has_its_files_together() -> None:
    raw = b"""\
[[package]]
name = "six"
version = "1.17.0"
[metadata]
lock-version = "1.1"
python-versions = "*"
content-hash = "00"
[metadata.files]
six = [{file = "six-1.17.0-py2.py3-none-any.whl", hash = "sha256:%b"}]
""" % (b"7" * 64)
    (package,) = parse_lock(raw, "poetry.lock").packages
    assert package.digests == ("sha256:" + "7" * 64,)


def test_conda_lock_is_read_by_platform_and_md5_is_no_hash() -> None:
    lock = vector("conda-lock.yml")
    python = [package for package in lock.packages if package.name == "python"]
    assert [(package.platform, package.hashed) for package in python] == [
        ("linux-64", True),
        ("osx-arm64", False),
    ]
    assert python[0].requires == (Edge(name="_libgcc_mutex"),)
    assert python[0].purl == "pkg:conda/python@3.11.9?subdir=linux-64"
    (of_pip,) = [package for package in lock.packages if package.manager is Manager.PYPI]
    assert (of_pip.name, of_pip.optional) == ("typing-extensions", True)
    assert "python 3.11.9 (line 39)" in finding(lock, "lock-entry-without-hash").message


def test_the_format_is_seen_by_what_stands_in_a_file(tmp_path: Path) -> None:
    for name in ("uv.lock", "poetry.lock", "requirements.txt"):
        (tmp_path / "some.lock").write_bytes((VECTORS / name).read_bytes())
        assert read_lock(tmp_path, "some.lock").format == vector(name).format


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.lock", "# Not a lock\n\nSome words, as they come: {}\n"),
        ("pyproject.toml", '[project]\nname = "fraud"\n'),
        ("a.lock", '[[package]]\nname = "x"\n'),
        ("a.yml", "version: 1\npackage: []\n"),
        ("uv.lock", 'version = 2\n[[package]]\nname = "x"\nsource = { virtual = "." }\n'),
        ("pylock.toml", 'lock-version = "2.0"\ncreated-by = "x"\n'),
        ("uv.lock", 'version = 1\n[[package]]\nname = "x"\nsource = {}\n'),
        ("uv.lock", 'version = 1\n[[package]]\nname = 1\nsource = { virtual = "." }\n'),
        ("uv.lock", "version = 1\npackage = [1]\n"),
        ("requirements.lock", "\udcff==1"),
    ],
)
def test_what_is_no_lock_is_refused_with_what_would_be_one(name: str, text: str) -> None:
    with pytest.raises(InvalidDocumentError, match=re.escape(name)) as caught:
        parse_lock(text.encode("utf-8", "surrogateescape"), name)
    assert caught.value.hint


def test_a_lock_that_is_too_large_or_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_bytes(b"#" * (MAX_LOCK_BYTES + 1))
    (tmp_path / "b.lock").symlink_to(VECTORS / "uv.lock")
    for name in ("a.lock", "b.lock", "gone.lock"):
        with pytest.raises(InvalidProjectError):
            read_lock(tmp_path, name)


@pytest.mark.parametrize(
    ("line", "id_", "said"),
    [
        ("numpy>=1.26", "lock-entry-not-pinned", "numpy (line 2)"),
        ("numpy==1.*", "lock-entry-not-pinned", "numpy (line 2)"),
        ("numpy", "lock-entry-not-pinned", "numpy (line 2)"),
        ("numpy==1.26.4", "lock-entry-without-hash", "1 of 2 packages"),
        (
            "numpy==1.26.4 --hash=md5:" + "1" * 32,
            "lock-entry-without-hash",
            "numpy 1.26.4 (line 2)",
        ),
        ("numpy==1.26.4 --hash=sha256:12", "lock-entry-unread", "numpy==1.26.4 (line 2)"),
        ("-r other.txt", "lock-includes-other-files", "-r other.txt (line 2)"),
        ("-rother.txt", "lock-includes-other-files", "-rother.txt (line 2)"),
        ("-c constraints.txt", "lock-includes-other-files", "-c constraints.txt (line 2)"),
        ("--find-links ./wheels", "lock-links-to-archives", "--find-links ./wheels"),
        ("--trusted-host index.example", "lock-trusts-host", "TLS is turned off"),
        ("--extra-index-url https://b.example/", "lock-of-several-indexes", "https://b.example/"),
        ("-e .", "lock-entry-editable", ". (line 2)"),
        ("a==${VERSION}", "lock-reads-the-environment", "a==${VERSION}"),
        (
            "six==1.16.0 " + HASH,
            "lock-contradicts-itself",
            "six 1.16.0 (line 2), six 1.17.0 (line 1)",
        ),
        ("x @ git+https://git.example/x@main", "lock-entry-not-pinned", "x (line 2)"),
        ("not a requirement at all", "lock-entry-unread", "not a requirement at all (line 2)"),
        ("--no-such-option", "lock-entry-unread", "--no-such-option"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_the_line(line: str, id_: str, said: str) -> None:
    lock = requirements(f"six==1.17.0 {HASH}", line)
    assert said in finding(lock, id_).message
    assert finding(lock, id_).where in {"requirements.lock:2", "requirements.lock:1"}
    assert finding(lock, id_).hint


def test_what_is_as_it_should_be_is_no_finding() -> None:
    lock = requirements(
        "--index-url https://index.example/simple",
        "--require-hashes",
        'uvicorn[standard] == 0.30.1 ; python_version >= "3.11" \\',
        f"    {HASH} \\\n    {HASH[:-1]}2",
        "    # via -r requirements.in",
        "x @ git+https://git.example/x@" + "a" * 40,
        "y @ https://files.example/y-1.0-py3-none-any.whl#sha256=" + "b" * 64,
        "https://files.example/z_z-2.0.tar.gz#sha256=" + "c" * 64,
    )
    assert lock.findings == ()
    assert {package.name: (package.version, package.source) for package in lock.packages} == {
        "uvicorn": ("0.30.1", Source.INDEX),
        "x": ("", Source.VCS),
        "y": ("1.0", Source.URL),
        "z-z": ("2.0", Source.URL),
    }
    assert len(lock.packages[0].files) == 2


def test_credentials_are_told_and_never_shown() -> None:
    lock = requirements(
        "-i https://me:hunter2@index.example/simple",
        "--extra-index-url https://b.example/?token=hunter2",
        f"x @ https://tok:hunter2@files.example/x-1.0-py3-none-any.whl {HASH}",
        "git+https://hunter2@git.example/y@main#egg=y",
        "-f https://me:hunter2@c.example/",
    )
    assert finding(lock, "lock-holds-credentials").level is Level.ERROR
    assert "hunter2" not in repr(lock)
    assert lock.packages[0].location == "https://files.example/x-1.0-py3-none-any.whl"


def test_hundreds_of_entries_without_hashes_are_one_finding() -> None:
    lock = requirements(*(f"package-{place}==1.0" for place in range(300)))
    assert ids(lock) == {"lock-entry-without-hash"}
    assert "and 280 more" in finding(lock, "lock-entry-without-hash").message


def test_the_order_of_lines_changes_nothing() -> None:
    one, two = f"a==1 {HASH}", f"b==2 {HASH}"
    assert [p.purl for p in requirements(one, two).packages] == [
        p.purl for p in requirements(two, one).packages
    ]


def test_a_marker_that_nobody_understands_is_told() -> None:
    raw = (VECTORS / "pylock.toml").read_text().replace("sys_platform == 'win32'", "moon == 'full'")
    assert (
        "colorama (moon == 'full')"
        in finding(parse_lock(raw.encode(), "pylock.toml"), "lock-marker-unread").message
    )


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)


@given(st.dictionaries(NAMES, st.integers(0, 999), min_size=1, max_size=6))
def test_what_is_written_as_pip_has_it_is_read_back(versions: dict[str, int]) -> None:
    lines = [f"{name}==1.{version} \\\n    {HASH}" for name, version in versions.items()]
    lock = requirements(*lines)
    assert {(p.name, p.version, p.digests) for p in lock.packages} == {
        (re.sub(r"[-_.]+", "-", name).lower(), f"1.{version}", ("sha256:" + "1" * 64,))
        for name, version in versions.items()
    }


@given(st.text(max_size=120), st.sampled_from(["a.lock", "a.txt", "pylock.toml", "a.yml"]))
def test_no_text_breaks_a_reader(text: str, name: str) -> None:
    try:
        parse_lock(text.encode("utf-8", "surrogatepass"), name)
    except ContentError:
        return


@given(
    st.sampled_from(["uv.lock", "pylock.toml", "poetry.lock", "conda-lock.yml"]),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_a_changed_lock_is_read_or_refused(name: str, changes: list[tuple[int, int]]) -> None:
    raw = bytearray((VECTORS / name).read_bytes()[:4000])
    for place, value in changes:
        raw[place % len(raw)] = value
    try:
        parse_lock(bytes(raw), name)
    except ContentError:
        return
