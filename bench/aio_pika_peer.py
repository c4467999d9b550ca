"""Starts the peers that use aio-pika, and gives them orders."""

import json
import socket
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from bench.cpu import cpu_seconds, pinned
from bench.lab import Lab
from devtools.paths import ROOT
from devtools.ports import LOOPBACK, free_port
from devtools.probes import accepts
from devtools.waiting import StartError

_READY_LIMIT = 30.0
_ANSWER_LIMIT = 60.0


class AioPikaPeer:
    """One process of `bench.peers.<module>`, on these cores (all, if none). Raises StartError."""

    def __init__(self, lab: Lab, module: str, *arguments: str, cores: Sequence[int] = ()) -> None:
        port = free_port()
        self._child = lab.child("aio-pika")
        argv = [sys.executable, "-m", f"bench.peers.{module}", str(port), *arguments]
        self._child.spawn(pinned(argv, cores) if cores else argv, env=lab.environment, cwd=ROOT)
        self._child.wait_ready(lambda: accepts(port), _READY_LIMIT, interval=0.05)
        self._socket = socket.create_connection((LOOPBACK, port), _ANSWER_LIMIT)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._answers.close()
        self._socket.close()
        self._child.kill()

    def tell(self, op: str, **arguments: Any) -> None:
        """Give an order, to be answered later."""
        self._socket.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to an order. Raises StartError when there is none."""
        try:
            line = self._answers.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise StartError(f"{self._child.name} does not answer; see {self._child.log}")
        return dict(json.loads(line))

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.tell(op, **arguments)
        return self.answer()

    def cpu_seconds(self) -> float:
        """Give the CPU time that it has used up to now."""
        return cpu_seconds([self._child.pid])
