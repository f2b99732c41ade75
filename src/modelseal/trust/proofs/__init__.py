# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle's proofs are worth under a trusted root, checked here where sigstore does not."""
