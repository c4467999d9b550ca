"""`./dev up`: from nothing to a running cluster."""

import contextlib
import fcntl
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from devtools.cluster import Cluster
from devtools.compose import Compose, find_compose
from devtools.paths import ROOT, state_dir
from devtools.ports import Ports
from devtools.processes import Child
from devtools.records import read_records
from devtools.report import how_to_use, say
from devtools.servers import Servers
from devtools.waiting import StartError, tail

# What a shell gives a program that Ctrl-C ended.
INTERRUPTED = 130

COMPOSE_LOGS = "docker compose logs"
# The engine picks them out of the published range.
COMPOSE_NODES = "docker compose ps node"

_LOOK_EVERY = 0.5


def up(*, detach: bool, engine: str | None) -> int:
    """Bring the cluster up; `engine` is `native`, `compose`, or None to choose.

    Returns the exit code. Raises StartError and PortError.
    """
    ports = Ports.from_environment()
    compose = None if engine == "native" else find_compose(ports)
    if engine == "compose" and compose is None:
        raise StartError(
            "--compose: no Docker engine answers `docker info`, or it has no compose command; "
            "leave the option away to run without Docker"
        )
    with _interruptible():
        if compose is not None:
            return _up_compose(compose, detach=detach)
        return _up_native(ports, detach=detach)


def _up_compose(compose: Compose, *, detach: bool) -> int:
    if compose.running():
        if compose.serving():
            say("already running")
            say(how_to_use(compose.ports, logs=COMPOSE_LOGS, detached=True, nodes=COMPOSE_NODES))
            return 0
    else:
        compose.ports.check()
    try:
        compose.up(say)
        say(how_to_use(compose.ports, logs=COMPOSE_LOGS, detached=detach, nodes=COMPOSE_NODES))
        if not detach:
            compose.follow()
    except KeyboardInterrupt:
        say("\nstopping everything")
        compose.down()
        return INTERRUPTED
    return 0


def _up_native(ports: Ports, *, detach: bool) -> int:
    state = state_dir(ports)
    state.mkdir(parents=True, exist_ok=True)
    with (state / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = True
        else:
            busy = False
        running = {record.name for record in read_records(state)}
        missing = sorted(_names(state, ports) - running)
        if running and not missing:
            say("already running")
            say(how_to_use(ports, logs=_shown(state), detached=True))
            return 0
        if busy:
            say(
                f"a ./dev up in another terminal has it, at present without {', '.join(missing)} "
                f"(logs in {_shown(state)})"
            )
            return 1
        if running:
            say(f"part of it runs, but not {', '.join(missing)}: ./dev down, then ./dev up")
            return 1
        ports.check()
        return _run(state, ports, detach=detach)


def _shown(state: Path) -> str:
    return f"{state.relative_to(ROOT)}/logs/"


def _names(state: Path, ports: Ports) -> set[str]:
    """Give the pid file names of a whole cluster."""
    servers = Servers(state, ports)
    programs = Cluster(state, ports, {}).children
    return {child.name for child in (servers.nacos, servers.redis, servers.rabbitmq, *programs)}


def _run(state: Path, ports: Ports, *, detach: bool) -> int:
    for log in (state / "logs").glob("*.log"):
        if not log.name.startswith("setup-"):
            log.unlink()
    began = time.monotonic()
    servers = Servers(state, ports, outlive=detach)
    cluster = Cluster(state, ports, servers.env())
    try:
        say("starting Nacos, Redis and RabbitMQ (about 10 s; a minute the first time)")
        servers.start(say)
        cluster.start(say)
        say(f"the cluster is up after {time.monotonic() - began:.0f} s")
        say(how_to_use(ports, logs=_shown(state), detached=detach))
        if detach:
            return 0
        _watch([servers.nacos, servers.redis, servers.rabbitmq, *cluster.children])
    except KeyboardInterrupt:
        say("\nstopping everything")
        servers.stop(say)
        return INTERRUPTED
    except BaseException:
        servers.stop()
        raise
    servers.stop()
    return 0


def _watch(children: Sequence[Child]) -> None:
    """Return when nothing runs any more; say which child ended by itself meanwhile."""
    ended: set[str] = set()
    reported: set[str] = set()
    while any(child.alive for child in children):
        time.sleep(_LOOK_EVERY)
        for child in children:
            # Stopped on purpose its pid file goes too, but not in the same instant.
            crashed = not child.alive and child.recorded
            if crashed and child.name in ended and child.name not in reported:
                reported.add(child.name)
                say(f"{child.name} ended with code {child.exit_code}; the others go on.")
                say(f"The end of {child.log}:\n{tail(child.log)}")
            if crashed:
                ended.add(child.name)
    say("nothing runs any more")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let TERM and a closed terminal stop everything as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
