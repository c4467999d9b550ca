"""A client of cluster.v1 that does what docs/guarantees.md asks of it."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from devtools.ports import LOOPBACK
from tests.cluster import Program

Frame = dict[str, Any]


class V1Client:
    """One user's client: keeps the last token, drops what it has seen, and says what it got.

    `frames` is everything in the order in which it came, `contents` without repeats.
    """

    def __init__(self, user: str) -> None:
        self.user = user
        self.token: str | None = None
        self.frames: list[Frame] = []
        self.contents: list[Any] = []
        self.repeats = 0
        self._seen: set[str] = set()
        self._connection: ClientConnection
        self._reading: asyncio.Task[None]
        self._come = asyncio.Event()

    async def connect(self, node: Program, *, resume: bool = True, by_query: bool = False) -> Frame:
        """Connect and resume; gives the answer, or the frame `pong` where it did not resume."""
        query = f"?resume={self.token}" if by_query else ""
        url = f"ws://{LOOPBACK}:{node.port}/websocket/{self.user}{query}"
        self._connection = await connect(url, subprotocols=["cluster.v1"])  # type: ignore[list-item]  # text will do
        assert await self._connection.recv() == "pong"
        self._awaiting = resume or by_query
        before = len(self.frames)
        self._reading = asyncio.create_task(self._read())
        if by_query:
            return await self.answer(before)
        if resume:
            return await self.resume(self.token)
        return {"type": "pong"}

    async def resume(self, token: str | None) -> Frame:
        before = len(self.frames)
        self._awaiting = True
        await self.send({"type": "resume", "token": token})
        return await self.answer(before)

    async def answer(self, before: int) -> Frame:
        """Wait for what a resume is answered with."""
        while True:
            for frame in self.frames[before:]:
                if frame["type"] in {"resumed", "reset"}:
                    return frame
            await self._more()

    async def send(self, message: Frame) -> None:
        await self._connection.send(json.dumps(message))

    async def gets(self, *contents: Any) -> None:
        """Wait until these have come in this order, each once, and nothing else has."""
        while len(self.contents) < len(contents):
            await self._more()
        assert self.contents == list(contents)
        self.contents.clear()

    async def close(self) -> None:
        await self._connection.close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    def ids(self) -> Sequence[str]:
        return [frame["id"] for frame in self.frames if frame["type"] == "message"]

    async def _more(self) -> None:
        self._come.clear()
        async with asyncio.timeout(15):
            await self._come.wait()

    async def _read(self) -> None:
        async for text in self._connection:
            if text == "pong":
                continue
            frame: Frame = json.loads(text)
            self.frames.append(frame)
            if frame["type"] in {"resumed", "reset"}:
                self._awaiting = False
                self.token = frame.get("token")
            elif frame["id"] in self._seen:
                self.repeats += 1
            else:
                self._seen.add(frame["id"])
                self.contents.append(frame["content"])
            # A token that comes before the answer would skip what the answer is about.
            if frame["type"] == "message" and frame["token"] and not self._awaiting:
                self.token = frame["token"]
            self._come.set()
