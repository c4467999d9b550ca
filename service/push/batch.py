"""The body of a batch request and its pushes: a JSON array, or NDJSON. Pure."""

import sys

import msgspec

from service.json_text import UNREADABLE, fault_of
from service.push.push import (
    MsgDTO,
    Push,
    PushError,
    accept_dto,
    accept_push,
    check_size,
    is_encodable,
)

_texts_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_dtos_decoder = msgspec.json.Decoder(list[MsgDTO])


class BatchError(ValueError):
    """The body as a whole cannot be read; the message says what was expected.

    `limit` is the key under `websocket.limits` where it is more than that allows.
    """

    limit = ""


class BatchTooLongError(BatchError):
    """There are more pushes than one batch may have."""

    limit = "max-batch"


def accept_batch(
    body: bytes, *, max_items: int, max_targets: int, max_content: int = sys.maxsize
) -> list[Push | PushError]:
    """Read each push, strictly; an error stands in the place of one that cannot be accepted.

    Raises BatchError.
    """
    items = _accept_all(body, max_items, max_targets)
    if len(body) > max_content:
        return [_check_size(item, max_content) for item in items]
    return items


def _check_size(item: Push | PushError, max_content: int) -> Push | PushError:
    if isinstance(item, Push):
        try:
            check_size(item, max_content)
        except PushError as error:
            return error
    return item


def _accept_all(body: bytes, max_items: int, max_targets: int) -> list[Push | PushError]:
    if body[:1] == b"[" and is_encodable(body):
        # Decoded and checked in one go, at half the cost. One bad item, and it is done one by one:
        # it must not cost the others.
        try:
            dtos = _dtos_decoder.decode(body)
        except UNREADABLE:
            pass
        else:
            _check_number(len(dtos), max_items)
            return [_accept_dto(dto, max_targets) for dto in dtos]
    return [_accept_text(item, max_targets) for item in read_batch(body, max_items=max_items)]


def read_batch(body: bytes, *, max_items: int) -> list[bytes]:
    """Give the JSON text of each push, unread. Raises BatchError."""
    text = body.strip()
    if text.startswith(b"["):
        try:
            items = [bytes(item) for item in _texts_decoder.decode(text)]
        except UNREADABLE as error:
            raise BatchError(f"no JSON array: {fault_of(error)}") from error
    else:
        items = [line for line in text.split(b"\n") if line.strip()]
    _check_number(len(items), max_items)
    return items


def _check_number(items: int, most: int) -> None:
    if not items:
        raise BatchError("the batch is empty; expected a JSON array, or one push a line")
    if items > most:
        raise BatchTooLongError(f"{items} pushes; expected {most} at most in one batch")


def _accept_dto(dto: MsgDTO, max_targets: int) -> Push | PushError:
    try:
        return accept_dto(dto, max_targets=max_targets, encodable=True)
    except PushError as error:
        return error


def _accept_text(text: bytes, max_targets: int) -> Push | PushError:
    try:
        return accept_push(text, max_targets=max_targets)
    except PushError as error:
        return error
