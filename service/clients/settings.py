"""`websocket.limits`: how much a node takes, from clients and from callers of its API."""

from datetime import timedelta
from typing import Literal

from nacos_boot.settings import Duration, Section, setting

SlowClient = Literal["close", "drop-oldest"]


class LimitsSection(Section):
    """`websocket.limits`. docs/limits.md tells how each of them answers."""

    max_connections: int = setting(100_000, "Connections of this node; more get 4429.", ge=1)
    max_connections_per_user: int = setting(
        0, "Connections of one user on all nodes; more get 4429. 0: any number.", ge=0
    )
    max_connections_per_address: int = setting(
        0,
        "Connections of this node from one address of a client; more get 4429. 0: any number.",
        ge=0,
    )
    handshakes_per_second: int = setting(
        0, "Clients let in per second, on average; more get 4429. 0: any number.", ge=0
    )
    handshake_burst: int = setting(
        1000, "Clients let in at once, while handshakes-per-second limits them.", ge=1
    )
    head_size: int = setting(
        64 * 1024,
        "Longest head of a request, in bytes; a longer one gets 431. A single line of a WebSocket"
        " handshake may have 8192 at most.",
        unit="bytes",
        when="next request",
        ge=1024,
        le=1024 * 1024,
    )
    head_timeout: Duration = setting(
        timedelta(seconds=10),
        "Time from the connection, or a request's first byte, to the end of its head, which is all"
        " of a client's handshake; then 408.",
    )
    send_buffer: int = setting(
        1_048_576,
        "Bytes that may wait for one client that reads slowly; beyond it slow-client says what"
        " happens.",
        unit="bytes",
        ge=4096,
    )
    slow_client: SlowClient = setting(
        "close",
        "What happens where more than send-buffer waits for a client. close: it is closed with"
        " 4008; drop-oldest: the oldest messages for it are dropped. Clients of cluster.v1 are"
        " always closed, since they can resume.",
    )
    max_message: int = setting(
        65_536,
        "Bytes of one message from a client; a longer one gets 1009.",
        unit="bytes",
        when="new connections",
        ge=125,
    )
    messages_per_second: int = setting(
        10_000,
        "Frames from one client per second, on average; more get 4429. 0: any number.",
        ge=0,
    )
    message_burst: int = setting(
        20_000, "Frames from one client at once, while messages-per-second limits them.", ge=1
    )
    pushes_per_second: int = setting(
        0,
        "Pushes per second that one caller of the API may ask this node for, on average; more get"
        " 429. A caller is an API key, or an address without keys. 0: any number.",
        ge=0,
    )
    push_burst: int = setting(
        1000, "Pushes of one caller at once, while pushes-per-second limits them.", ge=1
    )
    max_content: int = setting(
        1_048_576,
        "Bytes of the content of one push, as JSON; more get 413.",
        unit="bytes",
        ge=1,
    )
    max_body: int = setting(
        8_388_608,
        "Bytes of an API request's body; more get 413.",
        unit="bytes",
        when="next request",
        ge=1024,
        # Half of what a node takes from the exchange (service/broker/amqp_tap.py).
        le=16_777_216,
    )
    max_batch: int = setting(10_000, "Pushes in one batch request; more get 413.", ge=1)
    # At most what a node takes from the exchange (service/push/push.py).
    max_targets: int = setting(
        100_000, "Distinct targets of one push; more get 413.", ge=1, le=200_000
    )
