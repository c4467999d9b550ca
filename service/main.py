"""The node, put together: build, serve, register, drain. Reads from top to bottom."""

import asyncio
import logging
import time
import uuid
from contextlib import AsyncExitStack
from datetime import timedelta

from nacos_boot import __version__
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.bootstrap import Bootstrap
from nacos_boot.http_server import HttpServer
from nacos_boot.logs import apply_levels
from nacos_boot.program import Stop
from nacos_boot.startup import StartError, retried
from service import metrics
from service.app import build_app
from service.broker import Broker
from service.connection import connection_class
from service.directory import Directory, Keys
from service.directory_writer import DirectoryWriter
from service.door import Door
from service.drain import send_away
from service.foreign import ForeignNodes
from service.heartbeat import Heartbeat
from service.hub import Hub
from service.indicators import add_indicators
from service.node_record import NodeRecord
from service.ping import ping_clients
from service.pusher import Pusher
from service.receiver import Receiver
from service.redis_store import RedisStore, StoreError
from service.settings import NodeSettings, PushMode
from service.sweeper import Sweeper
from service.users import Users

log = logging.getLogger(__name__)

NODE_ID = "websocket.node-id"
PUBLIC_URL = "websocket.node.public-url"


async def run_node(bootstrap: Bootstrap, stop: Stop) -> None:  # noqa: PLR0915 - one order
    """Run one node until `stop`. Raises StartError."""
    node = uuid.uuid4().hex
    started_at = time.time()
    async with AsyncExitStack() as ending:
        background = Background()

        # Configuration first: everything else is told by it where to go.
        boot = Boot(NodeSettings, bootstrap, background, version=__version__)
        ending.push_async_callback(boot.close)
        ending.push_async_callback(background.close)
        live = await boot.load()
        settings = live.current
        apply_levels({}, settings.logging.level)
        live.subscribe(lambda old, new: apply_levels(old.logging.level, new.logging.level))
        window = bootstrap.nacos.start_timeout

        # Redis, and the Hub whose users it is told of.
        store = RedisStore(settings.spring.data.redis)
        ending.push_async_callback(store.close)
        await retried("Redis", window, store.connect)
        peers = boot.discover(bootstrap.application)
        writer = DirectoryWriter()
        hub = Hub(asyncio.get_running_loop(), writer.changed)
        writer.hub = hub
        keys = Keys(settings.websocket.redis.key_prefix)

        def nodes_in_nacos() -> set[str] | None:
            if peers.error is not None:
                return None
            found = {
                instance.metadata[NODE_ID]
                for instance in peers.instances
                if instance.healthy and NODE_ID in instance.metadata
            }
            # A list without this node is older than its registration, or none has come yet.
            return found if node in found else None

        directory = Directory(store, keys, node, expected=nodes_in_nacos, lost=writer.everything)
        foreign = ForeignNodes(store, lambda: live.current.websocket.interop.java)

        # RabbitMQ: from here on, messages for this node wait for it or reach it.
        receiver = Receiver(hub)
        broker = Broker(settings.spring.rabbitmq, node, receiver.handle)
        await retried("RabbitMQ", window, broker.connect)
        ending.push_async_callback(broker.close)

        def mode() -> PushMode:
            return "fanout" if foreign.may_hold_users else live.current.websocket.push.mode

        pusher = Pusher(node, broker, directory, receiver, mode)
        users = Users(node, directory, broker, receiver, foreign)

        # The port: HTTP and WebSockets.
        door = Door(live, hub, writer)
        app = build_app(boot, live, pusher, users)
        server = HttpServer(
            app,
            address=settings.server.address,
            port=settings.server.port,
            upgrade_class=connection_class(door),
        )
        await server.open()
        # Ending runs backwards: requests end, then the tasks, then what both use.
        ending.push_async_callback(background.close)
        ending.push_async_callback(server.close, timedelta(seconds=2))
        address = f"{boot.address}:{bootstrap.nacos.discovery.port or server.port}"

        # The node record, and what keeps all of it right.
        def record() -> NodeRecord:
            current = live.current
            return NodeRecord(
                node_id=node,
                address=address,
                public_url=current.websocket.node.public_url,
                started_at=round(started_at, 3),
                written_at=round(time.time(), 3),
                connections=len(hub),
                users=len(hub.users),
                mode=current.websocket.push.mode,
                config_md5=boot.config.state.md5,
                version=boot.version,
                run_id=directory.run_id if writer.caught_up else "",
            )

        heartbeat = Heartbeat(live, directory, record)
        try:
            await heartbeat.start()
        except StoreError as error:
            raise StartError(f"the node record cannot be written: {error}") from error
        ending.callback(heartbeat.stop)
        for name, work in (
            ("broker", broker.run()),
            ("directory-writer", writer.run(directory)),
            ("heartbeat", heartbeat.watch()),
            ("foreign-nodes", foreign.watch()),
            ("sweeper", Sweeper(store, keys, directory, broker.discard_queue).watch()),
            ("pusher", pusher.run()),
            ("pings", ping_clients(lambda: hub.sockets, lambda: live.current.websocket.ping)),
        ):
            background.spawn(name, work)
        add_indicators(boot.health, broker, directory, store.address)
        boot.health.accepting = True

        # Registered last, when everything that a client may ask for is there.
        metadata = {NODE_ID: node}
        if settings.websocket.node.public_url:
            metadata[PUBLIC_URL] = settings.websocket.node.public_url
        await boot.register(server.port, metadata)
        log.info("node %s serves on %s", node, address)

        await stop.wait()

        # Drain: unregistered first, then served until gateways know, clients sent away, the
        # queue given up last.
        drain = live.current.websocket.drain
        boot.health.accepting = False
        await boot.deregister()
        door.draining = True
        if hub.sockets:
            await asyncio.sleep(drain.notice.total_seconds())
        await send_away(hub.sockets, drain.window)
        heartbeat.stop()
        await _say_goodbye(directory, writer)
        metrics.CONNECTIONS.set(0)


async def _say_goodbye(directory: Directory, writer: DirectoryWriter) -> None:
    try:
        async with asyncio.timeout(2):
            await writer.drained()
            await directory.forget()
    except (StoreError, TimeoutError):
        log.info("the node record is left to expire by its TTL")
