"""How many connections a user may have in the whole cluster: who is one too many goes."""

import logging
from collections.abc import Sequence

from service import metrics
from service.clients import close_codes
from service.clients.row import Socket

log = logging.getLogger(__name__)

LIMIT = "max-connections-per-user"


def close_newest(sockets: Sequence[Socket], surplus: int) -> None:
    """Close the newest of a user's connections here, as far as they have just come.

    `sockets` are in the order in which they came. One that has been let in stays: at other nodes
    others may be newer, and whoever comes while Redis is away is not counted with them.
    """
    waiting = [socket for socket in sockets if not socket.open]
    for socket in reversed(waiting[-surplus:]):
        metrics.LIMITED.labels(LIMIT).inc()
        metrics.HANDSHAKES_REFUSED.labels(str(close_codes.TOO_MANY)).inc()
        try:
            socket.close(close_codes.TOO_MANY, "this user has too many connections")
        except Exception:
            # One client's trouble must not keep all others out.
            log.exception("a client could not be closed")
