# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What every error of ours says."""

from collections.abc import Iterator

import pytest

from modelseal import errors


def classes(kind: type[errors.Error] = errors.Error) -> Iterator[type[errors.Error]]:
    yield kind
    for child in kind.__subclasses__():
        yield from classes(child)


@pytest.mark.parametrize("kind", [*classes()], ids=lambda kind: kind.__name__)
def test_every_class_has_a_next_step(kind: type[errors.Error]) -> None:
    assert kind.next_step
    if kind.__module__ == errors.__name__ and kind is not errors.Error:
        assert "next_step" in vars(kind)


def test_the_hint_of_the_place_wins_over_that_of_the_class() -> None:
    assert errors.StorageError("full").hint == errors.StorageError.next_step
    assert errors.StorageError("full", hint="delete something").hint == "delete something"
