# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""All tools, asked about one artifact."""

from collections.abc import Callable

from modelseal.workflows.explain import Explanation
from modelseal.workflows.predictions import (
    Found,
    Prediction,
    Reason,
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

_LAYOUT = Reason(
    "layout",
    "it lies in an OCI layout on disk, and this asks registries",
    "modelseal copy -r REF REGISTRY/REPOSITORY:TAG",
)
_TESTED = {"cosign", "model_signing"}


def predict(item: Explanation, reference: str) -> tuple[Prediction, ...]:
    """Return what each tool would make of the artifact that `reference` names."""
    asked: dict[str, tuple[Callable[[Explanation], Found], str]] = {
        "cosign": (ask_cosign, cosign_command(item, reference)),
        "model_signing": (ask_model_signing, model_signing_command(item, reference)),
        "kyverno": (ask_kyverno, ""),
        "policy-controller": (ask_policy_controller, ""),
    }
    found = []
    for tool, (ask, command) in asked.items():
        verdict, reasons = ask(item)
        if tool != "model_signing" and reference.startswith("oci:"):
            reasons.append(_LAYOUT)
        found.append(
            Prediction(
                tool=tool,
                version=VERSIONS[tool],
                verdict=verdict,
                tested=tool in _TESTED,
                command=command,
                reasons=tuple(dict.fromkeys(reasons)),
            )
        )
    return tuple(found)
