# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the parts of a model fit each other: its files, `modelseal.yaml`, its lock.

A contradiction is an error; what cannot be checked is said, and does not pass for checked. Headers
are read and nothing is loaded: no tensor's data, no code.
"""
