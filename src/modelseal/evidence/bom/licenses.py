# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Licences as SPDX expressions (SPDX 2.3, annex D), or as the names that they were given."""

from collections.abc import Sequence


def spdx_expression(licenses: Sequence[str]) -> str:
    """Return one expression that asks for all of the licences; empty if one of them is no SPDX.

    Identifiers come back in the case of the SPDX list.
    """
    canonical = [spdx_license(text) for text in licenses]
    if not canonical or not all(canonical):
        return ""
    if len(canonical) == 1:
        return canonical[0]
    return " AND ".join(f"({item})" if " " in item else item for item in canonical)


def spdx_license(text: str) -> str:
    """Return the expression in its canonical form; empty when it is none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return ""
