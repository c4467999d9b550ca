"""What a client may send and what must come back, by the sections of RFC 6455.

The service answers the text `ping` with `pong`, and ignores other messages: so each case that does
not end the connection is followed by one more `ping`.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from websockets.frames import apply_mask  # type: ignore[attr-defined]  # as in small_frames.py

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x12\x34\x56\x78"
LIMIT = 65_536
"""`websocket.limits.max-message`, as the tests have it."""


@dataclass(frozen=True)
class Case:
    """What is sent, in writes of their own; how many `pong` texts and which pongs come back.

    `code` is that of the close frame, None where the connection stays open.
    """

    name: str
    sends: Sequence[bytes]
    texts: int = 0
    pongs: Sequence[bytes] = ()
    code: int | None = None


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    form: int | None = None,
    length: int | None = None,
) -> bytes:
    """Write a frame as it is told to be, right or wrong; `form` is 7, 16 or 64 bits of length."""
    size = len(payload) if length is None else length
    form = form or (7 if size < 126 else 16 if size < 65_536 else 64)
    head = bytes((fin << 7 | rsv << 4 | opcode,))
    top = masked << 7
    if form == 7:
        head += bytes((top | size,))
    elif form == 16:
        head += struct.pack("!BH", top | 126, size)
    else:
        head += struct.pack("!BQ", top | 127, size)
    return head + (MASK + apply_mask(payload, MASK) if masked else payload)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def parts(*payloads: bytes, opcode: int = TEXT) -> list[bytes]:
    """Write a message in fragments."""
    last = len(payloads) - 1
    return [
        frame(opcode if index == 0 else CONT, payload, fin=index == last)
        for index, payload in enumerate(payloads)
    ]


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


P = frame(TEXT, b"ping")
EURO = "€".encode()
FIRST = frame(TEXT, b"pi", fin=False)
REST = frame(CONT, b"ng")

FRAGMENTS = [
    Case("5.4 whole", [P], texts=1),
    Case("5.4 two fragments", parts(b"pi", b"ng"), texts=1),
    Case("5.4 four fragments in one write", [b"".join(parts(b"p", b"i", b"n", b"g"))], texts=1),
    Case("5.4 empty first", parts(b"", b"ping"), texts=1),
    Case("5.4 empty last", parts(b"ping", b""), texts=1),
    Case("5.4 empty fragments between", parts(b"pi", *[b""] * 500, b"ng"), texts=1),
    Case("5.4 all empty", parts(b"", b"", b"")),
    Case("5.4 control frames between", [FIRST, frame(PING, b"a"), REST], texts=1, pongs=[b"a"]),
    Case("5.4 pong between", [FIRST, frame(PONG), REST], texts=1),
    Case("5.4 byte by byte", bytewise(b"".join(parts(b"pi", b"ng")) + P), texts=2),
    Case("5.4 binary fragments", parts(b"pi", b"ng", opcode=BINARY)),
    Case("5.4 continuation of nothing", [REST], code=1002),
    Case("5.4 last continuation twice", [FIRST, REST, REST], texts=1, code=1002),
    Case("5.4 text amid a text", [FIRST, P], code=1002),
    Case("5.4 binary amid a text", [FIRST, frame(BINARY, b"x")], code=1002),
    Case("5.4 messages in one write", [P * 20], texts=20),
]
CONTROL = [
    Case("5.5.2 ping", [frame(PING)], pongs=[b""]),
    Case("5.5.2 ping of 125 bytes", [frame(PING, b"x" * 125)], pongs=[b"x" * 125]),
    Case("5.5.2 any bytes", [frame(PING, b"\xff\0")], pongs=[b"\xff\0"]),
    Case(
        "5.5.2 in order",
        [frame(PING, b"%d" % n) for n in range(9)],
        pongs=[b"%d" % n for n in range(9)],
    ),
    Case("5.5.2 byte by byte", bytewise(frame(PING, b"ab")), pongs=[b"ab"]),
    Case("5.5 ping of 126 bytes", [frame(PING, b"x" * 126)], code=1002),
    Case("5.5 pong of 126 bytes", [frame(PONG, b"x" * 126)], code=1002),
    Case("5.5 close of 126 bytes", [frame(CLOSE, b"\x03\xe8" + b"x" * 124)], code=1002),
    # Too long for a control frame, and for anything else.
    Case("5.5 ping with a 64-bit length", [frame(PING, length=2**40, form=64)], code=1009),
    Case("5.5 ping in fragments", [frame(PING, b"x", fin=False)], code=1002),
    Case("5.5 pong in fragments", [frame(PONG, b"x", fin=False)], code=1002),
    Case("5.5 close in fragments", [frame(CLOSE, b"\x03\xe8", fin=False)], code=1002),
    Case("5.5.3 pong unasked", [frame(PONG, b"x"), frame(PONG)]),
]
CLOSES = [
    Case("5.5.1 without a code", [frame(CLOSE)], code=1005),
    Case("5.5.1 one byte", [frame(CLOSE, b"\x03")], code=1002),
    Case("5.5.1 with a reason", [close(1000, b"x" * 123)], code=1000),
    Case("5.5.1 reason is not UTF-8", [close(1000, b"\xff")], code=1007),
    Case("5.5.1 nothing is read behind", [close(1000) + P + frame(PING)], code=1000),
    # A message that is never ended: the library takes that for a fault of the client.
    Case("5.5.1 amid a message", [FIRST, close(1001)], code=1002),
    Case("5.5.1 byte by byte", bytewise(close(4000, b"bye")), code=4000),
    *(
        Case(f"7.4 {code}", [close(code)], code=code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        Case(f"7.4 {code} must not be sent", [close(code)], code=1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    ),
]
FORM = [
    Case("5.1 text without a mask", [frame(TEXT, b"ping", masked=False)], code=1002),
    Case("5.1 ping without a mask", [frame(PING, masked=False)], code=1002),
    Case("5.1 close without a mask", [frame(CLOSE, b"\x03\xe8", masked=False)], code=1002),
    *(
        Case(
            f"5.2 reserved bits {bits}, opcode {opcode}", [frame(opcode, b"x", rsv=bits)], code=1002
        )
        for bits in (1, 2, 4, 7)
        for opcode in (TEXT, BINARY, PING)
    ),
    *(
        Case(f"5.2 reserved opcode {opcode}", [frame(opcode, b"x")], code=1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    Case("5.2 reserved opcode amid a text", [FIRST, frame(3)], code=1002),
    Case("5.2 empty text and binary", [frame(TEXT), frame(BINARY)]),
]
LENGTHS = [
    *(
        Case(f"5.2 {size} bytes", [frame(TEXT, b"x" * size)])
        for size in (125, 126, 127, 65_535, LIMIT)
    ),
    # "The minimal number of bytes MUST be used": a sender's duty; read all the same.
    Case(
        "5.2 a longer form than needed",
        [frame(TEXT, b"ping", form=16), frame(TEXT, b"ping", form=64)],
        texts=2,
    ),
    Case("5.2 top bit of 64", [frame(TEXT, length=2**63, form=64)], code=1009),
    Case("5.2 all bits of 64", [frame(TEXT, length=2**64 - 1, form=64)], code=1009),
    Case("7.4.1 one byte too many", [frame(BINARY, b"x" * (LIMIT + 1))], code=1009),
    Case("7.4.1 a huge length, at once", [frame(TEXT, length=2**40, form=64)], code=1009),
    Case("7.4.1 too many in fragments", parts(b"x" * LIMIT, b"x"), code=1009),
    Case("5.2 the limit in fragments", parts(b"x" * (LIMIT - 1), b"x", b"")),
]
UTF8 = [
    Case("8.1 split between fragments", parts(EURO[:1], EURO[1:2], EURO[2:])),
    Case("8.1 split between writes", bytewise(frame(TEXT, EURO + "😀".encode()))),
    Case("8.1 NUL, BOM and noncharacters", [frame(TEXT, "\0\ufeff\ufffe\U0010ffff".encode())]),
    Case("8.1 binary is no text", [frame(BINARY, b"\xff")]),
    *(
        Case(f"8.1 {bad!r}", [P, frame(TEXT, b"a" + bad + b"b")], texts=1, code=1007)
        for bad in (
            b"\xff",
            b"\x80",
            b"\xc0\xaf",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
        )
    ),
    Case("8.1 cut off", [frame(TEXT, EURO[:2])], code=1007),
    Case("8.1 wrong early, seen at the end", parts(b"\xff", b"x", b"x"), code=1007),
    Case("8.1 wrong late", parts(b"x" * 200, b"x", b"\xff"), code=1007),
    Case("8.1 cut off in the last fragment", parts(b"x", EURO[:1]), code=1007),
]
CASES = [*FRAGMENTS, *CONTROL, *CLOSES, *FORM, *LENGTHS, *UTF8]
