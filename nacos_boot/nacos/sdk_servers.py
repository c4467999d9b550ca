"""Choose the server of a cluster that the SDK begins with.

By itself it begins with any, and waits for one that is down for as long as a whole start may take.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from nacos_boot.nacos.login import with_scheme

_GRPC_OFFSET = 1000
_PATIENCE = 0.5  # seconds for each server


async def answering(servers: Sequence[str], failed: int | None = None) -> int | None:
    """Give the index of a server whose gRPC port can be reached; None where there is none.

    They are tried in random order, so that programs spread over them; the one that has `failed`
    before comes last. A single one is not tried.
    """
    if len(servers) == 1:
        return 0
    order = random.sample(range(len(servers)), len(servers))
    for index in sorted(order, key=lambda index: index == failed):
        parts = urlsplit(with_scheme(servers[index]))
        if await _can_be_reached(parts.hostname or "", (parts.port or 8848) + _GRPC_OFFSET):
            return index
    return None


def begin_with(index: int, *services: Any) -> None:
    """Have the SDK's services open their first connection to this server."""
    for service in services:
        # It takes the next one.
        service.grpc_client_proxy.nacos_server_connector.current_index = index - 1


async def _can_be_reached(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, OverflowError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
