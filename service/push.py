"""A Push, and MsgDTO, the form in which pushes enter the API and cross the fanout exchange."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from service.json_text import UNREADABLE, fault_of
from service.user_id import EXPECTED, is_user_id


class PushError(ValueError):
    """A push cannot be accepted. `field` is the JSON field at fault, empty for the whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Push:
    """Content for some users, or for all of them.

    `content` is JSON text in UTF-8; `targets` are distinct user ids, None for everyone.
    """

    id: str
    content: bytes
    targets: tuple[str, ...] | None


class _MsgDTO(msgspec.Struct):
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    all_user: bool | None = msgspec.field(name="allUser", default=None)
    target_user_list: list[Any] | None = msgspec.field(name="targetUserList", default=None)


class _AllDTO(msgspec.Struct):
    content: msgspec.Raw
    all_user: bool = msgspec.field(name="allUser", default=True)


class _TargetsDTO(msgspec.Struct):
    content: msgspec.Raw
    target_user_list: tuple[str, ...] = msgspec.field(name="targetUserList")
    all_user: bool = msgspec.field(name="allUser", default=False)


_decoder = msgspec.json.Decoder(_MsgDTO)
_encoder = msgspec.json.Encoder()


def new_push_id() -> str:
    """Give an id that no other push has: 32 hex digits."""
    return uuid.uuid4().hex


def accept_push(body: bytes | memoryview, *, max_targets: int) -> Push:
    """Read a MsgDTO given to the API, strictly. Raises PushError."""
    dto = _decode(body)
    if dto.content is msgspec.UNSET:
        raise PushError("content", "is required; any JSON value will do")
    listed = dto.target_user_list or []
    if dto.all_user and listed:
        raise PushError("targetUserList", "expected none together with allUser: true")
    if not dto.all_user and not listed:
        raise PushError("targetUserList", "expected at least one target, or allUser: true")
    content = _content(dto)
    if dto.all_user:
        return Push(new_push_id(), content, None)
    targets = tuple(dict.fromkeys(_target(item, index) for index, item in enumerate(listed)))
    if len(targets) > max_targets:
        raise PushError(
            "targetUserList", f"{len(targets)} distinct targets; expected {max_targets} at most"
        )
    return Push(new_push_id(), content, targets)


def read_push(body: bytes, push_id: str | None) -> Push:
    """Read a MsgDTO from the exchange, leniently: one bad target does not cost the others.

    Raises PushError where neither all nor any target is left (a poison message).
    """
    dto = _decode(body)
    content = b"null" if dto.content is msgspec.UNSET else _content(dto)
    identity = push_id or new_push_id()
    if dto.all_user:
        return Push(identity, content, None)
    targets = tuple(dict.fromkeys(_readable(dto.target_user_list or [])))
    if not targets:
        raise PushError("targetUserList", "neither allUser: true nor a target")
    return Push(identity, content, targets)


def write_push(push: Push) -> bytes:
    """Write a MsgDTO so that the strictest reader, the Java original, takes it."""
    content = msgspec.Raw(push.content)
    if push.targets is None:
        return _encoder.encode(_AllDTO(content))
    return _encoder.encode(_TargetsDTO(content, push.targets))


def _decode(body: bytes | memoryview) -> _MsgDTO:
    try:
        return _decoder.decode(body)
    except UNREADABLE as error:
        raise PushError("", f"no MsgDTO: {fault_of(error)}") from error


def _content(dto: _MsgDTO) -> bytes:
    content = bytes(dto.content)  # type: ignore[arg-type]  # callers have excluded UNSET
    try:
        # Raw is passed on unread, and a text frame must hold UTF-8.
        content.decode()
        if content[:1] == b'"':
            msgspec.json.decode(content, type=str).encode()
    except (UnicodeError, msgspec.DecodeError) as error:
        raise PushError("content", "cannot be written as UTF-8") from error
    return content


def _readable(listed: Iterable[Any]) -> Iterable[str]:
    for index, item in enumerate(listed):
        try:
            yield _target(item, index)
        except PushError:
            continue


def _target(item: Any, index: int) -> str:
    value = item
    if isinstance(item, dict):
        value = next((item[key] for key in ("userId", "id", "username") if key in item), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    field = f"targetUserList[{index}]"
    if not isinstance(value, str):
        raise PushError(
            field, "expected a string, a number, or an object with userId, id or username"
        )
    if not is_user_id(value):
        raise PushError(field, f"'{value[:140]}' is no user id: {EXPECTED}")
    return value
