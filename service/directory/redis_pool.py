"""How the node's connections to Redis behave. Imported by `redis_store` only."""

import time
from collections.abc import Mapping
from typing import Any

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from nacos_boot.tls.contexts import client_context
from nacos_boot.tls.pem import TlsError
from nacos_boot.tls.settings import ClientSslSection
from service.settings_servers import RedisSection

_REFUSED_PAUSE = 1.0


class Pool(BlockingConnectionPool):
    """Makes do with the connections that it has when the server's password has been changed.

    Redis asks new connections for it only.
    """

    _refused_at = float("-inf")

    async def get_connection(self, *_names: Any, **_options: Any) -> Any:
        """Give one that works, if there is any."""
        try:
            return await super().get_connection()  # type: ignore[no-untyped-call]  # typed in part
        except AuthenticationError:
            if not self._held():
                raise
            self._refused_at = time.monotonic()
        return await super().get_connection()  # type: ignore[no-untyped-call]  # as above

    async def release(self, connection: Any) -> None:
        """Take one back."""
        await super().release(connection)
        free = self._available_connections
        if not connection.is_connected and connection in free:
            # To be taken last.
            free.remove(connection)
            free.insert(0, connection)

    def can_get_connection(self) -> bool:
        """Tell whether one may be taken, or made, now."""
        if time.monotonic() - self._refused_at < _REFUSED_PAUSE and self._held():
            return any(map(_is_connected, self._available_connections))
        return bool(super().can_get_connection())

    def _held(self) -> bool:
        held = (*self._available_connections, *self._in_use_connections)
        return any(map(_is_connected, held))


class _Connection(Connection):
    """Writes commands at a fifth of the cost: 70 instead of 430 µs for the keys of 500 users."""

    def pack_command(self, *args: Any) -> list[bytes]:
        # In C. A name of two words, such as SCRIPT LOAD, are two arguments.
        return [hiredis.pack_command((*args[0].split(), *args[1:]))]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        writer = self._writer
        if writer is None or check_health is False or writer.transport.get_write_buffer_size():
            await super().send_packed_command(command, check_health)
            return
        # With nothing to wait for there is no need of a task and a timer that bound the wait.
        writer.writelines(command)


class _TlsConnection(_Connection):
    """The same by TLS, with the certificates of the moment."""

    def __init__(self, *, tls: ClientSslSection, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        try:
            return {**super()._connection_arguments(), "ssl": client_context(self._tls)}
        except TlsError as error:
            raise RedisConnectionError(f"spring.data.redis.ssl: {error}") from error


def _is_connected(connection: Any) -> bool:
    return bool(connection.is_connected)


def way_to(settings: RedisSection) -> dict[str, Any]:
    """Give what the pool needs to make connections with these settings."""
    if settings.ssl.enabled:
        return {"connection_class": _TlsConnection, "tls": settings.ssl}
    return {"connection_class": _Connection}
