"""The HTTP API of a node, beside pushes: users, nodes, its own description."""

from pathlib import Path

import msgspec
import yaml
from quart import Blueprint, Response, request

from nacos_boot.http.problem import problem
from service.api.http_answers import bad_request, json_answer, unavailable
from service.api.users import Users
from service.directory.directories import MAX_CURSOR
from service.directory.redis_store import StoreError
from service.push.answers import PushesFailedError
from service.user_id import EXPECTED, is_user_id

_MAX_PAGE = 1000


def node_api(users: Users) -> Blueprint:  # noqa: C901 - its routes are counted together
    """Build the routes."""
    blueprint = Blueprint("api", __name__)
    openapi = msgspec.json.encode(
        yaml.safe_load(Path(__file__).with_name("openapi.yml").read_text(encoding="utf-8"))
    )

    @blueprint.get("/api/users/<user_id>")
    async def one_user(user_id: str) -> Response:
        if not is_user_id(user_id):
            return bad_request("userId", EXPECTED)
        try:
            found = await users.find(user_id)
        except StoreError as error:
            return unavailable(error)
        if found is None:
            return problem(404, "Not Found", f"The user '{user_id}' is connected nowhere.")
        return json_answer(found)

    @blueprint.get("/api/users")
    async def all_users() -> Response:
        cursor = _number(request.args.get("cursor", "0"), 0, MAX_CURSOR)
        limit = _number(request.args.get("limit", "100"), 1, _MAX_PAGE)
        if cursor is None:
            return bad_request("cursor", "expected the cursor of the page before")
        if limit is None:
            return bad_request("limit", f"expected a number from 1 to {_MAX_PAGE}")
        try:
            return json_answer(await users.page(cursor, limit))
        except StoreError as error:
            return unavailable(error)

    @blueprint.delete("/api/users/<user_id>")
    async def disconnect(user_id: str) -> Response:
        if not is_user_id(user_id):
            return bad_request("userId", EXPECTED)
        try:
            await users.disconnect(user_id)
        except PushesFailedError as error:
            return unavailable(error)
        return Response(b"", 204)

    @blueprint.get("/api/nodes")
    async def nodes() -> Response:
        try:
            return json_answer(await users.nodes())
        except StoreError as error:
            return unavailable(error)

    @blueprint.get("/openapi.json")
    async def description() -> Response:
        return Response(openapi, content_type="application/json")

    return blueprint


def _number(text: str, lowest: int, highest: int) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if lowest <= number <= highest else None
