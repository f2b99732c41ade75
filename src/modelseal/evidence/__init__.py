# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is collected about a model, to be attested: the builder and the materials of a build."""
