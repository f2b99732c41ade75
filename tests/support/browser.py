"""A browser for tests: `browser.py URL` fetches a page and follows where it is sent.

That is what happens to a person who is signed in already. Programs start
it when `BROWSER` says so: `environment()` is what to add to theirs.
"""

import sys
import urllib.request
from pathlib import Path

_TIMEOUT_SECONDS = 20.0


def environment() -> dict[str, str]:
    """Return the variables that make Python's `webbrowser`, and so sigstore, use this browser."""
    return {"BROWSER": f"{sys.executable} {Path(__file__).resolve()} %s"}


def main(url: str) -> None:
    """Fetch `url`, redirections included, without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_TIMEOUT_SECONDS) as response:
        response.read()


if __name__ == "__main__":
    main(sys.argv[1])
