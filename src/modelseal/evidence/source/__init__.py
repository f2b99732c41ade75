# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where the code of a build comes from: the git working tree around the model, and its remote."""
