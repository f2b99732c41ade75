# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is in a model's files, told by their bytes and never by their names; nothing is loaded."""
