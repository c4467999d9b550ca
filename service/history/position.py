"""Positions in the streams of the history, and the tokens made of them. Pure.

A position is 20 hex digits: 11 of the time in ms, 9 of the number, which counts up by one within a
stream. So positions compare as texts, and a gap shows in their numbers. Number 0 stands before the
first entry of a stream.
"""

import re
from typing import NamedTuple

Position = str

_TIME = 11
_DATA_SET = 12

START: Position = "0" * 20
"""Before everything; lower than any other position."""

_TOKEN = re.compile(rf"[0-9a-f]{{{_DATA_SET + 2 * len(START)}}}", re.ASCII)


def position(ms: int, number: int) -> Position:
    """Make a position."""
    return f"{ms:011x}{number:09x}"


def position_of(entry: bytes) -> Position:
    """Read the id of a Redis entry, `<ms>-<number>`."""
    ms, _, number = entry.partition(b"-")
    return position(int(ms), int(number))


def entry_id(at: Position) -> str:
    """Give the id that Redis knows a position by."""
    return f"{int(at[:_TIME], 16)}-{number_of(at)}"


def ms_of(at: Position) -> int:
    """Give the time of a position on the clock of Redis."""
    return int(at[:_TIME], 16)


def number_of(at: Position) -> int:
    """Give the number of a position within its stream."""
    return int(at[_TIME:], 16)


def follows(last: Position, at: Position) -> bool:
    """Tell whether nothing is between two positions of a stream."""
    return at > last and number_of(at) == number_of(last) + 1


class Token(NamedTuple):
    """What a client has got: up to where in the stream to all, and in its user's."""

    data_set: str
    all: Position
    user: Position

    def write(self) -> str:
        """Write it. The user's part is last, and each part has one width: `ToAll` relies on it."""
        return f"{self.data_set}{self.all}{self.user}"


def read_token(text: str) -> Token | None:
    """Read a token that anybody may have made up; None where it is none."""
    if not _TOKEN.fullmatch(text):
        return None
    middle = _DATA_SET + len(START)
    return Token(text[:_DATA_SET], text[_DATA_SET:middle], text[middle:])


def token_for(data_set: str, text: str | None) -> Token | None:
    """Read a token that is of a data set; None where it is none, or of another one."""
    token = read_token(text or "")
    return token if token is not None and token.data_set == data_set else None


def can_resume(
    token: Position, upto: Position, first: Position | None, head: Position, *, old: int
) -> bool:
    """Tell whether all of a stream behind `token` up to `upto` is known.

    `first` is the first entry that Redis has there, None for none; `head` the stream's last one
    ever. A stream that nothing came to since `old` (Redis ms) may have been begun anew.
    """
    number = number_of(token)
    if number == 0 and ms_of(token) < old:
        return False
    if token >= upto:
        # This node may be behind the one where the client was; Redis must not be.
        return number == 0 or token <= head
    if number_of(upto) == 0:
        return number == 0
    return first is not None and number_of(first) == number + 1
