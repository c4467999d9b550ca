"""Read from the streams for many at once: what is asked for in one turn goes in one round trip."""

import asyncio
import logging

from service.directory.redis_store import StoreError
from service.history.position import Position
from service.history.store import HistoryStore, Item, Span

log = logging.getLogger(__name__)

Page = tuple[str, list[tuple[Position, Item]]]
"""The data set, and entries of one span."""

_MOST = 100


class Reader:
    """Clients that come back in a crowd mostly want the same of the stream to all."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._wanted: dict[Span, asyncio.Future[Page]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, span: Span) -> Page:
        """Read a span. Raises StoreError."""
        found = self._wanted.get(span)
        if found is None:
            loop = asyncio.get_running_loop()
            if not self._wanted:
                loop.call_soon(self._start)
            found = self._wanted[span] = loop.create_future()
        # Whoever leaves must not take the answer from the others.
        return await asyncio.shield(found)

    def _start(self) -> None:
        wanted, self._wanted = list(self._wanted.items()), {}
        for start in range(0, len(wanted), _MOST):
            task = asyncio.create_task(self._read(wanted[start : start + _MOST]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self, wanted: list[tuple[Span, asyncio.Future[Page]]]) -> None:
        try:
            data_set, pages = await self._store.read([span for span, _ in wanted])
        except StoreError as error:
            _fail(wanted, error)
            return
        except Exception as error:
            # Those who wait must not do so for ever.
            log.exception("the history could not be read")
            _fail(wanted, error)
            return
        for (_, answer), page in zip(wanted, pages, strict=True):
            answer.set_result((data_set, page))


def _fail(wanted: list[tuple[Span, asyncio.Future[Page]]], error: Exception) -> None:
    for _, answer in wanted:
        answer.set_exception(error)
        # Nobody may be there any more to hear of it.
        answer.exception()
