import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_lb.answer import (
    Answer,
    BadAnswerError,
    answer_body,
    answer_to_client,
    parse_answer,
)


def parsed(data: bytes) -> Answer:
    answer = parse_answer(data)
    assert answer is not None
    return answer


def test_a_head_is_read_wherever_the_stream_is_cut() -> None:
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX: y \r\n\r\n"
    assert [parse_answer(data[:cut]) for cut in range(len(data))] == [None] * len(data)
    answer = parsed(data + b"\x81\x04pong")
    assert (answer.status, answer.size) == (101, len(data))
    assert answer.headers == [(b"upgrade", b"websocket"), (b"x", b"y")]


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert parse_answer(interim) is None
    assert parsed(interim + b"HTTP/1.1 101 x\r\n\r\n").status == 101


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 600 Big\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000,
        b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswerError):
        parse_answer(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        answer = parse_answer(b"HTTP/1.1 200 " + data)
        if answer is not None:
            answer_body(answer, b"HTTP/1.1 200 " + data, ended=True)
    except BadAnswerError:
        pass


def chunked(pieces: list[bytes], trailer: bytes) -> bytes:
    chunks = [b"%X;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.sampled_from([b"", b"Trailer: x\r\n", b"A: b\r\nC: d\r\n"]),
)
def test_a_chunked_body_is_complete_exactly_at_its_end(pieces: list[bytes], trailer: bytes) -> None:
    head = b"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + chunked(pieces, trailer)
    answer = parsed(data)
    for cut in range(len(head), len(data)):
        assert answer_body(answer, data[:cut], ended=False) is None
    assert answer_body(answer, data + b"next", ended=False) == b"".join(pieces)


@pytest.mark.parametrize(
    ("head", "body", "ended", "whole"),
    [
        (b"Content-Length: 3\r\n", b"abc", False, b"abc"),
        (b"Content-Length: 3\r\n", b"abcd", False, b"abc"),
        (b"Content-Length: 3\r\n", b"ab", False, None),
        (b"Content-Length: 0\r\n", b"", False, b""),
        (b"", b"abc", False, None),
        (b"", b"abc", True, b"abc"),
    ],
)
def test_a_body_ends_where_it_says(
    head: bytes, body: bytes, ended: bool, whole: bytes | None
) -> None:
    data = b"HTTP/1.1 400 x\r\n" + head + b"\r\n" + body
    assert answer_body(parsed(data), data, ended=ended) == whole


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status: int) -> None:
    data = b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status
    answer = parsed(data)
    assert answer_body(answer, data, ended=False) == b""
    assert b"content-length" not in answer_to_client(answer, b"")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 3\r\n", b"ab"),
        (b"Content-Length: -1\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nab"),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nabcd\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"x\r\n"),
        (b"", b"x" * 70_000),
    ],
)
def test_a_broken_body_is_refused(head: bytes, body: bytes) -> None:
    data = b"HTTP/1.1 400 x\r\n" + head + b"\r\n" + body
    with pytest.raises(BadAnswerError):
        answer_body(parsed(data), data, ended=True)


def test_what_the_client_gets_is_framed_anew() -> None:
    data = (
        b"HTTP/1.1 426 Upgrade Required\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
        b"Upgrade: websocket\r\nContent-Length: 2\r\nContent-Length: 2\r\nX-Own: 2\r\n\r\nno"
    )
    sent = answer_to_client(parsed(data), b"no")
    assert sent == (
        b"HTTP/1.1 426 Upgrade Required\r\nx-own: 2\r\nupgrade: websocket\r\n"
        b"content-length: 2\r\nconnection: upgrade, close\r\n\r\nno"
    )
