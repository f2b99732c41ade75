"""Real parts for the tests: servers, a private Sigstore, registries, and runners of commands."""
