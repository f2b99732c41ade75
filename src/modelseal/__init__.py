# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Ship machine-learning models the way containers are shipped, with proof."""

from modelseal.errors import Error
from modelseal.version import __version__

__all__ = ["Error", "__version__"]
