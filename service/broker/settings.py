"""`websocket.resend`: what a node keeps of what it has published, for nodes that missed it."""

from datetime import timedelta

from nacos_boot.settings import DurationOrZero, Section, setting


class ResendSection(Section):
    """`websocket.resend`."""

    buffer: int = setting(
        33_554_432,
        "Bytes of published messages that a node keeps, to send them again to nodes whose queue was"
        " lost; 0: none, what is lost is only counted.",
        unit="bytes",
        ge=0,
    )
    age: DurationOrZero = setting(
        timedelta(seconds=60), "How long it keeps each of them; 0: none is kept."
    )
