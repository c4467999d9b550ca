"""A clock that can be stepped for one node alone: libfaketime under its process.

`DONT_FAKE_MONOTONIC` leaves the monotonic clock be, as a step of a real clock does.
"""

from pathlib import Path

from tests.e2e.faults.fleet import Fleet

_PLACES = "/usr/lib/*/faketime/libfaketime.so.1"


def library() -> Path | None:
    """Find libfaketime (Debian package faketime)."""
    return next(Path("/").glob(_PLACES.lstrip("/")), None)


def stepped_clock(fleet: Fleet) -> dict[str, str]:
    """Give the environment of a program whose clock `turn` sets."""
    found = library()
    assert found is not None, "libfaketime is not installed (Debian package faketime)"
    turn(fleet, "+0")
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(_file(fleet)),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def turn(fleet: Fleet, offset: str) -> None:
    """Set the clock off by seconds, such as `+3600`, within a second."""
    file = _file(fleet)
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{offset}\n", encoding="ascii")
    fresh.replace(file)


def _file(fleet: Fleet) -> Path:
    return fleet.state / "clock"
