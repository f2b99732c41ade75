# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Quotes of a TPM 2.0, verified without a TPM and without its libraries."""
