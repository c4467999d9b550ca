import json
import logging

import pytest
from quart import Quart, Response, abort
from quart.typing import TestClientProtocol as Client

from nacos_boot.http.problem import problem, use_problems


@pytest.fixture
def client() -> Client:
    app = Quart(__name__)
    use_problems(app)

    @app.get("/bug")
    async def bug() -> str:
        raise RuntimeError("secret inner detail")

    @app.get("/own")
    async def own() -> Response:
        errors = [{"field": "allUser", "message": "must be true or false"}]
        return problem(400, "Bad Request", "Not a push.", errors, {"retry-after": "5"})

    @app.get("/busy")
    async def busy() -> str:
        abort(429)

    @app.get("/teapot")
    async def teapot() -> str:
        abort(418, "short and stout")

    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Not Found"),
        ("POST", "/own", 405, "Method Not Allowed"),
        ("GET", "/busy", 429, "Too Many Requests"),
        ("GET", "/teapot", 418, "I'm a teapot"),
        ("GET", "/bug", 500, "Internal Server Error"),
    ],
)
async def test_every_error_is_a_problem_document(
    client: Client, method: str, path: str, status: int, title: str
) -> None:
    response = await client.open(path, method=method)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    body = json.loads(await response.get_data())
    assert body["type"] == "about:blank"
    assert body["status"] == status
    assert body["title"] == title
    assert body["detail"]
    assert "errors" not in body
    if status == 405:
        assert "GET" in response.headers["allow"]


async def test_a_bug_is_told_in_the_log_not_to_the_client(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await client.get("/bug")
    body = json.loads(await response.get_data())
    assert body["detail"] == "The request failed; the log says why."
    assert "secret inner detail" in caplog.text


async def test_fields_and_headers(client: Client) -> None:
    response = await client.get("/own")
    assert response.headers["retry-after"] == "5"
    assert json.loads(await response.get_data()) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Not a push.",
        "errors": [{"field": "allUser", "message": "must be true or false"}],
    }
