"""The HTTP API of a node: pushes, users, nodes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from quart import Blueprint, Response, request

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.problem import problem
from service.batch import BatchError, read_batch
from service.directories import MAX_CURSOR
from service.push import Push, PushError, accept_push
from service.pusher import Accepted, Pusher, PushesFailedError, TooManyPushesError
from service.redis_store import StoreError
from service.settings import LimitsSection, NodeSettings
from service.user_id import EXPECTED, is_user_id
from service.users import Users

RETRY_AFTER = {"Retry-After": "1"}
_MAX_PAGE = 1000


def node_api(  # noqa: C901 - its routes are counted together
    live: LiveSettings[NodeSettings], pusher: Pusher, users: Users
) -> Blueprint:
    """Build the `/api` routes and `/openapi.json`."""
    blueprint = Blueprint("api", __name__)
    openapi = msgspec.json.encode(
        yaml.safe_load(Path(__file__).with_name("openapi.yml").read_text(encoding="utf-8"))
    )

    def limits() -> LimitsSection:
        return live.current.websocket.limits

    @blueprint.post("/api/push")
    async def push() -> Response:
        if "wait" in request.args:
            return _bad_request("wait", "delivery reports are not supported by this version")
        body = await _body()
        try:
            accepted = await pusher.push(accept_push(body, max_targets=limits().max_targets))
        except PushError as error:
            return _bad_request(error.field, error.message)
        except PushesFailedError as error:
            return _unavailable(error)
        return _json(_accepted(accepted), 202)

    @blueprint.post("/api/push/batch")
    async def batch() -> Response:
        body = await _body()
        try:
            items = read_batch(body, max_items=limits().max_batch)
        except BatchError as error:
            return _bad_request("", str(error))
        pushes = [_read_item(item, limits().max_targets) for item in items]
        results = await _send_all(pusher, pushes)
        failures = [item for item in results if isinstance(item, PushesFailedError)]
        if failures and len(failures) == len(results):
            return _unavailable(failures[0])
        return _json(
            {
                "accepted": sum(isinstance(item, Accepted) for item in results),
                "results": [
                    {"index": index, "id": item.id}
                    if isinstance(item, Accepted)
                    else {"index": index, "error": str(item)}
                    for index, item in enumerate(results)
                ],
            },
            202,
        )

    @blueprint.get("/api/users/<user_id>")
    async def one_user(user_id: str) -> Response:
        if not is_user_id(user_id):
            return _bad_request("userId", EXPECTED)
        try:
            found = await users.find(user_id)
        except StoreError as error:
            return _unavailable(error)
        if found is None:
            return problem(404, "Not Found", f"The user '{user_id}' is connected nowhere.")
        return _json(found)

    @blueprint.get("/api/users")
    async def all_users() -> Response:
        cursor = _number(request.args.get("cursor", "0"), 0, MAX_CURSOR)
        limit = _number(request.args.get("limit", "100"), 1, _MAX_PAGE)
        if cursor is None:
            return _bad_request("cursor", "expected the cursor of the page before")
        if limit is None:
            return _bad_request("limit", f"expected a number from 1 to {_MAX_PAGE}")
        try:
            return _json(await users.page(cursor, limit))
        except StoreError as error:
            return _unavailable(error)

    @blueprint.delete("/api/users/<user_id>")
    async def disconnect(user_id: str) -> Response:
        if not is_user_id(user_id):
            return _bad_request("userId", EXPECTED)
        try:
            await users.disconnect(user_id)
        except PushesFailedError as error:
            return _unavailable(error)
        return Response(b"", 204)

    @blueprint.get("/api/nodes")
    async def nodes() -> Response:
        try:
            return _json(await users.nodes())
        except StoreError as error:
            return _unavailable(error)

    @blueprint.get("/openapi.json")
    async def description() -> Response:
        return Response(openapi, content_type="application/json")

    return blueprint


async def _body() -> bytes:
    body = await request.get_data(cache=False)
    return body if isinstance(body, bytes) else body.encode()


def _read_item(item: bytes, max_targets: int) -> Push | PushError:
    try:
        return accept_push(item, max_targets=max_targets)
    except PushError as error:
        return error


async def _send_all(
    pusher: Pusher, pushes: Sequence[Push | PushError]
) -> list[Accepted | Exception]:
    # All are queued before any is awaited, so that they go in order and merge.
    queued: list[asyncio.Future[Accepted] | Exception] = []
    for item in pushes:
        if isinstance(item, PushError):
            queued.append(item)
            continue
        try:
            queued.append(pusher.submit(item))
        except TooManyPushesError as error:
            queued.append(error)
    results: list[Accepted | Exception] = []
    for waiting in queued:
        if isinstance(waiting, Exception):
            results.append(waiting)
            continue
        try:
            results.append(await waiting)
        except PushesFailedError as error:
            results.append(error)
    return results


def _accepted(accepted: Accepted) -> dict[str, Any]:
    return {
        "id": accepted.id,
        "mode": accepted.mode,
        "targets": accepted.targets,
        "offline": accepted.offline,
    }


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, content_type="application/json")


def _bad_request(field: str, message: str) -> Response:
    return problem(
        400,
        "Bad Request",
        f"{field}: {message}" if field else message,
        errors=[{"field": field, "message": message}],
    )


def _unavailable(error: Exception) -> Response:
    return problem(503, "Service Unavailable", str(error), headers=RETRY_AFTER)


def _number(text: str, lowest: int, highest: int) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if lowest <= number <= highest else None
