# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The command line."""

import gc

# Nothing that is imported is garbage, and a command soon ends: to look for cycles after every 700
# new objects is a seventh of the time that a command takes to start.
gc.set_threshold(50_000, 20, 20)
