"""Tries: what makes the tries of one request with an Idempotency-Key the same pushes. Pure."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple, TypeVar

import msgspec

from service.push.push import Push, PushError

T = TypeVar("T", bound=Push | PushError)


class Tries(NamedTuple):
    """What all tries of one request have in common, until one of them succeeds.

    `key` is where Redis keeps it; `seed` is a random text, of which the ids of its pushes are made.
    A text made of the Idempotency-Key alone would not do: one that is used again, long after, is
    another push, and clients drop what has an id that they have seen.
    """

    key: str
    seed: str

    def push_id(self, place: int) -> str:
        """Give the id of the push at a place of the request: 32 hex digits."""
        return sha256(f"{self.seed}:{place}".encode()).hexdigest()[:32]

    def name(self, items: Sequence[T]) -> list[T]:
        """Give the pushes of the request with the ids that they have in every try."""
        return [self._named(item, place) for place, item in enumerate(items)]

    def _named(self, item: T, place: int) -> T:
        if isinstance(item, PushError):
            return item
        return msgspec.structs.replace(item, id=self.push_id(place), tries=self.key)
