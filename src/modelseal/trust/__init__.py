# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who is believed: the only package that knows Sigstore."""

import logging

from modelseal.trust.clouds import keep_clouds_out

# They log what they then also raise, and warn about what is checked here. Without any handler
# Python would print that to stderr; whoever wants to read it configures logging as usual.
for _name in ("sigstore", "securesystemslib", "azure", "google"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

keep_clouds_out()
