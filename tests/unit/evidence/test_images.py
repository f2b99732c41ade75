# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Images that a file beside the model names by a tag."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelseal.evidence.images import NamedImage, floating, images_in

DIGEST = "@sha256:" + "1" * 64


def images(tmp_path: Path, name: str, text: str) -> list[tuple[int, str]]:
    (tmp_path / name).write_text(text)
    found, unread = images_in(tmp_path, [name])
    assert not unread
    return [(image.line, image.text) for image in found]


DOCKERFILE = f"""\
# syntax=docker/dockerfile:1
ARG VERSION=3.11
ARG REGISTRY
FROM --platform=$BUILDPLATFORM python:${{VERSION}}-slim AS build
ARG VERSION=9
RUN echo "FROM nothing:1"
FROM \\
    ghcr.io/acme/base{DIGEST}
from build
FROM $REGISTRY/acme/base:1
FROM ${{BASE:-alpine}}
COPY --from=build /a /a
COPY --chown=1 --from=busybox:1.36 /b /b
COPY --from=0 /c /c
FROM scratch
"""


def test_a_dockerfile_is_read(tmp_path: Path) -> None:
    assert images(tmp_path, "Dockerfile", DOCKERFILE) == [
        (4, "python:3.11-slim"),
        (7, f"ghcr.io/acme/base{DIGEST}"),
        (10, "$REGISTRY/acme/base:1"),
        (11, "alpine"),
        (13, "busybox:1.36"),
    ]


@pytest.mark.parametrize("name", ["Containerfile", "Dockerfile.gpu", "serve.dockerfile"])
def test_a_dockerfile_has_several_names(tmp_path: Path, name: str) -> None:
    assert images(tmp_path, name, "FROM a:1\n") == [(1, "a:1")]


def test_a_compose_file_is_read(tmp_path: Path) -> None:
    text = f"""\
services:
  serve:
    image: "ghcr.io/acme/serve:1.4"  # a tag
  built: {{build: ., image: acme/built}}
  pinned:
    image: redis:7{DIGEST}
"""
    assert images(tmp_path, "compose.yaml", text) == [
        (3, "ghcr.io/acme/serve:1.4"),
        (6, f"redis:7{DIGEST}"),
    ]


def test_a_compose_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("a: &x 1\nb: *x\n")
    found, (unread,) = images_in(tmp_path, ["docker-compose.yml"])
    assert (found, unread.id) == ([], "images-not-checked")


def test_the_line_to_write_is_told() -> None:
    found = floating(NamedImage("Dockerfile", 4, "FROM ", "python"))
    assert found is not None
    assert (found.id, found.where) == ("floating-image-tag", "Dockerfile:4")
    assert "`FROM python:latest@sha256:DIGEST`" in found.hint
    assert floating(NamedImage("Dockerfile", 4, "FROM ", f"python{DIGEST}")) is None
    unknown = floating(NamedImage("Dockerfile", 4, "FROM ", "$BASE"))
    assert unknown is not None
    assert unknown.id == "image-not-known"


@settings(max_examples=30)
@given(st.text(alphabet="FROMCPYA -=$\\\n{}:@#", max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "Dockerfile").write_text(text)
        found, unread = images_in(Path(place), ["Dockerfile"])
        assert not unread
        assert all(image.line for image in found)
