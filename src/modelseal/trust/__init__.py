# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who is believed: the only package that knows Sigstore."""

import logging

# sigstore logs what it then also raises, and warns about what is checked here. Without any handler
# Python would print that to stderr; whoever wants to read it configures logging as usual.
logging.getLogger("sigstore").addHandler(logging.NullHandler())
