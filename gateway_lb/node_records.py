"""What the nodes say of themselves: any one of them answers for all."""

from collections.abc import Mapping
from typing import Any, Self

import aiohttp

from gateway_lb.pool import Pool

_LIMIT = aiohttp.ClientTimeout(total=2)
_ATTEMPTS = 2


class NodeRecords:
    """Reads the node records through a node's API. Use as an asynchronous context manager."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_LIMIT)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def read(self) -> Mapping[str, Mapping[str, Any]]:
        """Give the records by node id; empty where no node is alive.

        Raises aiohttp.ClientError or TimeoutError where the nodes that were asked do not answer.
        """
        for attempt, member in enumerate(self._pool.available, 1):
            try:
                return await self._ask(member.instance.address)
            except (aiohttp.ClientError, TimeoutError):
                if attempt == _ATTEMPTS:
                    raise
        return {}

    async def _ask(self, address: str) -> Mapping[str, Mapping[str, Any]]:
        async with self._session.get(f"http://{address}/api/nodes") as answer:
            answer.raise_for_status()
            body = await answer.json()
        return {record["nodeId"]: record for record in body["nodes"]}
