"""The node, put together: build, serve, register, drain. Reads from top to bottom."""

import asyncio
import logging
import time
import uuid
from contextlib import AsyncExitStack
from datetime import timedelta

from nacos_boot import __version__
from nacos_boot.actuator.own_port import serve_actuator
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.http.server import HttpServer
from nacos_boot.program import Stop, settle
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.startup import StartError, retried
from nacos_boot.tls.port import port_tls
from service import metrics
from service.api.access import node_access
from service.api.app import build_app
from service.api.users import Users
from service.auth.admission import Admission
from service.auth.token_expiry import close_expired
from service.broker.broker import Broker
from service.broker.repair import Repair
from service.clients.connection import connection_class
from service.clients.door import Door
from service.clients.drain import send_away
from service.clients.head_limits import counted_http
from service.clients.hub import Hub
from service.clients.ping import ping_clients
from service.directory.directories import Directories
from service.directory.foreign import ForeignNodes
from service.directory.node_record import NodeRecord
from service.directory.redis_store import StoreError
from service.directory.sweeper import Sweeper
from service.history.switch import HistorySwitch
from service.indicators import add_indicators
from service.moving.beginning import begin_together
from service.moving.handover import Standing
from service.moving.peers import NODE_ID, RABBITMQ, REDIS, NodeList
from service.push.push_request import PushRequests
from service.push.pusher import Pusher
from service.push.receiver import Receiver
from service.push.report_gathering import Gathering
from service.push.reporter import Reporter
from service.settings import NodeSettings, PushMode

log = logging.getLogger(__name__)

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
        window = bootstrap.nacos.start_timeout

        # Redis, and the Hub whose users it is told of.
        hub = Hub(
            asyncio.get_running_loop(),
            lambda user: directories.changed(user),  # noqa: PLW0108 - made below
        )
        peers = boot.discover(bootstrap.application)
        nodes = NodeList(peers, node, lambda: boot.registration is not None)

        def record(run_id: str) -> NodeRecord:
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
                run_id=run_id,
            )

        directories = Directories(
            node,
            live,
            hub,
            record=record,
            expected=nodes.ids,
            peers=lambda: nodes.peers(REDIS),
        )
        ending.push_async_callback(directories.close)
        await retried("Redis", window, directories.connect)
        foreign = ForeignNodes(
            lambda: directories.side.store, lambda: live.current.websocket.interop.java
        )

        # RabbitMQ: from here on, messages for this node wait for it or reach it.
        receiver = Receiver(hub)
        broker = Broker(
            node,
            receiver.handle,
            settings=lambda: live.current.spring.rabbitmq,
            peers=lambda: nodes.peers(RABBITMQ),
            limit=lambda: live.current.websocket.handover.limit,
        )
        ending.push_async_callback(broker.close)
        await retried("RabbitMQ", window, broker.connect)
        live.subscribe(lambda _old, _new: broker.mover.stir())

        repair = Repair(
            node, broker, receiver.handle, lambda: {*directories.alive, *(nodes.ids() or ())}, live
        )
        receiver.resend = repair.take

        def mode() -> PushMode:
            return "fanout" if foreign.may_hold_users else live.current.websocket.push.mode

        pusher = Pusher(node, broker, directories, receiver, mode)
        users = Users(node, directories, broker, receiver, foreign)

        # Who asks what becomes of a push is told by the nodes.
        gathering = Gathering(node, directories, lambda: foreign.queues)
        receiver.reporter = reporter = Reporter(node, hub, broker, gathering.add)
        requests = PushRequests.of(live, gathering, directories)

        # The port: HTTP and WebSockets.
        door = Door(live, hub, directories)
        door.ready = False
        admission = Admission(live, door)
        history = HistorySwitch(live, directories, pusher, receiver, door, broker.arrivals)
        access = node_access(live, door.proxies)
        app = build_app(live, pusher, requests, users, access)
        tls = port_tls(settings.server.ssl)
        await serve_actuator(boot, app, access, settings, ending, tls=tls)
        server = HttpServer(
            app,
            address=settings.server.address,
            port=settings.server.port,
            upgrade_class=connection_class(door),
            http_class=counted_http(live),
            tls=tls,
        )
        await server.open()
        if tls is not None:
            background.spawn("certificate", tls.watch())
        # Ending runs backwards: requests end, then the tasks, then what both use.
        ending.push_async_callback(background.close)
        ending.push_async_callback(server.close, timedelta(seconds=2))
        address = boot.location(server.port)

        # The node record, and what keeps all of it right.
        try:
            await directories.start()
        except StoreError as error:
            raise StartError(f"the node record cannot be written: {error}") from error
        sweeper = Sweeper(directories.keys, lambda: directories.place, broker.discard_queue)
        for name, work in (
            ("broker", broker.run()),
            ("directories", directories.run()),
            ("foreign-nodes", foreign.watch()),
            ("sweeper", sweeper.watch()),
            ("pusher", pusher.run()),
            ("reporter", reporter.run()),
            ("repair", repair.run()),
            ("history", history.run()),
            ("pings", ping_clients(hub.pings, lambda: live.current.websocket.ping)),
            ("jwks", admission.jwks.run()),
            ("token-expiry", close_expired(door.expiries)),
        ):
            background.spawn(name, work)
        add_indicators(boot.health, broker, directories)
        boot.health.add("clientAuth", admission.health, readiness=True)

        # While the others move to another server, this node does so, too, before it begins.
        def heard(kind: str, standing: Standing) -> bool:
            md5 = boot.config.state.md5
            return stop.requested or nodes.may_begin(kind, standing, md5)

        await peers.refresh()
        await begin_together(
            {
                "RabbitMQ": lambda: heard(RABBITMQ, broker.mover.standing),
                "Redis": lambda: heard(REDIS, directories.standing),
            },
            lambda: live.current.websocket.handover.limit,
        )
        await admission.prepare()
        door.ready = True
        boot.health.accepting = True

        # Registered last, when everything that a client may ask for is there.
        def metadata() -> dict[str, str]:
            public_url = live.current.websocket.node.public_url
            return {
                NODE_ID: node,
                RABBITMQ: broker.mover.standing.write(),
                REDIS: directories.standing.write(),
                **({PUBLIC_URL: public_url} if public_url else {}),
            }

        await boot.register(server.port, metadata, tls=tls is not None)
        broker.mover.announce = lambda _: boot.announce()
        directories.mover.announce = lambda _: boot.announce()
        boot.announce()
        settle()
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
        await send_away(hub.sockets, drain.window, drain.return_window)
        await directories.forget()
        metrics.CONNECTIONS.set(0)
