"""PEM texts, given in place or as the path of a file."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_BEGIN = "-----BEGIN "
_FILE = "file:"


class TlsError(Exception):
    """A certificate or a key cannot be used. The message names the setting and the file."""


def path_of(location: str) -> Path | None:
    """Give the file of a location; None for a PEM text, and for none at all."""
    if not location or location.lstrip().startswith(_BEGIN):
        return None
    return Path(location.removeprefix(_FILE))


@contextlib.contextmanager
def as_file(location: str) -> Iterator[Path]:
    """Give a file with the PEM of a location; that of a text is there for this moment only."""
    path = path_of(location)
    if path is not None:
        yield path
        return
    # OpenSSL is given paths. The file that holds the text is readable by its owner only.
    descriptor, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", errors="replace") as file:
            file.write(location)
        yield Path(name)
    finally:
        Path(name).unlink()


def stamp(*locations: str) -> tuple[tuple[int, int] | None, ...]:
    """Give what changes when the files of these locations do; None for one that cannot be read."""
    return tuple(_stamp(path_of(location)) for location in locations)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        # Through links: mounted secrets are exchanged by turning a link.
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
