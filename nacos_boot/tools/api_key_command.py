"""`nacos_boot api-key`: make an API key, and what the settings hold of it."""

import argparse
import re
import sys

from nacos_boot.http.api_keys import hash_of, new_key

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_WRONG_USE = 2


def add_api_key(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--name", default="new-key", help="who gets it: 1 to 64 characters of A-Z a-z 0-9 . _ -"
    )
    parser.add_argument(
        "--scopes",
        default="push,read",
        metavar="SCOPE,…",
        help="what it may be used for: the program's own names (push,read by default)",
    )


def run_api_key(options: argparse.Namespace) -> int:
    """Print the key, for this once, and the entry for the list of keys; gives the exit code."""
    scopes = [scope.strip() for scope in options.scopes.split(",") if scope.strip()]
    for text in (options.name, *scopes):
        if not _NAME.fullmatch(text):
            sys.stderr.write(
                f"cannot make a key: '{text}': expected 1 to 64 characters of A-Z a-z 0-9 . _ -\n"
            )
            return _WRONG_USE
    key = new_key()
    # The key alone on standard error: who redirects the entry to a file keeps no key in it.
    sys.stderr.write(f"The key, shown this once:\n{key}\n")
    sys.stdout.write(
        f"- name: {options.name}\n  hash: {hash_of(key)}\n  scopes: [{', '.join(scopes)}]\n"
    )
    return 0
