"""Idempotency: a request that comes again with its key gets the answer of the first time."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec
from quart import Response

from nacos_boot.http.problem import problem
from service import metrics
from service.api.http_answers import unavailable
from service.directory.redis_store import StoreError
from service.push.idempotency_keys import Kept, read_kept, write_kept
from service.push.idempotency_store import KeyStore
from service.push.tries import Tries

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
"""How long a key stays taken when its node dies: longer than a push can take by itself."""

_AGAIN = 1.0

_MAX_TASKS = 1000
"""Requests under way beyond which a key that Redis did not take note of is left to its lease."""

_OK = 2
_SERVER_FAULT = 500
_REPLAYED = {"Idempotency-Replayed": "true"}
_RETRY_AFTER = {"Retry-After": "1"}

Work = Callable[[Tries], Awaitable[Response]]
T = TypeVar("T")


class Idempotency:
    """Carries requests out once for each key. `ttl` tells how long their answers are kept.

    Only an answer of success is kept, a JSON document; after any other the key is free again. A
    try that failed may have had an effect all the same (503), or its node may have died: the next
    try of the same request is given the same Tries.
    """

    def __init__(self, store: KeyStore, ttl: Callable[[], timedelta]) -> None:
        self._store = store
        self._ttl = ttl
        self._tasks: set[asyncio.Task[object]] = set()

    async def answer(self, name: str, request: str, work: Work, wait: timedelta) -> Response:
        """Give the answer to a request: of `work`, the one that is kept, or a problem.

        `name` stands for the caller's key, `request` is the fingerprint; the work waits for `wait`
        beyond what a push takes. A client that goes away meanwhile ends nothing.
        """
        lease, ttl = write_kept(Kept(request, uuid.uuid4().hex)), LEASE + wait
        until = asyncio.get_running_loop().time() + ttl.total_seconds()
        try:
            # A node that dies now leaves both.
            life = max(self._ttl(), ttl)
            found = await self._store.take(name, request, lease, ttl, life)
        except StoreError as error:
            _count("unavailable")
            # A server that hung may do what it was asked when it goes on.
            self._settle_soon(_Settling(name, lease), until)
            return unavailable(error)
        if not isinstance(found, Tries):
            return _answer_from(read_kept(found), request)
        _count("new")
        return await asyncio.shield(self._start(self._carry_out(name, lease, found, work, until)))

    async def _carry_out(
        self, name: str, lease: bytes, tries: Tries, work: Work, until: float
    ) -> Response:
        settling = _Settling(name, lease)
        try:
            response = await work(tries)
            if response.status_code < _SERVER_FAULT:
                settling = settling._replace(over=tries)
            if response.status_code // 100 == _OK:
                settling = settling._replace(kept=await _kept(lease, response))
        finally:
            # Also where the work was broken off: what is not kept is given free.
            if not await self._settle(settling):
                self._settle_soon(settling, until)
        return response

    def _settle_soon(self, settling: "_Settling", until: float) -> None:
        if len(self._tasks) < _MAX_TASKS:
            self._start(self._settle_at_last(settling, until))

    async def _settle_at_last(self, settling: "_Settling", until: float) -> None:
        now = asyncio.get_running_loop().time
        while now() < until:
            await asyncio.sleep(_AGAIN)
            if await self._settle(settling):
                return

    async def _settle(self, settling: "_Settling") -> bool:
        name, lease, kept, over = settling
        try:
            if not kept:
                await self._store.free(name, lease, over)
            elif not await self._store.keep(name, lease, kept, self._ttl(), over):
                log.warning("an Idempotency-Key could not be kept: its lease had ended")
        except StoreError as error:
            log.warning("an Idempotency-Key stays taken for now: %s", error)
            return False
        return True

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Settling(NamedTuple):
    """What is to become of a name: it is given free, or an answer is kept. `over`: it has ended."""

    name: str
    lease: bytes
    kept: bytes = b""
    over: Tries | None = None


def _answer_from(kept: Kept | None, request: str) -> Response:
    if kept is None or kept.request != request:
        _count("mismatch")
        return problem(
            422,
            "Unprocessable Content",
            "This Idempotency-Key belongs to another request: a new one needs a key of its own.",
        )
    if not kept.status:
        _count("under_way")
        return problem(
            409,
            "Conflict",
            "The request with this Idempotency-Key is still under way.",
            headers=_RETRY_AFTER,
        )
    _count("replayed")
    return Response(
        bytes(kept.body), kept.status, headers=_REPLAYED, content_type="application/json"
    )


async def _kept(lease: bytes, response: Response) -> bytes:
    under_way = msgspec.json.decode(lease, type=Kept)
    body = await response.get_data(as_text=False)
    return write_kept(
        msgspec.structs.replace(under_way, status=response.status_code, body=msgspec.Raw(body))
    )


def _count(result: str) -> None:
    metrics.IDEMPOTENT_REQUESTS.labels(result).inc()
