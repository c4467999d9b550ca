"""The load generator, against itself as a backend and against the websockets library."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from bench.go import build, find_go, run_go
from bench.load import Load, LoadError
from bench.load_process import SOURCES
from devtools.paths import ROOT
from tests.waiting import eventually

GO = find_go()
pytestmark = [
    pytest.mark.skipif(GO is None, reason="no Go compiler: `./dev bench` installs one into .venv"),
    # A compiler that is new on a machine builds its own library first.
    pytest.mark.timeout(300),
]

PROGRAMS = sorted(found.parent for found in (ROOT / "bench").rglob("go.mod"))
LONG = "long " * 30_000


def talk(connection: ServerConnection) -> None:
    """Send `pong`, then do what the client says."""
    connection.send("pong")
    try:
        for order in connection:
            assert isinstance(order, str)
            match order.split(" "):
                case ["say", *texts]:
                    for text in texts:
                        connection.send(text)
                case ["pieces"]:
                    connection.send(iter(["hel", "lo"]))
                case ["ping"]:
                    assert connection.ping().wait(5)
                    connection.send("answered")
                case ["stamp"]:
                    connection.send(f'{{"t":{time.time_ns()}}}')
                case ["leave"]:
                    connection.close(4008, "too slow")
                case _:
                    connection.send(order)
    except ConnectionClosed:
        pass


def door(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/forbidden" or request.headers.get("Name", "").endswith("-3"):
        return connection.respond(HTTPStatus.FORBIDDEN, "no\n")
    return None


@pytest.fixture(scope="module")
def program() -> Path:
    return build(SOURCES)


@pytest.fixture
def load(program: Path) -> Iterator[Load]:
    with Load(program=program) as load:
        yield load


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve(talk, "127.0.0.1", 0, process_request=door, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        self.send_response(400 if b"bad" in body else 202)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[str, list[bytes]]]:
    Api.bodies = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", Api.bodies
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda folder: folder.name)
def test_go_programs_are_formatted(folder: Path) -> None:
    assert GO is not None
    gofmt = Path(os.path.realpath(GO)).with_name("gofmt")
    argv = [str(gofmt), "-l", *map(str, folder.glob("*.go"))]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert not shown.stdout


def test_the_go_tests_of_the_generator_pass() -> None:
    assert GO is not None
    ran = run_go(GO, ["test", "-vet=off", "."], SOURCES)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_is_built_is_not_built_again(program: Path) -> None:
    before = program.stat().st_mtime_ns
    assert build(SOURCES) == program
    assert program.stat().st_mtime_ns == before


def test_messages_are_relayed_and_counted_in_both_directions(load: Load) -> None:
    port = load.serve(greeting="pong")
    opened = load.connect(f"127.0.0.1:{port}", "/u{n}", 50, greeting=1, parallel=7)
    assert (opened.opened, opened.failed) == (50, 0)
    for text in ("hello", LONG):
        down = load.down(3, text, frames=4)
        assert (down.frames, down.bytes) == (50 * 3 * 4, 50 * 3 * 4 * len(text))
        assert load.up(3, text).frames == 50 * 3
    echo = load.echo("hello", 0.1, window=5)
    assert echo.frames >= 50 * 5
    assert 0 < echo.p50_ms <= echo.p99_ms
    assert load.status().clients == load.status().backends == 50
    assert load.close() == 100
    with pytest.raises(LoadError, match="no connection"):
        load.down(1, "hello")


def test_a_round_takes_what_was_expected_and_only_that(load: Load, server: str) -> None:
    load.connect(server, "/", 1, greeting=1)
    with pytest.raises(LoadError, match="nothing is expected"):
        load.round()
    load.expect("one", "two", answers={"2": "say one two", "3": ""})
    taken = load.round(4, send="say 3 one two one two 3")
    assert (taken.frames, taken.bytes, taken.extra) == (4, 12, 0)
    assert load.rounds(5, 2, send="say 2").frames == 10
    assert load.round(1, send="say one two").frames >= 1
    assert load.round(1).extra == 0
    with pytest.raises(LoadError, match=r'1 wrong messages; .* expected "one" but got "too"'):
        load.round(1, send="say too")
    with pytest.raises(LoadError, match=r'1 of 1 connections have not got .* got "x"'):
        load.round(3, send="say x", limit=0.3)


def test_a_frame_with_several_messages_and_one_in_pieces(load: Load, server: str) -> None:
    load.connect(server, "/", 1, greeting=1)
    load.expect("a\nb")
    assert load.round(1, send="a\nb").frames == 1
    load.expect("a", "b", newline=True)
    assert load.round(6, send="a\nb\na\nb\na\nb").frames == 6
    load.expect(LONG)
    assert load.round(1, send=LONG).bytes == len(LONG)
    load.expect("hello")
    with pytest.raises(LoadError, match="a frame in one piece"):
        load.round(2, send="pieces")


def test_a_ping_is_answered(load: Load, server: str) -> None:
    load.connect(server, "/", 1, greeting=1)
    load.expect("answered")
    assert load.round(1, send="ping").frames == 1
    assert load.status().pings == 1


def test_a_lost_connection_is_told_with_its_close_code(load: Load, server: str) -> None:
    load.connect(server, "/", 2, greeting=1)
    load.expect("one")
    with pytest.raises(LoadError, match=r"1 of 2 connections were lost.*4008 too slow"):
        load.round(1, send="leave", connection=1)
    assert load.close() == 1


def test_refused_connections_are_told(load: Load, server: str) -> None:
    with pytest.raises(LoadError, match="HTTP 403"):
        load.connect(server, "/forbidden", 2)
    opened = load.connect(server, "/", 5, headers={"Name": "user-{n}"}, refusals=True)
    assert (opened.opened, opened.failed, opened.reasons) == (4, 1, {"HTTP 403": 1})
    assert load.close() == 4
    with pytest.raises(LoadError, match="connection refused"):
        load.connect("127.0.0.1:1", "/", 1)
    with pytest.raises(LoadError, match="not open in time"):
        load.connect(server, "/", 1, greeting=2, limit=0.3)
    with pytest.raises(LoadError, match="expected an IPv4 address"):
        load.connect("localhost", "/", 1)


def test_an_echo_may_have_another_answer(load: Load, server: str) -> None:
    load.connect(server, "/", 4, greeting=1)
    assert load.echo("say pong", 0.1, answer="pong").frames >= 4
    with pytest.raises(LoadError, match='expected "other" but got "hello"'):
        load.echo("hello", 0.1, answer="other")


def test_stamps_tell_how_long_messages_took(load: Load, server: str) -> None:
    load.connect(server, "/", 1, greeting=1)
    load.begin_stamps('{"t":')
    for _ in range(5):
        load.round(1, send="stamp")
    found = load.stamps()
    assert found.count == 5
    assert 0 < found.p50_us <= found.p99_us <= found.max_us < 5_000_000
    load.begin_stamps()
    with pytest.raises(LoadError, match='got "none"'):
        load.round(1, send="none")


def test_requests_are_sent_at_a_rate_or_one_by_one(
    load: Load, api: tuple[str, list[bytes]]
) -> None:
    address, bodies = api
    done = load.http(address, "/", bodies=["a", '{"t":{t}}'], count=10, connections=2, status=202)
    assert (done.requests, done.statuses) == (10, {"202": 10})
    assert sorted(bodies)[:5] == [b"a"] * 5
    assert abs(time.time_ns() - int(sorted(bodies)[5][5:-1])) < 60e9
    paced = load.http(address, "/", seconds=0.5, rate=40, connections=4, status=202)
    assert 15 <= paced.requests <= 20
    with pytest.raises(LoadError, match=r"1 wrong responses .* expected status 202 but got 400"):
        load.http(address, "/", bodies=["a", "bad"], count=2, status=202)
    with pytest.raises(LoadError, match="count or seconds"):
        load.http(address, "/")


async def test_the_generator_ends_with_its_driver(program: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom bench.load import Load\n"
        "load = Load(program=Path(sys.argv[1]))\nprint(load.pid, flush=True)\ntime.sleep(60)"
    )
    argv = [sys.executable, "-c", code, str(program)]
    # Nothing else runs on this loop meanwhile.
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as driver:  # noqa: ASYNC220
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        assert _runs(pid)
        driver.send_signal(signal.SIGKILL)
    await eventually(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except FileNotFoundError:
        return False
    # Nobody may be there to take its exit code.
    return state.split()[0] != "Z"
