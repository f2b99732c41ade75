# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""All tools, asked about one artifact."""

import shlex
from collections.abc import Callable

from modelseal.workflows.explain import Explanation
from modelseal.workflows.predictions import (
    Found,
    Prediction,
    Reason,
    Verdict,
    ask_cosign,
    ask_model_signing,
    cosign_command,
    model_signing_command,
)
from modelseal.workflows.predictions_admission import ask_kyverno, ask_policy_controller

VERSIONS = {
    "cosign": "3.1",
    "model_signing": "1.1",
    "kyverno": "1.19",
    "policy-controller": "0.15",
}
"""The tools that are asked about, and of which versions something is known."""

_TESTED = {"cosign", "model_signing"}


_ASK_REGISTRIES = frozenset(VERSIONS) - {"model_signing"}
"""Those that take nothing from a layout on disk; model_signing asks about files, wherever from."""

_DESTINATION = "REGISTRY/REPOSITORY"


def predict(item: Explanation, reference: str) -> tuple[Prediction, ...]:
    """Return what each tool would make of the artifact that `reference` names."""
    in_layout = reference.startswith("oci:")
    copy = shlex.join(("modelseal", "copy", "-r", reference, f"{_DESTINATION}:TAG"))
    copied = f"{_DESTINATION}@{item.subject.digest}"
    cosign = cosign_command(item, copied if in_layout else reference)
    if in_layout and cosign:
        cosign = f"{copy} && {cosign}"
    asked: dict[str, tuple[Callable[[Explanation], Found], str]] = {
        "cosign": (ask_cosign, cosign),
        "model_signing": (ask_model_signing, model_signing_command(item, reference)),
        "kyverno": (ask_kyverno, ""),
        "policy-controller": (ask_policy_controller, ""),
    }
    layout = Reason("layout", "it lies in an OCI layout on disk, and this asks registries", copy)
    found = []
    for tool, (ask, command) in asked.items():
        verdict, reasons = ask(item)
        unreachable = in_layout and tool in _ASK_REGISTRIES
        found.append(
            Prediction(
                tool=tool,
                version=VERSIONS[tool],
                verdict=Verdict.REFUSES if unreachable else verdict,
                copied=verdict if unreachable else None,
                tested=tool in _TESTED,
                command=command,
                reasons=tuple(dict.fromkeys([layout] * unreachable + reasons)),
            )
        )
    return tuple(found)
