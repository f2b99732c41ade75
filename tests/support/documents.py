# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Documents as a person or a tool would write them."""

import yaml


def dump_yaml(value: object) -> str:
    """Write YAML: block style, keys in the order given, everything but ASCII escaped."""
    return yaml.safe_dump(value, sort_keys=False, width=100)
