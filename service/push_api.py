"""The HTTP API's two ways to push: one push a request, or many."""

from collections.abc import Sequence

import msgspec
from quart import Quart, Response, request

from nacos_boot.config.live import LiveSettings
from service.answers import Accepted, PushesFailedError, Result
from service.batch import BatchError, accept_batch
from service.http_answers import bad_request, json_answer, unavailable
from service.push import Push, PushError, accept_push
from service.pusher import Pusher
from service.settings import NodeSettings
from service.settings_limits import LimitsSection


def add_push_api(app: Quart, live: LiveSettings[NodeSettings], pusher: Pusher) -> None:
    """Add `POST /api/push` and `POST /api/push/batch`.

    To the app itself: for a route of a blueprint Quart looks up the blueprints' names and hooks
    several times a request.
    """

    def limits() -> LimitsSection:
        return live.current.websocket.limits

    @app.post("/api/push")
    async def push() -> Response:
        if request.query_string and "wait" in request.args:
            return bad_request("wait", "delivery reports are not supported by this version")
        body = await _body()
        try:
            accepted = await pusher.push(accept_push(body, max_targets=limits().max_targets))
        except PushError as error:
            return bad_request(error.field, error.message)
        except PushesFailedError as error:
            return unavailable(error)
        return json_answer(accepted, 202)

    @app.post("/api/push/batch")
    async def batch() -> Response:
        body = await _body()
        most = limits()
        try:
            items = accept_batch(body, max_items=most.max_batch, max_targets=most.max_targets)
        except BatchError as error:
            return bad_request("", str(error))
        results = await _send_all(pusher, items)
        failures = [item for item in results if isinstance(item, PushesFailedError)]
        if failures and len(failures) == len(results):
            return unavailable(failures[0])
        return json_answer(_batch_answer(results), 202)


async def _body() -> bytes:
    body = await request.get_data(cache=False)
    return body if isinstance(body, bytes) else body.encode()


async def _send_all(
    pusher: Pusher, items: Sequence[Push | PushError]
) -> Sequence[Result | PushError]:
    pushes = [item for item in items if isinstance(item, Push)]
    results = await pusher.push_all(pushes)
    if len(pushes) == len(items):
        return results
    following = iter(results)
    return [item if isinstance(item, PushError) else next(following) for item in items]


class _Sent(msgspec.Struct, gc=False):
    index: int
    id: str


class _NotSent(msgspec.Struct, gc=False):
    index: int
    error: str


class _BatchAnswer(msgspec.Struct):
    accepted: int
    results: list[_Sent | _NotSent]


def _batch_answer(results: Sequence[Result | PushError]) -> _BatchAnswer:
    told = [
        _Sent(index, item.id) if isinstance(item, Accepted) else _NotSent(index, str(item))
        for index, item in enumerate(results)
    ]
    return _BatchAnswer(sum(isinstance(item, _Sent) for item in told), told)
