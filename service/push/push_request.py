"""What a request to push may ask for beside the push: a delivery report, and to be done once."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Self

from quart import Response
from quart.globals import request_ctx

from nacos_boot.config.live import LiveSettings
from service.api.caller import caller_of
from service.api.http_answers import bad_request
from service.directory.directories import Directories
from service.push.idempotency import Idempotency
from service.push.idempotency_keys import KeyRefusedError, fingerprint, key_in, name_of
from service.push.idempotency_store import RedisKeyStore
from service.push.report_gathering import Gathering, WaitError, read_wait
from service.push.tries import Tries
from service.settings import NodeSettings

_NO_WAIT = timedelta(0)

CarryOut = Callable[[bytes, timedelta | None, Tries | None], Awaitable[Response]]
"""Carries out a request, given its body and how long it waits for a report, None for not at all.

The last argument tells of its tries, None without an Idempotency-Key.
"""


class PushRequests:
    """Reads `?wait=` and `Idempotency-Key`, and serves requests accordingly."""

    def __init__(
        self, live: LiveSettings[NodeSettings], gathering: Gathering, idempotency: Idempotency
    ) -> None:
        self._live = live
        self._idempotency = idempotency
        self.gathering = gathering

    @classmethod
    def of(
        cls, live: LiveSettings[NodeSettings], gathering: Gathering, directory: Directories
    ) -> Self:
        """Make it for a node: keys are kept in the Redis of its Directory."""
        prefix = live.current.websocket.redis.key_prefix
        keys = RedisKeyStore(prefix, lambda: directory.side.store)
        return cls(
            live,
            gathering,
            Idempotency(keys, lambda: live.current.websocket.push.idempotency_ttl),
        )

    async def serve(self, carry_out: CarryOut, *, may_wait: bool = False) -> Response:
        """Answer the request that is being served."""
        # Each look through Quart's `request` costs half a microsecond.
        asked = request_ctx.request
        wait = None
        if asked.query_string and (text := asked.args.get("wait")) is not None:
            if not may_wait:
                return bad_request("wait", "delivery reports are for single pushes: /api/push")
            try:
                wait = read_wait(text, self._live.current.websocket.push.max_wait)
            except WaitError as error:
                return bad_request("wait", str(error))
        try:
            # werkzeug's headers are slower to look through than those as they came.
            key = key_in(asked.scope["headers"])
        except KeyRefusedError as error:
            return bad_request("Idempotency-Key", str(error))
        data = await asked.get_data(cache=False)
        body = data if isinstance(data, bytes) else data.encode()
        if key is None:
            return await carry_out(body, wait, None)
        return await self._idempotency.answer(
            name_of(caller_of(), key),
            fingerprint(asked.path, asked.query_string, body),
            partial(carry_out, body, wait),
            wait or _NO_WAIT,
        )
