"""From publish to in force: nodes and a settled SDK listener side by side on one Nacos."""

import argparse
import hashlib
import random
import time
from dataclasses import dataclass, field
from typing import Any

import yaml

from bench.bench import Bench, Outcome
from bench.figures import Spread, rounded, spread
from bench.lab import Lab
from bench.node import Node
from bench.row import Goal, Row
from bench.stage import Stage
from devtools.paths import ROOT
from devtools.report import say

NAME_DOCUMENT = "websocket-service.yml"
SHARED_DOCUMENT = "common.yml"

PEER = "settled SDK listener"
MEDIAN_GOAL = 1.3
P99_GOAL = 2.0

_EDITED = {NAME_DOCUMENT: "max-targets", SHARED_DOCUMENT: "max-batch"}
_LIMIT = 15.0
# Nobody is asked meanwhile: the answers would take CPU time from those that are measured.
_QUIET = 0.15
_FRESH_NODES = 5
_BURSTS = 3
_BURST = 20


@dataclass
class Samples:
    """Milliseconds from publish: to the listener's call, and to each node's having it in force."""

    listener: list[float] = field(default_factory=list)
    nodes: dict[str, list[float]] = field(default_factory=dict)

    def add(self, published: float, instants: list[float], nodes: list[Node]) -> None:
        """Take one edit's instants: the listener's, then the nodes'."""
        took = [(instant - published) * 1000 for instant in instants]
        self.listener.append(took[0])
        for node, milliseconds in zip(nodes, took[1:], strict=True):
            self.nodes.setdefault(node.child.name, []).append(milliseconds)

    def rows(self) -> dict[str, Spread]:
        """Summarise: the listener, all nodes together, the worst node, the last one of each edit.

        The worst node is the one with the highest 99th percentile.
        """
        each = [spread(sample) for sample in self.nodes.values()]
        return {
            PEER: spread(self.listener),
            "nodes": spread([took for sample in self.nodes.values() for took in sample]),
            "worst node": max(each, key=lambda node: node.p99),
            "last node of each edit": spread(
                [max(took) for took in zip(*self.nodes.values(), strict=True)]
            ),
        }


class Reload(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "reload"
    meaning = "from publish to in force, nodes beside a settled SDK listener"
    quick = False

    def add_options(self, options: argparse._ArgumentGroup) -> None:
        """Declare `--edits` and `--nodes`."""
        options.add_argument("--edits", type=int, default=100, help="of each document (100)")
        options.add_argument("--nodes", type=int, default=3, help="side by side (3)")

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:
        """Run it, print its tables, and give them as JSON. Raises StartError, PortError."""
        running = Stage(lab)
        texts = {
            data_id: (ROOT / "nacos-config" / data_id).read_text(encoding="utf-8")
            for data_id in (NAME_DOCUMENT, SHARED_DOCUMENT)
        }
        running.set_up(options.nodes, texts)
        say(f"nodes ready: {options.nodes}; the listener has settled")
        editor = _Editor(running, texts)
        details: dict[str, Any] = {"nodes": options.nodes, "edits": options.edits}
        rows: list[Row] = []
        for data_id in texts:
            spreads = editor.edit_one_by_one(data_id, options.edits).rows()
            details[data_id] = _report(f"{data_id}, {options.edits} edits", spreads)
            rows += _rows(f"edit of {data_id}", spreads["nodes"], spreads[PEER])
        fresh = editor.edit_when_ready(min(_FRESH_NODES, options.edits))
        details["fresh"] = _report(
            f"the first edit of a node that has just become ready, {len(fresh.listener)} nodes",
            {
                PEER: spread(fresh.listener),
                "fresh node": spread(next(iter(fresh.nodes.values()))),
            },
        )
        bursts = editor.burst(min(_BURSTS, options.edits))
        details["burst"] = _report(
            f"bursts of {_BURST} publishes, from the last one of each", bursts.rows()
        )
        running.stop()
        return Outcome(rows, details)


def _rows(what: str, nodes: Spread, peer: Spread) -> list[Row]:
    return [
        Row(f"{what}, {name}", "ms", ours, PEER, theirs, ours / theirs, Goal(goal, "at most"))
        for name, ours, theirs, goal in (
            ("p50", nodes.p50, peer.p50, MEDIAN_GOAL),
            ("p99", nodes.p99, peer.p99, P99_GOAL),
        )
    ]


class _Editor:
    """Publishes edits, each of them new, and measures when they are in force."""

    def __init__(self, running: Stage, texts: dict[str, str]) -> None:
        self._stage = running
        self._texts = texts
        self._edits = 0

    def edit_one_by_one(self, data_id: str, edits: int) -> Samples:
        """Publish, wait until all have it, pause for a moment, and so on."""
        samples, nodes = Samples(), self._stage.nodes
        for _ in range(edits):
            # Not in step with anything that the server does at intervals.
            time.sleep(random.uniform(0.0, 0.1))
            published, md5 = self._publish(data_id)
            time.sleep(_QUIET)
            samples.add(published, self._stage.wait_for_all(nodes, data_id, md5, _LIMIT), nodes)
        return samples

    def edit_when_ready(self, count: int) -> Samples:
        """Start a node, publish in the moment when it is ready; and again with a new one."""
        samples = Samples()
        for _ in range(count):
            node = self._stage.spawn_node()
            node.child.wait_ready(node.ready, _LIMIT, interval=0.01)
            published, md5 = self._publish(NAME_DOCUMENT)
            time.sleep(_QUIET)
            instants = self._stage.wait_for_all([node], NAME_DOCUMENT, md5, _LIMIT)
            took = [(instant - published) * 1000 for instant in instants]
            samples.listener.append(took[0])
            samples.nodes.setdefault("fresh", []).append(took[1])
            node.child.stop()
        return samples

    def burst(self, count: int) -> Samples:
        """Publish again and again without waiting; measured is the last one."""
        samples, nodes = Samples(), self._stage.nodes
        for _ in range(count):
            for _ in range(_BURST):
                published, md5 = self._publish(NAME_DOCUMENT)
            time.sleep(_QUIET)
            instants = self._stage.wait_for_all(nodes, NAME_DOCUMENT, md5, _LIMIT)
            samples.add(published, instants, nodes)
        return samples

    def _publish(self, data_id: str) -> tuple[float, str]:
        """Publish a text with another value than any before; give the instant before, and md5."""
        self._edits += 1
        document = yaml.safe_load(self._texts[data_id])
        # One that the other document does not set, so that the value in force changes.
        limits = document.setdefault("websocket", {}).setdefault("limits", {})
        limits[_EDITED[data_id]] = 100_000 + self._edits
        text = yaml.safe_dump(document)
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        published = time.time()
        self._stage.nacos.publish(data_id, text)
        return published, md5


def _report(title: str, rows: dict[str, Spread]) -> dict[str, Any]:
    """Print a Markdown table, as docs/performance.md holds it, and give it as JSON."""
    peer = rows[PEER]
    say(f"\n{title}, milliseconds:\n")
    say(f"| {'':<24} |   p50 |   p90 |   p99 |   max | ratio p50 | ratio p99 |")
    say(f"| {'':-<24} | ----: | ----: | ----: | ----: | --------: | --------: |")
    result: dict[str, Any] = {}
    for name, row in rows.items():
        result[name] = rounded(row)
        ratios = ["", ""]
        if row is not peer:
            median, p99 = row.p50 / peer.p50, row.p99 / peer.p99
            ratios = [f"{median:.2f}", f"{p99:.2f}"]
            result[name] |= {"ratioP50": round(median, 2), "ratioP99": round(p99, 2)}
        figures = [f"{figure:5.1f}" for figure in (row.p50, row.p90, row.p99, row.max)]
        cells = [f"{name:<24}", *figures, *(f"{ratio:>9}" for ratio in ratios)]
        say(f"| {' | '.join(cells)} |")
    goal = [f"{figure:>9.2f}" for figure in (MEDIAN_GOAL, P99_GOAL)]
    say(f"| {' | '.join(['goal'.ljust(24), *[' ' * 5] * 4, *goal])} |")
    return result
