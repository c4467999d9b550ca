"""What the load generator tells. Times are in seconds, or in the unit that a name ends with."""

import msgspec


class Nothing(msgspec.Struct, frozen=True):
    """A command that has no result."""


class Opened(msgspec.Struct, frozen=True, rename="camel"):
    """From the first connect to the last greeting; percentiles are of single connections."""

    opened: int
    failed: int
    seconds: float
    reasons: dict[str, int]
    p50_ms: float
    p99_ms: float


class Round(msgspec.Struct, frozen=True, rename="camel"):
    """What arrived; `bytes` are of payload."""

    seconds: float
    frames: int
    bytes: int
    wrong: int
    sample: str
    extra: int
    """Messages beyond those that were waited for, which count for the next round."""
    reads: int
    """System calls that brought something."""
    cpu_seconds: float
    """Of the generator: near `seconds`, it was the one that was slow, or it polled."""


class Await(Round, frozen=True, rename="camel"):
    """The same, for all connections together."""


class Rounds(Round, frozen=True, rename="camel"):
    """Several rounds; `seconds` has the pauses in it, the percentiles are of single rounds."""

    rounds: int
    p50_ms: float
    p99_ms: float


class Echo(Round, frozen=True, rename="camel"):
    """`frames` are answers; percentiles are of the way there and back."""

    p50_ms: float
    p99_ms: float


class Http(msgspec.Struct, frozen=True, rename="camel"):
    """`seconds` until the last response; `frames` until the last message, if it was awaited."""

    requests: int
    wrong: int
    sample: str
    seconds: float
    reconnected: int
    p50_ms: float
    p99_ms: float
    frames: Round | None
    cpu_seconds: float
    statuses: dict[str, int]


class Stamps(msgspec.Struct, frozen=True, rename="camel"):
    """Latencies from the time in a message to its arrival, in µs."""

    count: int
    wrong: int
    sample: str
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float


class Served(msgspec.Struct, frozen=True):
    """Where the backend listens."""

    port: int


class Closed(msgspec.Struct, frozen=True):
    """How many connections there were."""

    closed: int


class LoadStatus(msgspec.Struct, frozen=True):
    """Open connections, those that were lost, and messages that wait for the next round."""

    clients: int
    backends: int
    lost: int
    waiting: int
    wrong: int
    pings: int
