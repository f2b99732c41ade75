# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OCI content; knows nothing of models or of Sigstore."""
