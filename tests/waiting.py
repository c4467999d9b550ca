"""Wait for a condition, with a limit, instead of sleeping and hoping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(
    check: Callable[[], Any | Awaitable[Any]], limit: float = 5.0, interval: float = 0.02
) -> Any:
    """Call `check` until it gives something true, and give that; an assertion in it may fail.

    Raises AssertionError with the last failure when `limit` seconds are over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    failure: object = "it never became true"
    while True:
        try:
            result = check()
            if inspect.isawaitable(result):
                result = await result
            if result:
                return result
            failure = f"last seen: {result!r}"
        except AssertionError as error:
            failure = error
        if loop.time() >= deadline:
            raise AssertionError(f"not within {limit:g} s: {failure}")
        await asyncio.sleep(interval)
