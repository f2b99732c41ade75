# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.bom.facts import Metric
from modelseal.evidence.bom.metrics import MAX_METRICS, decimal_text, read_evaluation

PLAIN = (Metric(name="accuracy", value="0.9720"),)


@pytest.mark.parametrize(
    ("raw", "metrics"),
    [
        (b'{"accuracy": "0.9720", "samples": 450, "dataset": {"name": "d", "seed": 1}}', PLAIN),
        (b'{"accuracy": 0.9720, "seed": 42, "ok": true, "note": "fine", "n": null}', PLAIN),
        (b'{"metrics": {"accuracy": 0.9720}, "loss": 1}', PLAIN),
        (b'{"metrics": [{"name": "accuracy", "value": 0.9720}, {"name": "x"}, 3]}', PLAIN),
        (
            (
                b'{"metrics": [{"type": "f1", "value": "0.5", "slice": "women", '
                b'"confidenceInterval": {"lowerBound": "0.4", "upperBound": 0.60}}]}'
            ),
            (Metric(name="f1", value="0.5", slice="women", lower="0.4", upper="0.60"),),
        ),
        (
            b'{"claims": [{"metric": "p99", "value": "12.50", "ciLow": "12", "ciHigh": "13"}]}',
            (Metric(name="p99", value="12.50", lower="12", upper="13"),),
        ),
        (
            b'{"results": {"hellaswag": {"alias": "h", "acc,none": 0.3300}}, "n-shot": {"a": 1}}',
            (Metric(name="acc,none", value="0.3300", slice="hellaswag"),),
        ),
        (
            b'{"accuracy": 0.9720, "perClass": {"1": {"f1": 0.9, "samples": 3}}}',
            (*PLAIN, Metric(name="f1", value="0.9", slice="perClass/1")),
        ),
        (b'{"perClass": {"0": "0.99"}}', ()),
        (b"{}", ()),
    ],
)
def test_each_shape_is_read_with_its_digits(raw: bytes, metrics: tuple[Metric, ...]) -> None:
    assert read_evaluation(raw, "e.json").metrics == metrics


def test_the_dataset_is_named() -> None:
    assert read_evaluation(b'{"dataset": "d"}', "e").dataset == "d"
    assert read_evaluation(b'{"dataset": {"name": "d"}}', "e").dataset == "d"
    assert read_evaluation(b'{"dataset": {"name": "\\u001b[2J"}}', "e").dataset == ""


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"NaN", b'{"a": Infinity}', b'{"a": 1, "a": 2}', b"\xff", b"[1e99999999999999999999]"],
)
def test_what_is_no_strict_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        read_evaluation(raw, "e.json")


def test_too_many_metrics_are_refused() -> None:
    raw = "{" + ",".join(f'"m{n}": 1' for n in range(MAX_METRICS + 1)) + "}"
    with pytest.raises(LimitExceededError, match="more than 1000 metrics"):
        read_evaluation(raw.encode(), "e.json")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-3, "-3"),
        (True, ""),
        (None, ""),
        (Decimal("1E+3"), "1000"),
        (Decimal("1e-7"), "0.0000001"),
        (Decimal("1e999999"), ""),
        (Decimal("0e-999999"), ""),
        (10**50, ""),
        ("0.10", "0.10"),
        ("1e3", ""),
        ("NaN", ""),
        ("٣", ""),
        ("1.", ""),
        ("0.5\n", ""),
    ],
)
def test_only_decimals_are_numbers(value: object, text: str) -> None:
    assert decimal_text(value) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=0, max_value=10**9))
def test_digits_never_change(number: Decimal) -> None:
    raw = f'{{"m": {number:f}}}'.encode()
    assert read_evaluation(raw, "e").metrics == (Metric(name="m", value=f"{number:f}"),)
