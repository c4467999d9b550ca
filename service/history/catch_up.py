"""Ask Redis where streams end, and fetch what did not come."""

import asyncio
import logging
from itertools import islice
from typing import TYPE_CHECKING

from service import metrics
from service.directory.redis_store import StoreError
from service.history.store import Span, Stream

if TYPE_CHECKING:
    from service.history.history import History

log = logging.getLogger(__name__)

STRAGGLER = 0.05
"""Seconds that a gap may last: two nodes that accept pushes at once may be heard out of order."""

_PAUSE = 0.5
_SUSPICION = 0.2
_USERS = 1000
_ENTRIES = 200
_STREAMS = 100


class CatchUp:
    """What is to be asked of Redis, and the two tasks that do it."""

    def __init__(self, history: "History") -> None:
        self._history = history
        self._users: dict[str, None] = {}
        self._asked = asyncio.Event()
        self._gaps: dict[Stream, None] = {}
        self._gapped = asyncio.Event()
        self._suspicion: asyncio.TimerHandle | None = None
        self.failed = False
        """Whether Redis did not answer when it was asked last."""

    def ask(self, user: str) -> None:
        """Have the head of a user's stream read, and that of the stream to all."""
        self._users[user] = None
        self._asked.set()

    def ask_all(self) -> None:
        """Compare all streams here with what Redis has."""
        self._users.update(dict.fromkeys(self._history.users))
        self._asked.set()

    def suspect(self) -> None:
        """Look soon whether Redis has another data set now."""
        if self._suspicion is None:
            loop = asyncio.get_running_loop()
            self._suspicion = loop.call_later(_SUSPICION, self._look)

    def gap(self, stream: Stream) -> None:
        """Fetch what is missing of a stream, unless it comes in a moment."""
        self._gaps[stream] = None
        self._gapped.set()

    def clear(self) -> None:
        """Forget everything that was to be asked."""
        self._users.clear()
        self._gaps.clear()

    async def read_heads(self) -> None:
        """Read heads that are asked for; runs until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            first = True
            while first or self._users:
                first = False
                some = list(islice(self._users, _USERS))
                for user in some:
                    del self._users[user]
                if not await self._read_heads(some):
                    self._users.update(dict.fromkeys(some))
                    first = True
                    await asyncio.sleep(_PAUSE)

    async def _read_heads(self, users: list[str]) -> bool:
        history = self._history
        try:
            heads = await history.store.heads(users)
        except StoreError as error:
            if not self.failed:
                log.warning("%s; the history is looked at when it does", error)
            self.failed = True
            history.know_nothing()
            return False
        self.failed = False
        if heads.data_set != history.data_set:
            history.begin_anew(heads.data_set)
            self._users.update(dict.fromkeys([*users, *history.users]))
            # What was read may be older than what has been passed on meanwhile.
            self._asked.set()
            return True
        history.know(heads)
        return True

    async def fill_gaps(self) -> None:
        """Fetch what is missing; runs until cancelled."""
        while True:
            await self._gapped.wait()
            await asyncio.sleep(STRAGGLER)
            self._gapped.clear()
            streams, self._gaps = list(self._gaps), {}
            for start in range(0, len(streams), _STREAMS):
                some = streams[start : start + _STREAMS]
                try:
                    await self._fetch(some)
                except StoreError:
                    # Redis may be away, and what is held comes when it is back.
                    self._gaps.update(dict.fromkeys(streams[start:]))
                    await asyncio.sleep(_PAUSE)
                    self._gapped.set()
                    break

    async def _fetch(self, streams: list[Stream]) -> None:
        history = self._history
        while streams:
            wanted = []
            for stream in streams:
                track = history.track(stream)
                if track is not None and track.last is not None and track.has_gap:
                    wanted.append((stream, track, track.last, track.wanted))
            if not wanted:
                return
            data_set, pages = await history.store.read(
                [Span(stream, last, None, _ENTRIES) for stream, _, last, _ in wanted]
            )
            if data_set != history.data_set:
                self._asked.set()
                return
            streams = []
            for (stream, track, _, asked), page in zip(wanted, pages, strict=True):
                if history.track(stream) is not track:
                    continue
                complete = len(page) < _ENTRIES
                found, lost = track.fetched(page, asked, complete=complete)
                if lost:
                    metrics.HISTORY_LOST.inc(lost)
                    log.warning("%d pushes are lost: Redis has them no more", lost)
                metrics.HISTORY_REPAIRED.inc(len(found))
                history.passed(stream, track, found)
                if not complete:
                    streams.append(stream)

    def _look(self) -> None:
        self._suspicion = None
        self._asked.set()
