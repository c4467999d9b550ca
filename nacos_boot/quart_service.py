"""A Quart app as a service in Nacos: settings, server, registration and end, in their order.

`examples/greeter/greeter.py` is a whole one.
"""

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Generic, NoReturn, TypeVar

from quart import Quart

from nacos_boot.actuator.own_port import serve_actuator
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.access import Access, ScopeOf
from nacos_boot.http.api_keys import ApiKeySection, EachOnce
from nacos_boot.http.problem import use_problems
from nacos_boot.http.proxies import NEARBY, Cidr, TrustedProxies
from nacos_boot.http.server import HttpServer
from nacos_boot.program import Stop, run_program, settle
from nacos_boot.registry.discovery import Discovery
from nacos_boot.registry.instance import Instance
from nacos_boot.settings import DurationOrZero, OpenSection, Section, setting
from nacos_boot.settings.spring import ManagementSection, ServerSection
from nacos_boot.start.bootstrap import load_bootstrap
from nacos_boot.tls.port import port_tls

log = logging.getLogger(__name__)

_FIRST_LIST_SECONDS = 3


class DrainSection(Section):
    """`drain`: how the program leaves."""

    notice: DurationOrZero = setting(
        timedelta(seconds=2),
        "Time between leaving the registry and closing the port, in which callers learn of it and"
        " the program serves on. Spring Cloud's load balancer caches its list for 35 s.",
        when="next shutdown",
    )
    window: DurationOrZero = setting(
        timedelta(seconds=5), "Time in which running requests may end.", when="next shutdown"
    )


class ServiceKeySection(ApiKeySection):
    """One entry of `access.keys`."""

    scopes: tuple[str, ...] = setting(..., "What it may be used for; actuator, and the app's own.")


class AccessSection(Section):
    """`access`: whom the program answers, and whose word it takes."""

    keys: Annotated[tuple[ServiceKeySection, ...], EachOnce] = setting(
        (),
        "API keys, each with name, hash and scopes. Without any, only callers on loopback and"
        " private addresses are answered by the actuator, and by routes that ask for a scope.",
        when="next call",
    )
    trusted_proxies: tuple[Cidr, ...] = setting(
        NEARBY,
        "Addresses and ranges of the proxies in front: only their X-Forwarded-For is believed.",
        when="next call",
    )


class ServiceSettings(OpenSection):
    """What every such service can be told; a program's own class adds its sections."""

    server: ServerSection = ServerSection()
    management: ManagementSection = ManagementSection()
    access: AccessSection = AccessSection()
    drain: DrainSection = DrainSection()


T = TypeVar("T", bound=ServiceSettings)


class Peers:
    """The instances of another service, followed from the program's start on."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.discovery: Discovery | None = None

    async def first_list(self) -> None:
        """Wait until Nacos has given a list; for ever where the program follows no services."""
        arrived = asyncio.Event()
        if self.discovery is not None:
            self.discovery.observe(lambda _: arrived.set())
        await arrived.wait()

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Those that may be sent traffic now; none before the program runs."""
        found = self.discovery.instances if self.discovery else ()
        return tuple(instance for instance in found if instance.available)

    def choose(self) -> Instance:
        """Choose one by chance, in proportion to the weights. Raises LookupError if there is none.

        The address to call is `instance.address`.
        """
        instances = self.instances
        if not instances:
            raise LookupError(f"no instance of {self.service} is available")
        weights = [instance.weight for instance in instances]
        return random.choices(instances, weights)[0]  # noqa: S311 - it spreads load, no secret


class NacosService(Generic[T]):
    """Ties an app to Nacos: live settings, `/actuator`, registration, other services.

    `bootstrap` is the file with the start-up settings, `bootstrap.yml` beside the app's module by
    default; `version` is told in the registry. `scope_of` gives the scope that a caller of the
    app's own routes needs; by default they are open to everyone, unlike the actuator. Errors leave
    the app as problem documents (RFC 9457), unless the app handles them.
    """

    def __init__(
        self,
        app: Quart,
        model: type[T],
        *,
        bootstrap: Path | None = None,
        version: str = "0",
        scope_of: ScopeOf = lambda _method, _rule: None,
    ) -> None:
        self.app = app
        self.live: LiveSettings[T] | None = None
        self._model = model
        self._bootstrap = bootstrap or Path(app.root_path) / "bootstrap.yml"
        self._version = version
        self._scope_of = scope_of
        self._boot: Boot[T] | None = None
        self._peers: list[Peers] = []
        self._callbacks: list[Callable[[T, T], None]] = []
        use_problems(app)

    @property
    def settings(self) -> T:
        """The settings in force at this moment: ask at each use. Raises RuntimeError before run."""
        if self.live is None:
            raise RuntimeError("the settings are there once the program runs: use run()")
        return self.live.current

    @property
    def boot(self) -> Boot[T]:
        """What lies below, such as `boot.health`; there from the app's `before_serving` on.

        Raises RuntimeError before.
        """
        if self._boot is None:
            raise RuntimeError("this is there once the program runs: use run()")
        return self._boot

    def on_change(self, callback: Callable[[T, T], None]) -> Callable[[T, T], None]:
        """Have `callback(old, new)` called after each change of the settings; a decorator, too.

        Only where a change must cause something: what asks `settings` has the new ones anyway.
        """
        self._callbacks.append(callback)
        if self.live is not None:
            self.live.subscribe(callback)
        return callback

    def discover(self, service: str) -> Peers:
        """Follow the instances of another service; called once, at the module's top as a rule."""
        peers = Peers(service)
        self._peers.append(peers)
        if self._boot is not None:
            peers.discovery = self._boot.discover(service)
        return peers

    def run(self, arguments: Sequence[str] | None = None) -> NoReturn:
        """Run until SIGTERM or SIGINT and end the process.

        `arguments` are those of the command line by default: `--key=value`.
        """
        given = sys.argv[1:] if arguments is None else arguments
        sys.exit(run_program(lambda stop: self.serve(stop, given)))

    async def serve(self, stop: Stop, arguments: Sequence[str] = ()) -> None:
        """Load the settings, serve, register; after `stop` leave the registry first.

        Raises StartError.
        """
        async with AsyncExitStack() as ending:
            background = Background()
            bootstrap = load_bootstrap(self._bootstrap, arguments=arguments)
            boot = Boot(self._model, bootstrap, background, version=self._version)
            ending.push_async_callback(boot.close)
            ending.push_async_callback(background.close)
            self.live = live = await boot.load()
            self._boot = boot
            for callback in self._callbacks:
                live.subscribe(callback)
            await self._follow(boot)

            proxies = TrustedProxies.of(live, lambda settings: settings.access.trusted_proxies)
            access = Access.of(
                live,
                proxies,
                self._scope_of,
                setting="access.keys",
                keys=lambda settings: settings.access.keys,
            )
            access.guard(self.app)
            at = live.current.server
            tls = port_tls(at.ssl)
            await serve_actuator(boot, self.app, access, live.current, ending, tls=tls)
            server = HttpServer(
                self.app, address=at.address, port=at.port, upgrade_class=None, tls=tls
            )
            await server.open()
            if tls is not None:
                background.spawn("certificate", tls.watch())

            async def close() -> None:
                await server.close(live.current.drain.window)

            ending.push_async_callback(close)
            boot.health.accepting = True
            await boot.register(server.port, tls=tls is not None)
            settle()
            log.info("%s serves on %s", bootstrap.application, boot.location(server.port))

            await stop.wait()

            boot.health.accepting = False
            await boot.deregister()
            if boot.registration is not None:
                await asyncio.sleep(live.current.drain.notice.total_seconds())

    async def _follow(self, boot: Boot[T]) -> None:
        """Have a first list of every service, if Nacos gives it soon."""
        for peers in self._peers:
            peers.discovery = boot.discover(peers.service)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LIST_SECONDS):
                await asyncio.gather(*(peers.first_list() for peers in self._peers))
