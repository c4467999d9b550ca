"""The streams of the history in memory. tests/contract holds them to what Redis does."""

import asyncio
import bisect
import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from service.directory.redis_store import StoreError
from service.history.position import START, Position, ms_of, number_of, position
from service.history.settings import HistorySection
from service.history.store import Addition, Head, Heads, HistoryStore, Item, Span, Stream

_numbers = itertools.count(1)


class FakeHistoryStore(HistoryStore):
    """Redis. `away` makes every command fail."""

    def __init__(self) -> None:
        self.away = False
        self.lose()

    def lose(self) -> None:
        """Lose the data."""
        self.data_set = f"{next(_numbers):012x}"
        self.streams: dict[Stream, list[tuple[Position, Item]]] = {}
        self.last: dict[Stream, Position] = {}
        self.pointers: dict[str, dict[str, Position]] = {}
        self.tries: dict[str, dict[tuple[Stream, str], Position]] = {}
        """What is noted of requests that may be tried again, by key; a test puts the keys there."""

    async def append(
        self, additions: Sequence[Addition], settings: HistorySection
    ) -> tuple[str, list[Position]]:
        await self._command()
        return self.data_set, [self._append_once(*addition, settings) for addition in additions]

    def _append_once(
        self, stream: Stream, item: Item, tries: str, settings: HistorySection
    ) -> Position:
        noted = self.tries.get(tries, {})
        at = noted.get((stream, item.id))
        if at is None or at not in {there for there, _ in self.streams.get(stream, [])}:
            at = noted[stream, item.id] = self._append(stream, item, settings)
        return at

    def _append(self, stream: Stream, item: Item, settings: HistorySection) -> Position:
        last = self.last.get(stream, START)
        at = position(max(_now(), ms_of(last)), number_of(last) + 1)
        entries = self.streams.setdefault(stream, [])
        entries.append((at, item))
        del entries[: -(settings.length if stream else settings.all_length)]
        self.last[stream] = at
        if stream is not None and item.keep:
            self.pointers.setdefault(stream, {})[item.id] = at
        return at

    async def heads(self, users: Sequence[str]) -> Heads:
        await self._command()
        now = _now()
        none = position(now, 0)
        return Heads(
            self.data_set,
            now,
            self.last.get(None, none),
            {u: Head(self.last.get(u, none), len(self.pointers.get(u, ()))) for u in users},
        )

    async def read(self, spans: Sequence[Span]) -> tuple[str, list[list[tuple[Position, Item]]]]:
        await self._command()
        return self.data_set, [self._span(span) for span in spans]

    def _span(self, span: Span) -> list[tuple[Position, Item]]:
        entries = self.streams.get(span.stream, [])
        start = bisect.bisect_right(entries, span.after, key=lambda entry: entry[0])
        end = len(entries)
        if span.upto is not None:
            end = bisect.bisect_right(entries, span.upto, key=lambda entry: entry[0])
        return entries[start:end][: span.most]

    async def kept(self, user: str) -> list[tuple[Position, Item]]:
        await self._command()
        wanted = set(self.pointers.get(user, {}).values())
        return [entry for entry in self.streams.get(user, []) if entry[0] in wanted]

    async def release(self, users: Mapping[str, Collection[str]]) -> None:
        await self._command()
        for user, ids in users.items():
            for push_id in ids:
                self.pointers.get(user, {}).pop(push_id, None)

    async def trim(self, age: timedelta, limit: timedelta) -> int | None:
        raise NotImplementedError

    async def _command(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreError("Redis at fake:6379 does not answer (away)")


def _now() -> int:
    return round(time.time() * 1000)
