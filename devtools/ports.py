"""Every TCP port the local cluster uses, shifted together by one offset."""

import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass

OFFSET_VARIABLE = "DEV_PORT_OFFSET"
NODE_COUNT = 3
LOOPBACK = "127.0.0.1"
LOWEST_PORT = 1024
HIGHEST_PORT = 65535

# The highest port is epmd at 25673; test runs stay below 32768, where Linux begins to
# hand out ports of its own choice to outgoing connections.
_FREE_OFFSETS = range(1000, 7000, 20)


class PortError(Exception):
    """A port is taken, or the offset is not a usable number; the text says which and why."""


@dataclass(frozen=True)
class Ports:
    """One consistent set of ports. Nacos derives its gRPC and JRaft ports from `nacos`."""

    gateway: int
    nodes: tuple[int, ...]
    nacos: int
    nacos_console: int
    redis: int
    rabbitmq: int
    rabbitmq_distribution: int
    epmd: int

    @property
    def nacos_grpc(self) -> int:
        """The gRPC port for clients, which Nacos fixes at its main port + 1000."""
        return self.nacos + 1000

    @property
    def nacos_grpc_cluster(self) -> int:
        """The gRPC port between servers, main port + 1001; a standalone server opens it too."""
        return self.nacos + 1001

    @property
    def nacos_raft(self) -> int:
        """JRaft: main port - 1000; the only port that listens on every address."""
        return self.nacos - 1000

    @classmethod
    def with_offset(cls, offset: int) -> "Ports":
        """Give the usual ports, each plus `offset`.

        Raises PortError when that leaves the range 1024-65535.
        """
        ports = cls(
            gateway=8000 + offset,
            nodes=tuple(8081 + offset + index for index in range(NODE_COUNT)),
            nacos=8848 + offset,
            nacos_console=8080 + offset,
            redis=6379 + offset,
            rabbitmq=5672 + offset,
            rabbitmq_distribution=25672 + offset,
            epmd=25673 + offset,
        )
        for port, purpose in ports.purposes().items():
            if not LOWEST_PORT <= port <= HIGHEST_PORT:
                raise PortError(
                    f"{OFFSET_VARIABLE}={offset} puts {purpose} on port {port}; "
                    f"every port must be between {LOWEST_PORT} and {HIGHEST_PORT}"
                )
        return ports

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Ports":
        """Give the ports for `DEV_PORT_OFFSET` (0 when unset). Raises PortError."""
        text = environment.get(OFFSET_VARIABLE, "").strip() or "0"
        try:
            offset = int(text)
        except ValueError:
            raise PortError(f"{OFFSET_VARIABLE}={text!r} is not a whole number") from None
        return cls.with_offset(offset)

    @classmethod
    def free(cls) -> "Ports":
        """Find a set of which no port is in use right now, for one test run.

        Raises PortError when no offset has all its ports free.
        """
        for offset in random.sample(_FREE_OFFSETS, len(_FREE_OFFSETS)):
            ports = cls.with_offset(offset)
            if not ports.taken():
                return ports
        raise PortError("no offset between 1000 and 7000 has all the ports of a cluster free")

    def server_purposes(self) -> dict[int, str]:
        """Port to purpose, for what Nacos, Redis and RabbitMQ open."""
        return {
            self.nacos: "the Nacos API",
            self.nacos_grpc: "Nacos gRPC for clients",
            self.nacos_grpc_cluster: "Nacos gRPC between servers",
            self.nacos_raft: "Nacos JRaft",
            self.nacos_console: "the Nacos console",
            self.redis: "Redis",
            self.rabbitmq: "RabbitMQ",
            self.rabbitmq_distribution: "RabbitMQ's Erlang distribution",
            self.epmd: "RabbitMQ's epmd",
        }

    def purposes(self) -> dict[int, str]:
        """Port to purpose, for everything `./dev up` opens."""
        programs = {self.gateway: "the gateway"}
        for number, port in enumerate(self.nodes, start=1):
            programs[port] = f"node {number}"
        return programs | self.server_purposes()

    def taken(self, purposes: Mapping[int, str] | None = None) -> dict[int, str]:
        """Those of `purposes` (all when None) on which something listens."""
        asked = self.purposes() if purposes is None else purposes
        return {port: purpose for port, purpose in asked.items() if not is_free(port)}

    def check(self, purposes: Mapping[int, str] | None = None) -> None:
        """Raise PortError naming every port that is in use and what it was meant for."""
        taken = self.taken(purposes)
        if taken:
            named = ", ".join(f"{port} ({purpose})" for port, purpose in sorted(taken.items()))
            raise PortError(
                f"in use on this machine: port {named}. "
                f"Stop what listens there, or shift all ports with {OFFSET_VARIABLE}=N"
            )


def is_free(port: int) -> bool:
    """Whether nothing listens on `port`, on any address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port counts as taken for a minute after its last connection closed.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Any one free port on loopback, for a test's extra server."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
