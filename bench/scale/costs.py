"""The costs file: what each thing takes on one core of one machine, and how that was measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("costs.json")

_MICRO = 1e-6

NAMES = (
    "node.idle",
    "node.request",
    "node.batch_push",
    "node.lookup_call",
    "node.lookup_user",
    "node.publish",
    "node.consume",
    "node.part",
    "node.deliver",
    "node.connect",
    "node.disconnect",
    "node.ping",
    "node.look_record",
    "node.list_instance",
    "node.pushed_instance",
    "node.scrape",
    "node.bytes",
    "node.connection_bytes",
    "kernel.socket_bytes",
    "gateway.frame",
    "gateway.handshake",
    "gateway.relay_bytes",
    "rabbitmq.message",
    "rabbitmq.queue_message",
    "rabbitmq.copy",
    "rabbitmq.kilobyte",
    "rabbitmq.persistent",
    "rabbitmq.hop",
    "rabbitmq.mirror",
    "redis.lookup_call",
    "redis.lookup_user",
    "redis.lookup_alone",
    "redis.write_user",
    "redis.write_alone",
    "redis.look_record",
    "redis.record_bytes",
    "redis.user_bytes",
    "nacos.list_instance",
    "nacos.instance_bytes",
)
"""Every cost that the file must give, and no other."""


class CostsError(Exception):
    """The costs file cannot be used; the message names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One cost: `unit` is µs (CPU of one core) or bytes."""

    value: float
    unit: str
    how: str


@dataclass(frozen=True, slots=True)
class Costs:
    """All costs, and the facts of the machine on which they were measured."""

    machine: Mapping[str, Any]
    all: Mapping[str, Cost]

    def seconds(self, name: str) -> float:
        """Give a cost in seconds of one core."""
        return self.all[name].value * _MICRO

    def size(self, name: str) -> float:
        """Give a cost in bytes."""
        return self.all[name].value


def read_costs(file: Path = FILE) -> Costs:
    """Read a costs file. Raises CostsError."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        found = {
            name: Cost(float(cost["value"]), str(cost["unit"]), str(cost["how"]))
            for name, cost in written["costs"].items()
        }
        machine = dict(written["machine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CostsError(f"{file}: no costs can be read ({error!r})") from error
    if missing := [name for name in NAMES if name not in found]:
        raise CostsError(f"{file}: {missing[0]} is missing")
    if unknown := [name for name in found if name not in NAMES]:
        raise CostsError(f"{file}: {unknown[0]} is no cost that the simulation knows")
    if wrong := [name for name, cost in found.items() if cost.unit not in {"µs", "bytes"}]:
        raise CostsError(f"{file}: the unit of {wrong[0]} must be µs or bytes")
    return Costs(machine, {name: found[name] for name in NAMES})
