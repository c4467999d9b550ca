"""Pushes without a pause, from every node, to clients on every node; and what became of each."""

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection

from tests.cluster import ClusterUnderTest, Program
from tests.waiting import eventually

PAUSE = 0.02


class Traffic:
    """Each node sends about 50 pushes a second: to one user, to two, to all, in turn.

    Clients come through the gateway, and there are some on every node.
    """

    def __init__(self, cluster: ClusterUnderTest, users: int = 4) -> None:
        self._cluster = cluster
        self._users = [f"mover-{number}" for number in range(users)]
        self._got: dict[str, list[tuple[int, int]]] = {user: [] for user in self._users}
        self._accepted: list[list[tuple[int, list[str]]]] = [[] for _ in cluster.nodes]
        self._refused: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[ClientConnection] = []
        self._stopped = False

    async def __aenter__(self) -> Self:
        for user in self._users:
            client = await self._cluster.gateway.connect(user)
            self._clients.append(client)
            self._tasks.append(asyncio.create_task(self._read(user, client)))
        for node in self._cluster.nodes:
            assert await node.metric("websocket_connections") > 0
        self._senders = [
            asyncio.create_task(self._send(number, node))
            for number, node in enumerate(self._cluster.nodes)
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in (*self._senders, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._senders, *self._tasks, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._clients))

    async def flows(self, sender: int | None = None) -> None:
        """Wait until one node, or each, has had 20 more pushes accepted."""
        watched = self._accepted if sender is None else [self._accepted[sender]]
        marks = [len(accepted) + 20 for accepted in watched]

        def more() -> bool:
            assert not self._refused, self._refused[:3]
            return all(len(a) >= mark for a, mark in zip(watched, marks, strict=True))

        await eventually(more, limit=20)

    async def end(self) -> int:
        """Stop sending, and check that every push accepted has arrived once, and in order.

        No client may have been disconnected. Gives the number of pushes.
        """
        self._stopped = True
        await asyncio.gather(*self._senders)
        assert not self._refused, self._refused[:3]
        await eventually(self._complete, limit=20)
        assert not any(task.done() for task in self._tasks), "a client was disconnected"
        return sum(map(len, self._accepted))

    def _complete(self) -> bool:
        for user, got in self._got.items():
            for sender, accepted in enumerate(self._accepted):
                expected = [number for number, users in accepted if user in users]
                found = [number for origin, number in got if origin == sender]
                assert found == expected, f"{user}, from node {sender}: {_fault(found, expected)}"
        return True

    async def _send(self, sender: int, node: Program) -> None:
        number = 0
        while not self._stopped:
            one, two = (self._users[(number + step) % len(self._users)] for step in (0, 1))
            targets = ([one], [one, two], [])[number % 3]
            body: dict[str, Any] = {"content": [sender, number]}
            body |= {"targetUserList": targets} if targets else {"allUser": True}
            status, answer = await node.post("/api/push", body)
            if status == 202 and not answer["offline"]:
                self._accepted[sender].append((number, targets or self._users))
            else:
                self._refused.append((sender, number, status, answer))
            number += 1
            await asyncio.sleep(PAUSE)

    async def _read(self, user: str, client: ClientConnection) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            async for text in client:
                content = json.loads(text)
                # Tests may push other things in between.
                if isinstance(content, list):
                    self._got[user].append((content[0], content[1]))


def _fault(found: list[int], expected: list[int]) -> str:
    pairs = enumerate(zip(found, expected, strict=False))
    place = next((place for place, (a, b) in pairs if a != b), min(len(found), len(expected)))
    start = max(place - 3, 0)
    return (
        f"{len(found)} of {len(expected)}; got … {found[start : place + 5]},"
        f" expected … {expected[start : place + 5]}"
    )
