"""Requests in one task: as Quart answers them, whatever way the body comes."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from quart import Quart, request

from nacos_boot.http.one_task import OneTaskConnection
from nacos_boot.http.problem import use_problems
from nacos_boot.http.server import HttpServer
from tests.waiting import eventually

LOOPBACK = "127.0.0.1"
LIMIT = 1000


class Under:
    """An app under test, on a port."""

    def __init__(self) -> None:
        self.app = app = Quart(__name__)
        app.asgi_http_class = OneTaskConnection
        app.config["MAX_CONTENT_LENGTH"] = LIMIT
        use_problems(app)
        self.tasks: list[str] = []
        self.go_on = asyncio.Event()
        self.ended = 0
        self.port = 0

        @app.post("/echo")
        async def echo() -> tuple[bytes, int]:
            task = asyncio.current_task()
            self.tasks.append(str(task and task.get_coro()))
            body = await request.get_data(cache=False)
            assert isinstance(body, bytes)
            return body[::-1], 202

        @app.get("/hello/<name>")
        async def hello(name: str) -> str:
            return f"{name} {request.args.get('a')}"

        @app.post("/bug")
        async def bug() -> str:
            raise KeyError("no such thing")

        @app.post("/slow")
        async def slow() -> str:
            await self.go_on.wait()
            self.ended += 1
            return "slow"

    async def talk(self, *pieces: bytes) -> list[tuple[int, bytes]]:
        """Send bytes, with a pause between pieces, and read the answers until the end."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05 if len(pieces) > 1 else 0)
        answers = []
        while head := await reader.read(1):
            head += await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            length = next(
                (int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-len")),
                0,
            )
            answers.append((status, await reader.readexactly(length)))
        writer.close()
        return answers


@pytest.fixture
async def under() -> AsyncIterator[Under]:
    under = Under()
    server = HttpServer(under.app, address=LOOPBACK, port=0, upgrade_class=None)
    await server.open()
    under.port = server.port
    yield under
    await server.close(timedelta(seconds=1))


def post(path: str, body: bytes, *headers: str, last: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    if last:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_a_whole_request_is_handled_in_the_servers_task(under: Under) -> None:
    assert await under.talk(post("/echo", b"abc")) == [(202, b"cba")]
    assert "run_asgi" in under.tasks[0]


async def test_a_request_without_a_body(under: Under) -> None:
    text = b"GET /hello/you?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert await under.talk(text) == [(200, b"you 1")]
    assert await under.talk(post("/echo", b"")) == [(202, b"")]


async def test_a_body_that_comes_in_pieces(under: Under) -> None:
    text = post("/echo", b"x" * 500 + b"yz")
    assert await under.talk(text[:-300], text[-300:-1], text[-1:]) == [(202, b"zy" + b"x" * 500)]
    assert "handle_request" in under.tasks[0]
    head, _, body = text.partition(b"\r\n\r\n")
    assert await under.talk(head + b"\r\n\r\n", body) == [(202, b"zy" + b"x" * 500)]


async def test_a_chunked_body(under: Under) -> None:
    head = (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    assert await under.talk(head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n") == [(202, b"cba")]
    assert await under.talk(head + b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n") == [(202, b"cba")]


async def test_a_client_that_asks_before_it_sends_the_body(under: Under) -> None:
    text = post("/echo", b"abc", "Expect: 100-continue")
    assert await under.talk(text[:-3], text[-3:]) == [(100, b""), (202, b"cba")]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_refused(under: Under, chunked: bool) -> None:
    text = post("/echo", b"x" * (LIMIT + 1))
    if chunked:
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close"
        text = head + b"\r\n\r\n3e9\r\n" + b"x" * (LIMIT + 1) + b"\r\n0\r\n\r\n"
    [(status, body)] = await under.talk(text)
    assert (status, json.loads(body)["title"]) == (413, "Request Entity Too Large")


async def test_a_body_that_does_not_come_is_given_up(under: Under) -> None:
    under.app.config["BODY_TIMEOUT"] = 0.1
    [(status, _)] = await asyncio.wait_for(under.talk(post("/echo", b"abc")[:-1]), 5)
    assert status == 408


async def test_errors_are_answered_as_ever(under: Under) -> None:
    [(status, body)] = await under.talk(post("/bug", b"x"))
    assert (status, json.loads(body)["title"]) == (500, "Internal Server Error")
    [(status, body)] = await under.talk(post("/nowhere", b"x"))
    assert (status, json.loads(body)["title"]) == (404, "Not Found")


async def test_requests_one_behind_the_other_are_answered_in_order(under: Under) -> None:
    texts = [post("/echo", b"%d." % number, last=number == 19) for number in range(20)]
    answers = await under.talk(b"".join(texts))
    assert answers == [(202, (b"%d." % number)[::-1]) for number in range(20)]


async def test_a_client_who_leaves_does_not_end_the_handler(under: Under) -> None:
    _, writer = await asyncio.open_connection(LOOPBACK, under.port)
    writer.write(post("/slow", b"x"))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await asyncio.sleep(0.05)
    under.go_on.set()
    await eventually(lambda: under.ended == 1)
    assert await under.talk(post("/echo", b"abc")) == [(202, b"cba")]


async def test_a_request_that_outlives_the_server_is_answered_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    under = Under()
    server = HttpServer(under.app, address=LOOPBACK, port=0, upgrade_class=None)
    await server.open()
    under.port = server.port
    asking = asyncio.create_task(under.talk(post("/slow", b"x", last=False)))
    await asyncio.sleep(0.05)
    await server.close(timedelta(seconds=1))
    [(status, body)] = await asking
    assert (status, json.loads(body)["title"]) == (503, "Service Unavailable")
    assert "Traceback" not in caplog.text


async def test_under_another_server_it_is_quarts_own_way(under: Under) -> None:
    answer = await under.app.test_client().post("/echo", data=b"abc")
    assert (answer.status_code, await answer.get_data()) == (202, b"cba")
