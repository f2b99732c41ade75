# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Lock files: what a model's environment is made of, pinned and hashed, or what is not."""
