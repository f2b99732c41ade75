# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The environment variables that may be published: these, in these forms, and no other.

They change what a computation gives: which devices there are, how many threads, whether it is
deterministic. A value of another form is left out, because a secret in the wrong variable is a
secret all the same; that it was set is told.
"""

import re
from collections.abc import Mapping
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_SWITCH: Final = re.compile(r"[01]|true|false|True|False|TRUE|FALSE|on|off|ON|OFF")
_DEVICES: Final = re.compile(r"-1|all|none|void|[0-9]{1,3}(?:,[0-9]{1,3}){0,63}|")

ALLOWED: Final[Mapping[str, re.Pattern[str]]] = {
    "CUBLAS_WORKSPACE_CONFIG": re.compile(r":[0-9]{1,6}:[0-9]{1,3}"),
    "CUDA_LAUNCH_BLOCKING": _SWITCH,
    "CUDA_VISIBLE_DEVICES": _DEVICES,
    "HIP_VISIBLE_DEVICES": _DEVICES,
    "JAX_ENABLE_X64": _SWITCH,
    "MKL_CBWR": re.compile(r"[A-Z0-9_]{1,24}(?:,STRICT)?"),
    "MKL_NUM_THREADS": _NUMBER,
    "NUMEXPR_NUM_THREADS": _NUMBER,
    "NVIDIA_TF32_OVERRIDE": _SWITCH,
    "NVIDIA_VISIBLE_DEVICES": _DEVICES,
    "OMP_NUM_THREADS": _NUMBER,
    "OPENBLAS_NUM_THREADS": _NUMBER,
    "ROCR_VISIBLE_DEVICES": _DEVICES,
    "SOURCE_DATE_EPOCH": _NUMBER,
    "TF_CUDNN_DETERMINISTIC": _SWITCH,
    "TF_DETERMINISTIC_OPS": _SWITCH,
    "TF_ENABLE_ONEDNN_OPTS": _SWITCH,
}
NOT_SHOWN: Final = "(set, not shown)"
"""Stands for a value of another form than the variable's."""


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the allowed variables that are set, each with its value or `NOT_SHOWN`."""
    return {
        name: environment[name] if form.fullmatch(environment[name]) else NOT_SHOWN
        for name, form in sorted(ALLOWED.items())
        if name in environment
    }
