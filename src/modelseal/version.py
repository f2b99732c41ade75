# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The version of this package, in one place."""

__version__ = "0.1.0"
