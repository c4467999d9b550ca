"""Sockets taken out of the event loop's hands."""

import asyncio
import os
import socket
import sys

# A node whose machine vanished never says so. Idle connections are probed after 30 s, and given up
# 30 s later, or 60 s after the first bytes that were not acknowledged.
_KEEPALIVE = (
    (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
    )
    if sys.platform == "linux"
    else ()
)
_NOBODY = asyncio.Protocol()


def take_over(*transports: asyncio.Transport) -> list[int]:
    """Give each transport's socket under a descriptor of its own, and end the transport.

    Their protocols hear nothing more. The transports must be plain TCP, and have nothing left to
    write. Raises OSError when the process may not have more files; then nothing has changed.
    """
    taken: list[int] = []
    try:
        for transport in transports:
            taken.append(os.dup(transport.get_extra_info("socket").fileno()))  # noqa: PERF401 - what was taken must be known when one fails
    except OSError:
        for descriptor in taken:
            os.close(descriptor)
        raise
    for transport in transports:
        transport.set_protocol(_NOBODY)
        # It closes its own descriptor only: the connection lives on under ours.
        transport.abort()
    return taken


def keep_alive(descriptor: int) -> None:
    """Have the kernel find out when the machine at the other end has vanished."""
    own = socket.socket(fileno=descriptor)
    try:
        for level, option, value in _KEEPALIVE:
            own.setsockopt(level, option, value)
    finally:
        own.detach()
