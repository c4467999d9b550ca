"""The gateway, put together: build, serve, register, drain. Reads from top to bottom."""

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import cast

from quart import Quart

from gateway_lb.access import gateway_access
from gateway_lb.api import App, front, routes
from gateway_lb.node_records import NodeRecords
from gateway_lb.nodes import follow_nodes
from gateway_lb.opening import relay_class
from gateway_lb.pool import Pool
from gateway_lb.proxy import Proxy
from gateway_lb.relays import Relays
from gateway_lb.settings import GatewaySettings
from nacos_boot import __version__
from nacos_boot.actuator.own_port import serve_actuator
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.http.head_limits import limited_http
from nacos_boot.http.problem import use_problems
from nacos_boot.http.server import HttpServer
from nacos_boot.program import Stop, settle
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.tls.port import port_tls

log = logging.getLogger(__name__)


async def run_gateway(bootstrap: Bootstrap, stop: Stop) -> None:
    """Run one gateway until `stop`. Raises StartError."""
    async with AsyncExitStack() as ending:
        background = Background()

        # Configuration, and the nodes that Nacos knows.
        boot = Boot(GatewaySettings, bootstrap, background, version=__version__)
        ending.push_async_callback(boot.close)
        ending.push_async_callback(background.close)
        live = await boot.load()
        settings = live.current
        pool = Pool()
        await follow_nodes(boot, live, pool)

        # WebSockets are relayed, the nodes' API is proxied, the rest is the gateway's own.
        relays = Relays(pool, live)
        proxy = await ending.enter_async_context(Proxy(pool, live))
        records = await ending.enter_async_context(NodeRecords(pool, live))
        own = Quart("gateway_lb", static_folder=None)
        use_problems(own)
        access = gateway_access(live, relays.proxies)
        access.guard(own)
        own.register_blueprint(routes(relays, records.read))
        tls = port_tls(settings.server.ssl)
        await serve_actuator(boot, own, access, settings, ending, tls=tls)
        server = HttpServer(
            # Quart types ASGI with its own classes of events.
            front(cast("App", own), proxy),
            address=settings.server.address,
            port=settings.server.port,
            http_class=limited_http(live, lambda settings: settings.gateway.limits),
            upgrade_class=relay_class(relays),
            tls=tls,
        )
        await server.open()
        if tls is not None:
            background.spawn("certificate", tls.watch())
        ending.push_async_callback(server.close, timedelta(seconds=2))
        boot.health.accepting = True

        # Registered last, when it serves.
        await boot.register(server.port, tls=tls is not None)
        settle()
        log.info("the gateway serves on %s", boot.location(server.port))

        await stop.wait()

        # Drain: unregistered first, served until clients know, then relays end over a window.
        boot.health.accepting = False
        await boot.deregister()
        if len(relays):
            await asyncio.sleep(live.current.gateway.drain.notice.total_seconds())
        await relays.drain()
