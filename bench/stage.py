"""What `reload` runs on: nodes, and beside them a listener with the bare SDK."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from bench.lab import Lab
from bench.node import READY_LIMIT, Node
from devtools.paths import ROOT
from devtools.processes import Child
from devtools.waiting import StartError, wait_for


@dataclass
class Listener:
    """The process of `bench.sdk_listener`, and what it has told so far."""

    child: Child
    _read: int = 0
    _heard: dict[tuple[str, str], float] = field(default_factory=dict)
    _settled: bool = False

    def settled(self) -> bool:
        """Whether the SDK has registered the listeners at the server."""
        self._look()
        return self._settled

    def heard_at(self, data_id: str, md5: str) -> float | None:
        """Tell when (Unix time) it was called with this content first; None if it was not."""
        self._look()
        return self._heard.get((data_id, md5))

    def _look(self) -> None:
        with self.child.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                # The SDK may print something of its own, too.
                if line.startswith(b"{"):
                    self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        if told.get("settled"):
            self._settled = True
        else:
            self._heard.setdefault((told["dataId"], told["md5"]), told["at"])


class Stage:
    """Nodes, and the listener beside them."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.nacos = lab.nacos
        self.nodes: list[Node] = []
        self.listener: Listener

    def set_up(self, nodes: int, texts: dict[str, str]) -> None:
        """Publish the documents, start everything, and wait until the listener has settled."""
        for data_id, text in texts.items():
            self.nacos.publish(data_id, text)
        child = self._lab.child("sdk-listener")
        argv = [sys.executable, "-m", "bench.sdk_listener", *texts]
        child.spawn(argv, env=self._lab.environment, cwd=ROOT)
        self.listener = Listener(child)
        self.nodes = [self.spawn_node() for _ in range(nodes)]
        for node in self.nodes:
            node.wait_ready()
        child.wait_ready(self.listener.settled, READY_LIMIT)

    def spawn_node(self) -> Node:
        """Start a node without waiting for it."""
        return self._lab.spawn_node()

    def stop(self) -> None:
        """Stop everything, so that it costs the next benchmark nothing."""
        for child in [*(node.child for node in self.nodes), self.listener.child]:
            child.stop()

    def wait_for_all(self, nodes: list[Node], data_id: str, md5: str, limit: float) -> list[float]:
        """Wait until the listener and these nodes have a content; give the instants, in that order.

        Raises StartError when one of them does not get it.
        """
        found: list[float] = []
        for who, at in [
            ("the SDK listener", self.listener.heard_at),
            *((node.child.name, node.applied_at) for node in nodes),
        ]:
            instant: float | None = None

            def known(at: Any = at) -> bool:
                nonlocal instant
                instant = at(data_id, md5)
                return instant is not None

            if not wait_for(known, limit, interval=0.03) or instant is None:
                raise StartError(f"{who} did not get {data_id} within {limit:g} s")
            found.append(instant)
        return found
