"""Bodies of pushes, from the API and from the exchange: read, or refused with a PushError."""

import contextlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from service.broker.envelope import read_envelope
from service.broker.notes import read_notes
from service.clients.frames import Message
from service.push.batch import BatchError, accept_batch
from service.push.push import PushError, accept_push, read_push, write_push
from service.user_id import is_user_id

names = st.sampled_from(
    [
        "content",
        "allUser",
        "targetUserList",
        "keepForOffline",
        "websocketCluster",
        "x",
        "id",
        "userId",
        "username",
        "parts",
        "users",
        "disconnect",
        "notes",
        "positions",
        "report",
        "",
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["alice", "a b", "\ud800", "\udc00x", "é", "ping", "\0", "x" * 129])
    | st.text(max_size=6)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
dtos = st.fixed_dictionaries(
    {},
    optional={
        "content": trees,
        "allUser": st.booleans() | trees,
        "targetUserList": st.lists(leaves | trees, max_size=4) | trees,
        "keepForOffline": leaves,
        "websocketCluster": trees,
    },
)
parts = st.fixed_dictionaries(
    {"id": st.text(max_size=3) | leaves, "users": st.lists(leaves, max_size=3), "content": trees}
)
envelopes = st.fixed_dictionaries(
    {},
    optional={"parts": st.lists(parts, max_size=3), "disconnect": st.lists(leaves, max_size=3)},
)


def encoded(tree: Any, ascii_only: bool, fault: tuple[int, bytes] | None) -> bytes:
    """Write JSON, in which a byte or two may be wrong."""
    data = json.dumps(tree, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    if fault is not None:
        place = fault[0] % (len(data) + 1)
        data = data[:place] + fault[1] + data[place + 1 :]
    return data


faults = st.none() | st.tuples(st.integers(0, 2**16), st.binary(max_size=2))
bodies = (
    st.builds(encoded, dtos | envelopes | trees, st.booleans(), faults)
    | st.binary(max_size=60)
    | st.integers(1, 3000).map(lambda depth: b'{"content":' + b"[" * depth)
)


def is_text_frame(message: Message) -> None:
    """Both forms can be built, and a client can read them."""
    for frame in (message.raw_frame, message.cluster_frame):
        assert frame[0] == 0x81
        size = frame[1]
        frame[2 if size < 126 else 4 if size == 126 else 10 :].decode()


@given(bodies)
def test_a_push_is_accepted_or_refused(body: bytes) -> None:
    with contextlib.suppress(PushError):
        push = accept_push(body, max_targets=3)
        is_text_frame(Message(push.id, push.content))
        assert push.targets is None or all(map(is_user_id, push.targets))
        # Every other node takes what this one has accepted.
        again = read_push(write_push(push), push.id)
        assert (again.content, again.targets) == (push.content, push.targets)


@given(bodies)
def test_a_message_of_the_exchange_is_read_or_poison(body: bytes) -> None:
    with contextlib.suppress(PushError):
        push = read_push(body, None)
        is_text_frame(Message(push.id, push.content))
        assert push.targets is None or (push.targets and all(map(is_user_id, push.targets)))


@given(bodies)
@example(b'{"parts":[{"id":"x","users":["a"],"content":"\xff"}]}')
def test_an_envelope_is_read_or_poison(body: bytes) -> None:
    with contextlib.suppress(PushError):
        for part in read_envelope(body).parts:
            is_text_frame(Message(part.id, bytes(part.content)))


@given(bodies)
def test_notes_are_read_or_none(body: bytes) -> None:
    notes = read_notes(body)
    if notes is not None:
        notes.of(["alice"])


@given(st.lists(bodies, max_size=4), st.sampled_from([b"\n", b",", b"]\n["]), st.booleans())
def test_a_batch_is_accepted_or_refused(
    items: list[bytes], between: bytes, bracketed: bool
) -> None:
    body = between.join(items)
    with contextlib.suppress(BatchError):
        found = accept_batch(b"[" + body + b"]" if bracketed else body, max_items=3, max_targets=3)
        assert 1 <= len(found) <= 3
