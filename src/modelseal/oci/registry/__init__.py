# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A repository of a registry as a store: our own transfer, tokens and referrers."""
