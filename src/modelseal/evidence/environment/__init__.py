# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The environment of a build, as one document: the same environment gives the same bytes.

Nothing in it tells who, where or when: no user, host, path, time or process. docs/environment.md
describes every field.
"""
