# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where a model's data came from, and what may be done with it: Croissant, digests, SCAI."""
