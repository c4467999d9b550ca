"""What a node asks of Redis at each tick of its heartbeat, without users and with many."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from redis import Redis

from bench.lab import Lab
from bench.load import Load
from bench.nodes import Nodes
from bench.row import Goal, Row
from devtools.ports import LOOPBACK
from devtools.waiting import StartError, wait_for

USERS = 2000

_TICKS = 6
# Ten times as often as by default, so that there soon are enough ticks to count.
_EVERY_SECOND = {"WEBSOCKET_NODE_HEARTBEATCRON": "* * * * * *"}
_LIMIT = 5.0


def heartbeat_row(lab: Lab) -> Row:
    """Count the commands of one node's ticks. No other node may use the Redis meanwhile.

    A tick is from one writing of the node record to the next: the beat, and one look at the other
    nodes. Raises StartError, PortError, LoadError.
    """
    nodes = Nodes(lab, _EVERY_SECOND)
    with Load() as load, Redis(LOOPBACK, lab.servers.ports.redis) as redis:
        look = _looks(redis)
        try:
            nodes.grow(1)
            without = median(ticks(look, _TICKS))
            nodes.connect(load, [USERS])
            beside = median(ticks(look, _TICKS))
        finally:
            nodes.stop()
    return Row(
        f"Redis commands per heartbeat of a node with {USERS:,} users",
        "commands",
        beside,
        "no users",
        without,
        beside / without,
        Goal(1.0, "at most"),
    )


@dataclass(frozen=True)
class Calls:
    """How many commands Redis has carried out for others, and how many beats were among them."""

    commands: int
    beats: int


def ticks(look: Callable[[], Calls], count: int) -> list[int]:
    """Give how many commands each of the next ticks has. Raises StartError when none comes."""
    found = look()

    def beaten() -> bool:
        nonlocal found
        found = look()
        return found.beats > before.beats

    counts = []
    for _ in range(count + 1):
        before = found
        if not wait_for(beaten, _LIMIT, interval=0.05):
            raise StartError(f"no heartbeat came within {_LIMIT:g} s")
        counts.append(found.commands - before.commands)
    # The first one had begun before.
    return counts[1:]


def _looks(redis: Redis) -> Callable[[], Calls]:
    own = 0

    def look() -> Calls:
        nonlocal own
        stats = redis.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): told["calls"] for name, told in stats.items()}
        # A command counts when it is done: this one does not, those before do.
        seen = Calls(sum(calls.values()) - own, calls.get("sadd", 0))
        own += 1
        return seen

    return look
