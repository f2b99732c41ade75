# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m modelseal`."""

from modelseal.cli.app import main

if __name__ == "__main__":
    main()
