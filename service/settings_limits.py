"""`websocket.limits`: how much a node takes, from clients and from callers of its API."""

from nacos_boot.settings import Section, setting


class LimitsSection(Section):
    """`websocket.limits`."""

    max_connections: int = setting(100_000, "Connections of this node; more get 4429.", ge=1)
    send_buffer: int = setting(
        1_048_576,
        "Bytes that may wait for one client that reads slowly; beyond it is closed with 4008.",
        unit="bytes",
        ge=4096,
    )
    max_message: int = setting(
        65_536, "Bytes of one message from a client.", unit="bytes", when="new connections", ge=125
    )
    max_body: int = setting(8_388_608, "Bytes of an API request's body.", unit="bytes", ge=1024)
    max_batch: int = setting(10_000, "Pushes in one batch request.", ge=1)
    max_targets: int = setting(100_000, "Distinct targets of one push.", ge=1)
