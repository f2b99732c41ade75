# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation results to metrics. Four shapes are read (docs/bom.md, "Evaluation results").

A number keeps its digits: it is never a float on its way.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from modelseal.documents import parse_json
from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.bom.facts import Evaluation, Metric
from modelseal.oci.descriptor import Digest

MAX_EVALUATION_BYTES: Final = 4 << 20
"""Largest evaluation file that is read for its metrics."""

MAX_METRICS: Final = 1000
"""Most metrics that are taken from one evaluation file."""

NO_METRICS: Final = frozenset({"samples", "sampleSize", "seed", "version"})
"""Numbers in an evaluation file that measure nothing."""

_MAX_NAME = 200
_MAX_DIGITS = 40
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{1,40})?")


def read_evaluation(raw: bytes, path: str) -> Evaluation:
    """Read one evaluation file; one in no known shape has no metrics.

    Raises:
        InvalidDocumentError: it is not a JSON object.
        LimitExceededError: it has more than `MAX_METRICS` metrics.
    """
    document = parse_json(raw, path, exact=True)
    if not isinstance(document, dict):
        raise InvalidDocumentError(f"{path} is not a JSON object")
    metrics = []
    for metric in _metrics(document):
        metrics.append(metric)
        if len(metrics) > MAX_METRICS:
            raise LimitExceededError(f"{path} has more than {MAX_METRICS} metrics")
    return Evaluation(
        path=path, digest=Digest.of(raw), dataset=_dataset(document), metrics=tuple(metrics)
    )


def decimal_text(value: object) -> str:
    """Return a JSON number, or decimal text, as decimal text; empty for anything else."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        text = str(value) if abs(value) < 10**_MAX_DIGITS else ""
    elif isinstance(value, Decimal):
        text = format(value, "f") if abs(value.adjusted()) < _MAX_DIGITS else ""
    else:
        text = value if isinstance(value, str) else ""
    return text if _DECIMAL.fullmatch(text) else ""


def _metrics(document: Mapping[str, Any]) -> Iterator[Metric]:
    for key, read in (("claims", _claim), ("metrics", _entry)):
        items = document.get(key)
        if isinstance(items, list):
            yield from filter(None, (read(item) for item in items if isinstance(item, dict)))
            return
    results = document.get("results")
    if isinstance(results, dict):
        yield from _parts(results)
        return
    metrics = document.get("metrics")
    yield from _flat(metrics if isinstance(metrics, dict) else document)


def _claim(item: Mapping[str, Any]) -> Metric | None:
    return _metric(item.get("metric"), item, item.get("ciLow"), item.get("ciHigh"))


def _entry(item: Mapping[str, Any]) -> Metric | None:
    interval = item.get("confidenceInterval")
    bounds = interval if isinstance(interval, dict) else {}
    name = item.get("name") or item.get("type")
    return _metric(name, item, bounds.get("lowerBound"), bounds.get("upperBound"))


def _metric(name: object, item: Mapping[str, Any], lower: object, upper: object) -> Metric | None:
    value = decimal_text(item.get("value"))
    if not _is_name(name) or not value:
        return None
    part = item.get("slice")
    return Metric(
        name=str(name),
        value=value,
        slice=str(part) if _is_name(part) else "",
        lower=decimal_text(lower),
        upper=decimal_text(upper),
    )


def _flat(items: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield what is a number, and of an object of objects what is measured on each of its parts."""
    yield from _numbers(items)
    for name, value in items.items():
        parts = value.values() if isinstance(value, dict) else ()
        if parts and all(isinstance(part, dict) for part in parts):
            yield from _parts(value, f"{name}/")


def _parts(parts: Mapping[str, Any], prefix: str = "") -> Iterator[Metric]:
    for part, numbers in parts.items():
        if isinstance(numbers, dict):
            yield from _numbers(numbers, f"{prefix}{part}")


def _numbers(value: Mapping[str, Any], slice_: str = "") -> Iterator[Metric]:
    if slice_ and not _is_name(slice_):
        return
    for name, number in value.items():
        text = decimal_text(number)
        if text and name not in NO_METRICS and _is_name(name):
            yield Metric(name=name, value=text, slice=slice_)


def _dataset(document: Mapping[str, Any]) -> str:
    found = document.get("dataset")
    if isinstance(found, dict):
        found = found.get("name")
    return str(found) if _is_name(found) else ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()
