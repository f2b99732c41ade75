# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a model is made of, for those who ask: ML-BOM (CycloneDX), SPDX document, model card."""
