"""What a soak reads at its rests, and whether that is flat. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

MB = 1_000_000
MOST_GROWTH = 0.05
LEAST_GROWTH = 4 * MB
MORE_FILES = 12
"""Connections that are kept for the next call come and go: to Redis, between gateway and node."""


@dataclass(frozen=True)
class Rest:
    """A moment with nobody connected: minutes since the start, and what the servers hold.

    `node` and `gateway` are bytes of memory (of the larger node), `*_files` open descriptors.
    """

    minute: float
    node: int
    gateway: int
    node_files: int
    gateway_files: int
    redis_keys: int
    queues: int
    messages: int
    instances: int


@dataclass
class Done:
    """What the soak did between its rests."""

    connections: int = 0
    pushes: int = 0
    received: int = 0
    edits: int = 0
    refused_edits: int = 0
    witnessed: int = 0
    missed: int = 0
    faults: int = 0


def growths(rests: Sequence[Rest]) -> list[str]:
    """Say what has grown from the first rest to the last, one sentence each; empty when flat."""
    first, last = rests[0], rests[-1]
    found = []
    for what in ("node", "gateway"):
        before, after = getattr(first, what), getattr(last, what)
        if after - before > max(LEAST_GROWTH, before * MOST_GROWTH):
            found.append(
                f"the memory of a {what} grew from {before / MB:.1f} to {after / MB:.1f} MB"
            )
    for what, more in (("node_files", MORE_FILES), ("gateway_files", MORE_FILES)):
        before, after = getattr(first, what), getattr(last, what)
        if after - before > more:
            found.append(f"{what.replace('_', ' ')} grew from {before} to {after}")
    for what in ("redis_keys", "queues", "messages", "instances"):
        before, after = getattr(first, what), getattr(last, what)
        if after != before:
            found.append(f"{what.replace('_', ' ')} went from {before} to {after}")
    return found


def table(rests: Sequence[Rest]) -> str:
    """Give the rests as a table in Markdown."""
    heads = [
        "minute",
        "node, MB",
        "gateway, MB",
        "node, files",
        "gateway, files",
        "Redis keys",
        "queues",
        "messages in them",
        "instances in Nacos",
    ]
    lines = [f"| {' | '.join(heads)} |", "| ---: " * len(heads) + "|"]
    for rest in rests:
        cells = [f"{rest.minute:.0f}", f"{rest.node / MB:.1f}", f"{rest.gateway / MB:.1f}"]
        cells += [str(getattr(rest, field.name)) for field in fields(rest)[3:]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def told(done: Done) -> str:
    """Say in one sentence what was done."""
    return (
        f"{done.connections:,} connections came and went, {done.pushes:,} pushes were accepted,"
        f" {done.received:,} messages read, {done.edits} edits of the settings taken and"
        f" {done.refused_edits} refused; of {done.witnessed:,} messages that clients who stayed"
        f" were owed, {done.missed} are missing; {done.faults} faults."
    )
