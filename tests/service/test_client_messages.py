"""What clients say, put together and answered."""

import pytest
from websockets.frames import Frame, Opcode

from service import metrics
from service.client_messages import ClientMessages, NotTextError
from service.frames import PONG, RESET


def ignored() -> float:
    [sample] = [s for m in metrics.CLIENT_MESSAGES_IGNORED.collect() for s in m.samples][:1]
    return sample.value


def text(data: bytes, *, fin: bool = True) -> Frame:
    return Frame(Opcode.TEXT, data, fin)


def more(data: bytes, *, fin: bool = False) -> Frame:
    return Frame(Opcode.CONT, data, fin)


@pytest.mark.parametrize(
    ("message", "raw", "cluster"),
    [
        (b"ping", PONG, PONG),
        (b'{"type":"resume","token":"t"}', None, RESET),
        (b'{"token":{"x":[1]},"type":"resume"}', None, RESET),
        (b'{"type":"ack","id":"x"}', None, None),
    ],
)
def test_what_is_known_is_answered_by_form(
    message: bytes, raw: bytes | None, cluster: bytes | None
) -> None:
    assert ClientMessages(cluster_form=False).take(text(message)) is raw
    before = ignored()
    assert ClientMessages(cluster_form=True).take(text(message)) is cluster
    assert ignored() == before


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"PING",
        b"ping ",
        b"{",
        b"[]",
        b"null",
        b'"resume"',
        b'{"type":1}',
        b'{"type":"other"}',
        b'{"type":"\\ud800"}',
        '{"type":"ü"}'.encode(),
        b'{"a":' + b"[" * 60_000,
    ],
    ids=lambda message: str(message[:20]),
)
@pytest.mark.parametrize("cluster_form", [False, True])
def test_what_is_not_known_is_ignored_and_counted(message: bytes, cluster_form: bool) -> None:
    before = ignored()
    assert ClientMessages(cluster_form=cluster_form).take(text(message)) is None
    assert ignored() == before + 1


@pytest.mark.parametrize("cluster_form", [False, True])
def test_binary_messages_are_ignored_whatever_they_hold(cluster_form: bool) -> None:
    messages = ClientMessages(cluster_form=cluster_form)
    before = ignored()
    assert messages.take(Frame(Opcode.BINARY, b"ping")) is None
    assert messages.take(Frame(Opcode.BINARY, b"\xff", fin=False)) is None
    assert messages.take(more(b"ping", fin=True)) is None
    assert ignored() == before + 2
    assert messages.take(text(b"ping")) is PONG


@pytest.mark.parametrize(
    "parts", [[b"pi", b"ng"], [b"p", b"i", b"n", b"g"], [b"", b"ping"], [b"ping", b""]]
)
def test_fragments_are_put_together(parts: list[bytes]) -> None:
    messages = ClientMessages(cluster_form=False)
    first, *middle, last = parts
    assert messages.take(text(first, fin=False)) is None
    for part in middle:
        assert messages.take(more(part)) is None
    assert messages.take(more(last, fin=True)) is PONG
    # And the next message starts anew.
    assert messages.take(text(b"ping")) is PONG


def test_a_character_may_be_split_across_fragments() -> None:
    data = '{"type":"resume","x":"ü😀"}'.encode()
    for place in range(len(data)):
        messages = ClientMessages(cluster_form=True)
        assert messages.take(text(data[:place], fin=False)) is None
        assert messages.take(more(data[place:], fin=True)) is RESET


@pytest.mark.parametrize(
    "data", [b"\xff", b"\xc3", b"\xed\xa0\x80", b'{"type":"resume","x":"\xff"}']
)
@pytest.mark.parametrize("cluster_form", [False, True])
def test_a_text_that_is_not_utf8_fails(data: bytes, cluster_form: bool) -> None:
    with pytest.raises(NotTextError):
        ClientMessages(cluster_form=cluster_form).take(text(data))
    fragmented = ClientMessages(cluster_form=cluster_form)
    fragmented.take(text(data[:1], fin=False))
    with pytest.raises(NotTextError):
        fragmented.take(more(data[1:], fin=True))


def test_empty_fragments_take_no_room() -> None:
    messages = ClientMessages(cluster_form=False)
    messages.take(text(b"", fin=False))
    for _ in range(1000):
        messages.take(more(b""))
    # They do not count against the size limit, so they must not add up.
    assert len(messages._fragments) == 1
    assert messages.take(more(b"ping", fin=True)) is PONG
