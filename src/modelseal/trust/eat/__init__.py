# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Entity attestation tokens (RFC 9711) as JWT, verified against pinned keys. Experimental."""
