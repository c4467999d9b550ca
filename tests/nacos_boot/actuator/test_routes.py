"""What the actuator does for every endpoint: links, methods, content types, errors."""

import json
import logging
from typing import Any

import pytest
from quart import Quart, abort
from quart.typing import TestClientProtocol as Client

from nacos_boot.actuator.endpoint import Answer, Call, CallError, Endpoint, NotFoundError, Operation
from nacos_boot.actuator.routes import actuator
from nacos_boot.actuator.standard import pages
from nacos_boot.http.problem import use_problems

SPRING_TYPE = "application/vnd.spring-boot.actuator.v3+json"


async def echo(call: Call) -> Answer:
    if call.rest == "missing":
        raise NotFoundError("expected something else")
    return Answer({"rest": call.rest, "query": call.query, "body": call.body})


def keep(call: Call) -> Answer:
    if call.body == {"bad": True}:
        raise CallError("expected something good")
    return Answer(None)


def broken() -> dict[str, Any]:
    raise RuntimeError("password=hunter2 is wrong")


def too_large(_: Call) -> Answer:
    abort(413)


ENDPOINTS = [
    Endpoint("tree", [Operation("GET", echo), Operation("GET", echo, "path", any_depth=True)]),
    Endpoint(
        "things",
        [Operation("GET", echo), Operation("GET", echo, "name"), Operation("POST", keep, "name")],
    ),
    Endpoint("act", [Operation("POST", echo)]),
    Endpoint("large", [Operation("POST", too_large)]),
    *pages({"shown": lambda: {"a": 1}, "broken": broken}),
]


@pytest.fixture
def client() -> Client:
    app = Quart(__name__)
    use_problems(app)
    app.register_blueprint(actuator(ENDPOINTS))
    return app.test_client()


async def ask(client: Client, path: str, method: str = "GET", **request: Any) -> tuple[int, Any]:
    response = await client.open(path, method=method, **request)
    return response.status_code, json.loads(await response.get_data())


@pytest.mark.parametrize("path", ["/actuator", "/actuator/"])
async def test_the_index_has_springs_links(client: Client, path: str) -> None:
    response = await client.get(path, headers={"host": "node:8081"})
    assert (response.status_code, response.content_type) == (200, SPRING_TYPE)
    base = "http://node:8081/actuator"
    assert json.loads(await response.get_data()) == {
        "_links": {
            "self": {"href": base, "templated": False},
            "tree": {"href": f"{base}/tree", "templated": False},
            "tree-path": {"href": f"{base}/tree/{{*path}}", "templated": True},
            "things": {"href": f"{base}/things", "templated": False},
            "things-name": {"href": f"{base}/things/{{name}}", "templated": True},
            "act": {"href": f"{base}/act", "templated": False},
            "large": {"href": f"{base}/large", "templated": False},
            "shown": {"href": f"{base}/shown", "templated": False},
            "broken": {"href": f"{base}/broken", "templated": False},
        }
    }


async def test_paths_and_queries_reach_the_endpoint(client: Client) -> None:
    assert await ask(client, "/actuator/shown") == (200, {"a": 1})
    status, body = await ask(client, "/actuator/tree/a/b%20c?x=1&x=2")
    assert (status, body["rest"], body["query"]) == (200, "a/b c", {"x": ["1", "2"]})
    status, body = await ask(client, "/actuator/things/org.example")
    assert (status, body["rest"]) == (200, "org.example")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/actuator/other", None),
        ("/actuator/shown/more", None),
        ("/actuator/things/a/b", None),
        ("/actuator/things/missing", "expected something else"),
    ],
)
async def test_what_is_not_there_is_springs_404(
    client: Client, path: str, message: str | None
) -> None:
    status, body = await ask(client, path)
    assert status == 404
    assert body.pop("timestamp").endswith("+00:00")
    expected = {"status": 404, "error": "Not Found", "path": path}
    assert body == ({**expected, "message": message} if message else expected)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/actuator", "GET,HEAD,OPTIONS"),
        ("/actuator/shown", "GET,HEAD,OPTIONS"),
        ("/actuator/things/x", "GET,HEAD,POST,OPTIONS"),
        ("/actuator/act", "POST,OPTIONS"),
    ],
)
async def test_methods(client: Client, path: str, allow: str) -> None:
    # Spring Boot Admin finds out what there is by OPTIONS where the index doesn't tell.
    response = await client.options(path)
    assert (response.status_code, response.headers["allow"]) == (200, allow)
    wrong = await client.delete(path)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, allow)
    assert json.loads(await wrong.get_data())["error"] == "Method Not Allowed"
    head = await client.head(path)
    assert head.status_code == (200 if "HEAD" in allow else 405)


async def test_options_of_what_is_not_there(client: Client) -> None:
    assert (await client.options("/actuator/other")).status_code == 404


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, SPRING_TYPE),
        ("*/*", SPRING_TYPE),
        ("text/html,application/xhtml+xml,*/*;q=0.8", SPRING_TYPE),
        ("application/json", "application/json"),
        ("application/json;q=0.5, application/vnd.spring-boot.actuator.v3+json", SPRING_TYPE),
        (
            "application/vnd.spring-boot.actuator.v2+json",
            "application/vnd.spring-boot.actuator.v2+json",
        ),
    ],
)
async def test_the_content_type_is_the_one_asked_for(
    client: Client, accept: str | None, content_type: str
) -> None:
    headers = {"accept": accept} if accept else {}
    for path in ("/actuator", "/actuator/shown"):
        response = await client.get(path, headers=headers)
        assert response.content_type == content_type


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (SPRING_TYPE, SPRING_TYPE),
        ("image/png", "application/json"),
    ],
)
async def test_an_error_is_plain_json_unless_asked_otherwise(
    client: Client, accept: str | None, content_type: str
) -> None:
    response = await client.get("/actuator/other", headers={"accept": accept} if accept else {})
    assert (response.status_code, response.content_type) == (404, content_type)


async def test_a_type_that_cannot_be_had_is_406(client: Client) -> None:
    status, body = await ask(client, "/actuator/shown", headers={"accept": "image/png"})
    assert (status, body["error"]) == (406, "Not Acceptable")


@pytest.mark.parametrize(
    "kind", ["application/json", SPRING_TYPE, "application/json;charset=utf-8"]
)
async def test_a_body_is_json(client: Client, kind: str) -> None:
    response = await client.post(
        "/actuator/things/x", data=b'{"a": 1}', headers={"content-type": kind}
    )
    assert response.status_code == 204
    assert await response.get_data() == b""


async def test_no_body_is_none(client: Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for headers in ({}, form):
        status, body = await ask(client, "/actuator/act", "POST", headers=headers)
        assert (status, body["body"]) == (200, None)


@pytest.mark.parametrize(
    ("data", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "the body is not JSON"),
        (b'"\xff"', "application/json", 400, "the body is not JSON"),
        (b'{"bad": true}', "application/json", 400, "expected something good"),
        (b"{}", "text/plain", 415, "expected a body of the content type application/json"),
        (b"{}", "", 415, "expected a body of the content type application/json"),
    ],
)
async def test_a_body_that_cannot_be_used(
    client: Client, data: bytes, kind: str, status: int, message: str
) -> None:
    headers = {"content-type": kind} if kind else {}
    answered, body = await ask(client, "/actuator/things/x", "POST", data=data, headers=headers)
    assert answered == status
    assert message in body["message"]


async def test_a_failing_endpoint_is_500_and_a_line_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, body = await ask(client, "/actuator/broken")
    assert (status, body["error"]) == (500, "Internal Server Error")
    assert "hunter2" not in json.dumps(body)
    assert "/actuator/broken failed" in caplog.text
    assert await ask(client, "/actuator/shown") == (200, {"a": 1})


async def test_an_http_error_keeps_its_status(client: Client) -> None:
    status, body = await ask(client, "/actuator/large", "POST")
    assert (status, body["path"]) == (413, "/actuator/large")


async def test_of_two_endpoints_with_one_name_the_later_counts() -> None:
    app = Quart(__name__)
    app.register_blueprint(
        actuator([*pages({"a": lambda: {"n": 1}}), *pages({"a": lambda: {"n": 2}})])
    )
    assert await ask(app.test_client(), "/actuator/a") == (200, {"n": 2})
