"""What a soak does to a cluster: clients that come and go, pushes, edits of the settings."""

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.soak_figures import Done
from devtools.ports import LOOPBACK
from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, merged
from tests.waiting import eventually

_CLUSTER_V1: Any = "cluster.v1"
_REFUSED: dict[str, Any] = {"websocket": {"ping": {"interval": "never"}}}
_EDITS: tuple[dict[str, Any], ...] = (
    {"websocket": {"push": {"mode": "routed"}}},
    {"websocket": {"push": {"mode": "fanout"}, "ping": {"interval": "20s"}}},
    _REFUSED,
    {"websocket": {"push": {"mode": "routed"}, "limits": {"max-batch": 5000}}},
    {},
)
_WITNESSES = 4
_EDIT_PAUSE = 15.0
_PUSH_PAUSE = 0.05


class Traffic:
    """Goes on from `start` to `stop`; `done` adds up what happened."""

    def __init__(self, cluster: ClusterUnderTest, clients: int, done: Done) -> None:
        self._cluster = cluster
        self._clients = clients
        self._done = done
        self._tasks: list[asyncio.Task[None]] = []
        self._users: list[str] = []
        self._witnesses: list[_Witness] = []
        self._to_all: set[str] = set()
        self._edit = 0

    async def start(self) -> None:
        """Begin; returns once the witnesses are connected."""
        self._witnesses = []
        self._to_all.clear()
        for number in range(_WITNESSES):
            client = await self._program().connect(f"witness-{number}")
            self._witnesses.append(_Witness(client))
        loops: list[Callable[[], Coroutine[Any, Any, None]]] = [self._push, self._edit_settings]
        loops += [self._come_and_go] * self._clients
        self._tasks = [asyncio.create_task(self._again(loop)) for loop in loops]

    async def stop(self) -> None:
        """End, let everybody go, and count what the witnesses have missed."""
        pushing, *others = self._tasks
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
        for witness in self._witnesses:
            await witness.settle(self._to_all)
            self._done.witnessed += len(self._to_all)
            self._done.missed += len(self._to_all - witness.seen)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._cluster.edit_nodes({}, 30)

    async def _again(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except ConnectionClosed:
                # Its own wish, or a close by the API.
                continue
            except (OSError, AssertionError, aiohttp.ClientError, WebSocketException):
                self._done.faults += 1
                await asyncio.sleep(1)

    def _program(self) -> Program:
        return random.choice((self._cluster.gateway, self._cluster.gateway, *self._cluster.nodes))

    async def _come_and_go(self) -> None:
        # A new name each time: what is kept of users who are gone would show.
        user = f"soak-{uuid.uuid4().hex[:12]}"
        offered = [_CLUSTER_V1] if random.random() < 0.3 else None  # noqa: PLR2004 - a share
        url = f"ws://{LOOPBACK}:{self._program().port}/websocket/{user}?device=soak"
        client = await connect(url, subprotocols=offered, compression=None, open_timeout=30)
        self._done.connections += 1
        self._users.append(user)
        try:
            async with asyncio.timeout(random.expovariate(1 / 8) + 0.1):
                await self._live(client)
        except TimeoutError:
            pass
        finally:
            self._users.remove(user)
            await self._leave(client)

    async def _live(self, client: ClientConnection) -> None:
        await client.send("ping")
        await client.send(["pi", "ng"])
        async for message in client:
            self._done.received += 1
            if client.subprotocol and '"id"' in str(message):
                await client.send(json.dumps({"type": "ack", "id": json.loads(message)["id"]}))

    async def _leave(self, client: ClientConnection) -> None:
        how = random.random()
        if how < 0.2:  # noqa: PLR2004 - a share
            client.transport.abort()
        elif how < 0.3:  # noqa: PLR2004 - a share
            # Reserved bits: the node closes with 1002.
            client.transport.write(b"\xf1\x80\0\0\0\0")
            await client.wait_closed()
        else:
            await client.close()

    async def _push(self) -> None:
        await asyncio.sleep(_PUSH_PAUSE)
        chance = random.random()
        program = self._program()
        if chance < 0.1 or not self._users:  # noqa: PLR2004 - a share
            mark = uuid.uuid4().hex
            await program.push({"mark": mark})
            self._to_all.add(mark)
            self._done.pushes += 1
        elif chance < 0.2:  # noqa: PLR2004 - a share
            batch = [{"content": n, "targetUserList": [self._user()]} for n in range(20)]
            status, _ = await program.post("/api/push/batch", batch)
            self._done.faults += status != HTTPStatus.ACCEPTED
            self._done.pushes += len(batch)
        elif chance < 0.22:  # noqa: PLR2004 - a share
            await program.delete(f"/api/users/{self._user()}")
        else:
            targets = {self._user() for _ in range(random.randint(1, 5))}
            await program.push("x" * random.randint(1, 2000), *targets, f"nobody-{uuid.uuid4()}")
            self._done.pushes += 1

    def _user(self) -> str:
        return random.choice(self._users) if self._users else "nobody"

    async def _edit_settings(self) -> None:
        await asyncio.sleep(_EDIT_PAUSE)
        changes = _EDITS[self._edit % len(_EDITS)]
        self._edit += 1
        if changes is _REFUSED:
            self._cluster.publish("websocket-service.yml", merged(NODE_DOCUMENT, changes))
            self._done.refused_edits += 1
        else:
            await self._cluster.edit_nodes(changes, 30)
            self._done.edits += 1


class _Witness:
    """A client who stays, and notes what it was sent."""

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self.seen: set[str] = set()
        self._task = asyncio.create_task(self._read())

    async def settle(self, expected: set[str]) -> None:
        """Wait a little for what is on its way, and leave."""
        # What does not come is counted.
        with contextlib.suppress(AssertionError):
            await eventually(lambda: expected <= self.seen, 10)
        await self._client.close()
        await self._task

    async def _read(self) -> None:
        async for message in self._client:
            self.seen.add(json.loads(message)["mark"])
