"""When the directory may be believed: after a start, an outage or a loss of data. Pure."""

from collections.abc import Collection, Mapping

HOLD = 3.0
"""Seconds in which every node notices an outage and writes what it could not write during it."""


class Settling:
    """Tells "offline" from "unknown".

    The absence of a user's entry means nothing while a living node has not written its users to
    the present server, nor for a while after an outage. Where nobody can say which nodes are
    alive, a doubt ends after `limit` seconds. Times are on one monotonic clock, the caller's.
    """

    def __init__(self) -> None:
        self._run_id = ""
        self._doubted_at: float | None = None
        self._hold = 0.0
        self._lost = False
        self._complete: bool | None = None

    def doubt(self, now: float, *, data_lost: bool = False) -> None:
        """Note an outage, or with `data_lost` that the data of a running server is gone."""
        self._doubted_at = now
        self._hold = HOLD
        self._lost = self._lost or data_lost

    def saw_server(self, run_id: str, now: float) -> bool:
        """Note which server answered; True where it is not the one that answered before."""
        if run_id == self._run_id:
            return False
        if self._run_id:
            self.doubt(now)
        else:
            self._doubted_at = now
        self._run_id = run_id
        return True

    def saw_nodes(self, written_to: Mapping[str, str], expected: Collection[str] | None) -> None:
        """Compare the nodes' records (node id to run id) with the nodes known to be alive.

        `expected` is None where nobody can say which nodes are alive.
        """
        if expected is None:
            self._complete = None
        else:
            self._complete = all(written_to.get(node) == self._run_id for node in expected)

    def settled(self, now: float, limit: float) -> bool:
        """Say whether the absence of an entry means that a user is offline."""
        if self._doubted_at is None:
            return self._complete is not False
        age = now - self._doubted_at
        certain = self._complete is True and not self._lost and age >= self._hold
        if certain or age >= limit:
            self._doubted_at = None
            self._hold = 0.0
            self._lost = False
        return self._doubted_at is None and self._complete is not False
