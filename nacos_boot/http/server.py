"""The ASGI server, opened and closed as two steps of a program's own order."""

import asyncio
import contextlib
import errno
import socket
from datetime import timedelta
from typing import Any

import uvicorn

from nacos_boot.http.protocol import HttpProtocol
from nacos_boot.start.startup import StartError
from nacos_boot.tls.port import PortTls

_BACKLOG = 4096


class HttpServer:
    """uvicorn on one port, without its own handling of signals.

    `upgrade_class` takes over the connections that leave HTTP by `Upgrade` (uvicorn's `ws=`);
    `http_class` may be one of `http_protocol()`, with limits of its own.
    With `tls` the port speaks nothing else.
    """

    def __init__(
        self,
        app: Any,
        *,
        address: str,
        port: int,
        upgrade_class: type[asyncio.Protocol] | None,
        http_class: type[HttpProtocol] = HttpProtocol,
        tls: PortTls | None = None,
        setting: str = "server",
    ) -> None:
        self._address = address
        self._port = port
        self._tls = tls
        self._setting = setting
        config = uvicorn.Config(
            app,
            http=http_class,
            ws=upgrade_class or "none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            # uvicorn would believe X-Forwarded-For of any caller on loopback.
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._socket: socket.socket | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port of the settings; once it is open, the one that 0 stood for."""
        return self._port

    async def open(self) -> None:
        """Listen and serve. Raises StartError where the port cannot be had, or the app fails."""
        self._socket = self._bind()
        self._port = int(self._socket.getsockname()[1])
        config = self._server.config
        config.load()
        if self._tls is not None:
            # uvicorn would make one of its own, which could not get another certificate.
            config.ssl = self._tls.context
        self._server.lifespan = config.lifespan_class(config)
        try:
            await self._server.startup(sockets=[self._socket])
        except SystemExit as error:
            # uvicorn's answer to an application whose own start fails.
            self._socket.close()
            raise StartError(
                "the application failed to start; the log says why", final=True
            ) from error
        self._ticking = asyncio.create_task(self._server.main_loop(), name="http-server")

    async def close(self, grace: timedelta) -> None:
        """Stop listening, let running requests end within `grace`, close every connection."""
        if self._ticking is None or self._socket is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace.total_seconds()))
        self._server.should_exit = True
        await self._ticking
        with contextlib.suppress(asyncio.CancelledError):
            await self._server.shutdown(sockets=[self._socket])

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        try:
            listener.bind((self._address, self._port))
            # Binding alone does not show that another program listens there, too, from this moment.
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            listener.close()
            where = f"port {self._port} on {self._address or 'all addresses'}"
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise StartError(
                    f"{where} is in use: stop what holds it, or set {self._setting}.port",
                    final=True,
                ) from error
            raise StartError(
                f"{where} cannot be listened on ({error}): check {self._setting}.address and"
                f" {self._setting}.port",
                final=True,
            ) from error
        return listener
