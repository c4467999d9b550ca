"""The HTTP API's two ways to push: one push a request, or many."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from quart import Quart, Response

from nacos_boot.config.live import LiveSettings
from service import metrics
from service.api.http_answers import bad_request, json_answer, unavailable
from service.api.push_pace import PushPace
from service.clients.settings import LimitsSection
from service.history.recorder import NOT_KEPT, without_history
from service.push.answers import Accepted, PushesFailedError, Result
from service.push.batch import BatchError, accept_batch
from service.push.push import Push, PushError, accept_push
from service.push.push_request import PushRequests
from service.push.pusher import Pusher
from service.push.tries import Tries
from service.settings import NodeSettings


def add_push_api(  # noqa: C901 - its routes are counted together
    app: Quart, live: LiveSettings[NodeSettings], pusher: Pusher, requests: PushRequests
) -> None:
    """Add `POST /api/push` and `POST /api/push/batch`.

    To the app itself: for a route of a blueprint Quart looks up the blueprints' names and hooks
    several times a request.
    """
    pace = PushPace(live)

    def limits() -> LimitsSection:
        return live.current.websocket.limits

    async def push_one(body: bytes, wait: timedelta | None, tries: Tries | None) -> Response:
        try:
            most = limits()
            push = accept_push(body, max_targets=most.max_targets, max_content=most.max_content)
            if push.keep and pusher.recorder is None:
                raise NOT_KEPT
            if tries is not None:
                [push] = tries.name([push])
            if wait is not None:
                return json_answer(await requests.gathering.push(push, pusher.push, wait))
            accepted = await pusher.push(push)
        except PushError as error:
            return bad_request(error.field, error.message, error.limit)
        except PushesFailedError as error:
            return unavailable(error)
        return json_answer(accepted, 202)

    async def push_many(body: bytes, _: timedelta | None, tries: Tries | None) -> Response:
        most = limits()
        try:
            items = accept_batch(
                body,
                max_items=most.max_batch,
                max_targets=most.max_targets,
                max_content=most.max_content,
            )
        except BatchError as error:
            return bad_request("", str(error), error.limit)
        if pusher.recorder is None and b"keepForOffline" in body:
            items = without_history(items)
        pace.charge(len(items))
        if tries is not None:
            items = tries.name(items)
        results = await _send_all(pusher, items)
        failures = [item for item in results if isinstance(item, PushesFailedError)]
        if failures and len(failures) == len(results):
            return unavailable(failures[0])
        return json_answer(_batch_answer(results), 202)

    @app.post("/api/push")
    async def push() -> Response:
        refusal = pace.refusal()
        return refusal or await requests.serve(push_one, may_wait=True)

    @app.post("/api/push/batch")
    async def batch() -> Response:
        refusal = pace.refusal()
        return refusal or await requests.serve(push_many)


async def _send_all(
    pusher: Pusher, items: Sequence[Push | PushError]
) -> Sequence[Result | PushError]:
    pushes = [item for item in items if isinstance(item, Push)]
    results = await pusher.push_all(pushes)
    if len(pushes) == len(items):
        return results
    for item in items:
        if isinstance(item, PushError) and item.limit:
            metrics.LIMITED.labels(item.limit).inc()
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
