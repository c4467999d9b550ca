"""What the nodes say of themselves: any one of them answers for all."""

from collections.abc import Mapping
from typing import Any, Self

import aiohttp

from gateway_lb.node_tls import tls_to
from gateway_lb.pool import Pool
from gateway_lb.settings import GatewaySettings
from nacos_boot.config.live import LiveSettings
from nacos_boot.registry.instance import Instance

_LIMIT = aiohttp.ClientTimeout(total=2)
_ATTEMPTS = 2


class NodeRecords:
    """Reads the node records through a node's API. Use as an asynchronous context manager."""

    def __init__(self, pool: Pool, live: LiveSettings[GatewaySettings]) -> None:
        self._pool = pool
        self._live = live
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_LIMIT)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def read(self, credentials: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
        """Give the records by node id; empty where no node is alive.

        A node judges whether who has these credentials (headers) may see them.

        Raises aiohttp.ClientError or TimeoutError where the nodes that were asked do not answer.
        """
        for attempt, member in enumerate(self._pool.available, 1):
            try:
                return await self._ask(member.instance, credentials)
            except (aiohttp.ClientError, OSError):
                if attempt == _ATTEMPTS:
                    raise
        return {}

    async def _ask(
        self, instance: Instance, credentials: Mapping[str, str]
    ) -> Mapping[str, Mapping[str, Any]]:
        tls = tls_to(instance, self._live.current.gateway)
        url = f"{'https' if tls else 'http'}://{instance.address}/api/nodes"
        async with self._session.get(url, headers=credentials, ssl=tls or True) as answer:
            answer.raise_for_status()
            body = await answer.json()
        return {record["nodeId"]: record for record in body["nodes"]}
