"""A Push, and MsgDTO, the form in which pushes enter the API and cross the fanout exchange."""

import os
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from service.broker.notes import Notes, read_notes
from service.json_text import UNREADABLE, fault_of
from service.user_id import EXPECTED, USER_ID, is_user_id

NOTES = "websocketCluster"
"""The field of a MsgDTO in which nodes tell each other more than the Java original knows of."""


MAX_TARGETS = 200_000
"""Targets of one message of the exchange: so many hold the loop for 0.1 to 0.3 s."""


class PushError(ValueError):
    """A push cannot be accepted. `field` is the JSON field at fault, empty for the whole.

    `limit` is the key under `websocket.limits` where it is more than that allows.
    """

    def __init__(self, field: str, message: str, limit: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message
        self.limit = limit


# Structs are made in a sixth of the time that a frozen dataclass takes, and without `gc` the
# collector does not walk through thousands of pushes that wait for the broker.
class Push(msgspec.Struct, frozen=True, gc=False):
    """Content for some users, or for all of them.

    `content` is JSON text in UTF-8; `targets` are distinct user ids, None for everyone. With `keep`
    users who are offline get it on their return. `notes` are for the other nodes. `tries` is where
    Redis keeps what is known of earlier tries; empty without an Idempotency-Key.
    """

    id: str
    content: bytes
    targets: tuple[str, ...] | None
    keep: bool = False
    notes: Notes | None = None
    tries: str = ""


class MsgDTO(msgspec.Struct):
    """A MsgDTO as it was read: any JSON of the right shape."""

    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    all_user: bool | None = msgspec.field(name="allUser", default=None)
    target_user_list: list[Any] | None = msgspec.field(name="targetUserList", default=None)
    keep: bool | None = msgspec.field(name="keepForOffline", default=None)
    notes: msgspec.Raw | msgspec.UnsetType = msgspec.field(name=NOTES, default=msgspec.UNSET)


class _AllDTO(msgspec.Struct):
    content: msgspec.Raw
    all_user: bool = msgspec.field(name="allUser", default=True)


class _NotedAllDTO(_AllDTO):
    notes: Notes | None = msgspec.field(name=NOTES, default=None)


class _TargetsDTO(msgspec.Struct):
    content: msgspec.Raw
    target_user_list: tuple[str, ...] = msgspec.field(name="targetUserList")
    all_user: bool = msgspec.field(name="allUser", default=False)


class _NotedTargetsDTO(_TargetsDTO):
    notes: Notes | None = msgspec.field(name=NOTES, default=None)


class _Targets(msgspec.Struct):
    target_user_list: msgspec.Raw | msgspec.UnsetType = msgspec.field(
        name="targetUserList", default=msgspec.UNSET
    )


_LARGE = 1_000_000
_MOST_COMMAS = 4 * MAX_TARGETS
"""A target may be an object with some fields."""

_decoder = msgspec.json.Decoder(MsgDTO)
_targets_decoder = msgspec.json.Decoder(_Targets)
_encoder = msgspec.json.Encoder()


class _Ids:
    """Draws random ids by the hundred: one by one they cost as much as decoding the push."""

    _AT_ONCE = 256

    def __init__(self) -> None:
        self._left: list[str] = []

    def next(self) -> str:
        if not self._left:
            text = os.urandom(16 * self._AT_ONCE).hex()
            self._left = [text[place : place + 32] for place in range(0, len(text), 32)]
        return self._left.pop()


new_push_id = _Ids().next
"""Gives an id that no other push has: 32 hex digits."""


def accept_push(
    body: bytes | memoryview, *, max_targets: int, max_content: int = sys.maxsize
) -> Push:
    """Read a MsgDTO given to the API, strictly. Raises PushError."""
    push = accept_dto(_decode(body), max_targets=max_targets)
    if len(body) > max_content:
        check_size(push, max_content)
    return push


def check_size(push: Push, max_content: int) -> None:
    """Check how many bytes the content of a push has, as JSON. Raises PushError."""
    size = len(push.content)
    if size > max_content:
        message = f"{size} bytes; expected {max_content} at most"
        raise PushError("content", message, "max-content")


def accept_dto(dto: MsgDTO, *, max_targets: int, encodable: bool = False) -> Push:
    """Judge a MsgDTO given to the API. Raises PushError.

    With `encodable` its content is known to be what a text frame can hold.
    """
    if dto.content is msgspec.UNSET:
        raise PushError("content", "is required; any JSON value will do")
    listed = dto.target_user_list
    if dto.all_user:
        if listed:
            raise PushError("targetUserList", "expected none together with allUser: true")
        if dto.keep:
            raise PushError("keepForOffline", "expected none together with allUser: true")
        return Push(new_push_id(), bytes(dto.content) if encodable else _content(dto), None)
    if not listed:
        raise PushError("targetUserList", "expected at least one target, or allUser: true")
    content = bytes(dto.content) if encodable else _content(dto)
    if len(listed) == 1 and isinstance(only := listed[0], str) and USER_ID.fullmatch(only):
        # By far the most have one target.
        return Push(new_push_id(), content, (only,), bool(dto.keep))
    targets = tuple(dict.fromkeys(_target(item, index) for index, item in enumerate(listed)))
    if len(targets) > max_targets:
        raise PushError(
            "targetUserList",
            f"{len(targets)} distinct targets; expected {max_targets} at most",
            "max-targets",
        )
    return Push(new_push_id(), content, targets, bool(dto.keep))


def is_encodable(texts: bytes) -> bool:
    """Tell whether every string within JSON texts can be written as UTF-8; False if in doubt.

    Only an escape can stand for half of a surrogate pair.
    """
    if not texts.isascii():
        try:
            texts.decode()
        except UnicodeDecodeError:
            return False
    # A look for one byte takes a tenth of the time of one for two.
    return b"\\" not in texts or b"\\u" not in texts


def read_push(body: bytes, push_id: str | None) -> Push:
    """Read a MsgDTO from the exchange, leniently: one bad target does not cost the others.

    Raises PushError where neither all nor any target is left (a poison message).
    """
    if len(body) > _LARGE:
        _check_targets(body)
    dto = _decode(body)
    content = b"null" if dto.content is msgspec.UNSET else _content(dto)
    identity = push_id or new_push_id()
    notes = None if dto.notes is msgspec.UNSET else read_notes(bytes(dto.notes))
    if dto.all_user:
        return Push(identity, content, None, notes=notes)
    listed = dto.target_user_list or []
    if len(listed) > MAX_TARGETS:
        raise PushError("targetUserList", f"{len(listed)} targets; expected {MAX_TARGETS} at most")
    targets = tuple(dict.fromkeys(_readable(listed)))
    if not targets:
        raise PushError("targetUserList", "neither allUser: true nor a target")
    return Push(identity, content, targets, notes=notes)


def write_push(push: Push) -> bytes:
    """Write a MsgDTO so that the strictest reader, the Java original, takes it."""
    content = msgspec.Raw(push.content)
    if push.notes is not None:
        # A field that is not known disturbs no reader, the Java original included.
        if push.targets is None:
            return _encoder.encode(_NotedAllDTO(content, notes=push.notes))
        return _encoder.encode(_NotedTargetsDTO(content, push.targets, notes=push.notes))
    if push.targets is None:
        return _encoder.encode(_AllDTO(content))
    return _encoder.encode(_TargetsDTO(content, push.targets))


def _check_targets(body: bytes) -> None:
    """Refuse a list that would take seconds to make objects of, by its commas."""
    try:
        listed = _targets_decoder.decode(body).target_user_list
    except UNREADABLE:
        # Whoever decodes the whole says what is wrong.
        return
    if listed is not msgspec.UNSET and bytes(listed).count(b",") > _MOST_COMMAS:
        raise PushError("targetUserList", f"expected {MAX_TARGETS} targets at most")


def _decode(body: bytes | memoryview) -> MsgDTO:
    try:
        return _decoder.decode(body)
    except UNREADABLE as error:
        raise PushError("", f"no MsgDTO: {fault_of(error)}") from error


def _content(dto: MsgDTO) -> bytes:
    content = bytes(dto.content)  # type: ignore[arg-type]  # callers have excluded UNSET
    check_content(content)
    return content


def check_content(content: bytes) -> None:
    """Check that a text frame can hold a content. Raises PushError."""
    try:
        # Raw is passed on unread, and a text frame must hold UTF-8.
        content.decode()
        if content[:1] == b'"':
            msgspec.json.decode(content, type=str).encode()
    except (UnicodeError, msgspec.DecodeError) as error:
        raise PushError("content", "cannot be written as UTF-8") from error


def _readable(listed: Iterable[Any]) -> Iterable[str]:
    for item in listed:
        value = _user(item)
        if isinstance(value, str) and USER_ID.fullmatch(value):
            yield value


def _target(item: Any, index: int) -> str:
    value = _user(item)
    field = f"targetUserList[{index}]"
    if not isinstance(value, str):
        raise PushError(
            field, "expected a string, a number, or an object with userId, id or username"
        )
    if not is_user_id(value):
        raise PushError(field, f"'{value[:140]}' is no user id: {EXPECTED}")
    return value


def _user(item: Any) -> Any:
    """Give what a target says, a text where it can be an id."""
    value = item
    if isinstance(item, dict):
        value = next((item[key] for key in ("userId", "id", "username") if key in item), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value
