"""What became of pushes, for those who wait for it: one push, or many under one future."""

import asyncio
from typing import Protocol

import msgspec

from service.push.push import Push
from service.settings import PushMode


class PushesFailedError(Exception):
    """RabbitMQ did not confirm; the push is not accepted, though some users may have got it."""


class TooManyPushesError(PushesFailedError):
    """More pushes wait for the broker than this node keeps."""


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a 202 says: `mode` is how the push went, `offline` None where that is not known.

    `nodes` is no part of it: where the push asks for reports, who got a message with it, once for
    each; None where that is every node.
    """

    id: str
    mode: PushMode
    targets: int | None
    offline: tuple[str, ...] | None
    nodes: tuple[str, ...] | None = None


Result = Accepted | PushesFailedError


class Answer(Protocol):
    """Who waits for results."""

    def take(self, place: int, result: Result) -> None:
        """Take the result of the push at a place, once for each."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A push on its way, and who waits for it: its result goes to `answer.take(place, …)`."""

    push: Push
    answer: Answer
    place: int = 0


class OneAnswer:
    """The result of one push; `future` raises PushesFailedError."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()

    def take(self, place: int, result: Result) -> None:  # noqa: ARG002 - there is one place
        """Take the result."""
        if self.future.done():
            return
        if isinstance(result, Accepted):
            self.future.set_result(result)
        else:
            self.future.set_exception(result)
            # Whoever has given up meanwhile does not ask, which is no reason to log a trace.
            self.future.exception()


class ManyAnswers:
    """The results of pushes that came together, in their order: one wake-up for all of them."""

    __slots__ = ("_missing", "_results", "future")

    def __init__(self, number: int) -> None:
        self.future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._results: list[Result] = [_UNKNOWN] * number
        self._missing = number
        if not number:
            self.future.set_result([])

    def take(self, place: int, result: Result) -> None:
        """Take the result of the push at a place."""
        self._results[place] = result
        self._missing -= 1
        if not self._missing and not self.future.done():
            self.future.set_result(self._results)


_UNKNOWN = PushesFailedError("no result yet")
