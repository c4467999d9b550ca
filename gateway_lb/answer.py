"""A node's answer to a handshake as text, read as it comes in. Pure, no I/O."""

import re
from dataclasses import dataclass

from gateway_lb.headers import Headers, end_to_end

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 64 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?\r\n")
_SWITCHING = 101
_BODILESS = frozenset((204, 304))


class BadAnswerError(ValueError):
    """What came from the node is not an HTTP/1.1 answer, or too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer; `size` is its length in bytes, where the body begins."""

    status: int
    reason: bytes
    headers: Headers
    size: int


def parse_answer(data: bytes | bytearray) -> Answer | None:
    """Read the head of the final answer; None while it is incomplete.

    Interim answers (1xx but 101) are passed over. Raises BadAnswerError.
    """
    start = 0
    while True:
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            if len(data) > HEAD_LIMIT:
                raise BadAnswerError(f"the head of the answer is longer than {HEAD_LIMIT} bytes")
            return None
        if end > HEAD_LIMIT:
            raise BadAnswerError(f"the head of the answer is longer than {HEAD_LIMIT} bytes")
        first, *lines = bytes(data[start:end]).split(b"\r\n")
        status_line = _STATUS_LINE.fullmatch(first)
        if status_line is None:
            raise BadAnswerError("the answer has no HTTP/1.1 status line")
        status = int(status_line[1])
        start = end + 4
        if status == _SWITCHING or status >= 200:  # noqa: PLR2004 - RFC 9110, section 15.2
            headers = [_header(line) for line in lines]
            return Answer(status, status_line[2] or b"", headers, start)


def answer_body(answer: Answer, data: bytes | bytearray, *, ended: bool) -> bytes | None:
    """Take the whole body out of what came; None while it is incomplete.

    `ended` says that the node sends no more. Raises BadAnswerError for a body that is cut off,
    too long, or framed wrongly (RFC 9112, section 6.3).
    """
    body = bytes(data[answer.size :])
    if len(body) > BODY_LIMIT:
        raise BadAnswerError(f"the body of the answer is longer than {BODY_LIMIT} bytes")
    if answer.status in _BODILESS:
        return b""
    fields = dict(answer.headers)
    length = fields.get(b"content-length")
    if b"transfer-encoding" in fields:
        whole = _dechunk(body)
    elif length is not None:
        if not length.isdigit():
            raise BadAnswerError("the answer's Content-Length is not a number")
        whole = body[: int(length)] if len(body) >= int(length) else None
    else:
        return body if ended else None
    if whole is None and ended:
        raise BadAnswerError("the answer's body is cut off")
    return whole


def answer_to_client(answer: Answer, body: bytes) -> bytes:
    """Write a node's refusal for the client: whole, and the last on its connection."""
    lines = [b"HTTP/1.1 %d %s" % (answer.status, answer.reason)]
    lines += [
        name + b": " + value
        for name, value in end_to_end(answer.headers)
        if name != b"content-length"
    ]
    # RFC 9110, section 15.5.22: with 426 the Upgrade header, though hop-by-hop, must be there.
    upgrades = [value for name, value in answer.headers if name == b"upgrade"]
    lines += [b"upgrade: " + value for value in upgrades]
    if answer.status not in _BODILESS:
        lines.append(b"content-length: %d" % len(body))
    lines.append(b"connection: upgrade, close" if upgrades else b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _header(line: bytes) -> tuple[bytes, bytes]:
    header = _HEADER.fullmatch(line)
    if header is None:
        raise BadAnswerError("a header of the answer is not valid")
    return header[1].lower(), header[2].rstrip(b" \t")


def _dechunk(body: bytes) -> bytes | None:
    """Join the chunks of a body; None while the last has not come. Trailers are dropped."""
    pieces: list[bytes] = []
    at = 0
    while True:
        if b"\r\n" not in body[at:]:
            return None
        size_line = _CHUNK_SIZE.match(body, at)
        if size_line is None:
            raise BadAnswerError("a chunk of the answer has no size")
        size = int(size_line[1], 16)
        at = size_line.end()
        if size == 0:
            # Behind the last chunk: trailers, each ended by CRLF, and an empty line.
            ended = body.startswith(b"\r\n", at) or b"\r\n\r\n" in body[at:]
            return b"".join(pieces) if ended else None
        if len(body) < at + size + 2:
            return None
        if body[at + size : at + size + 2] != b"\r\n":
            raise BadAnswerError("a chunk of the answer is longer than its size")
        pieces.append(body[at : at + size])
        at += size + 2
