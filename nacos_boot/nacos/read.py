"""Read by the way that is open: the stream first, the other way where that says nothing in time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from nacos_boot.nacos.error import NacosError, NacosForbiddenError

Content = str | None


async def read_either_way(
    stream: Coroutine[Any, Any, Content],
    other: Callable[[], Awaitable[Content]],
    patience: float,
    renew_login: Callable[[], Awaitable[None]],
) -> Content:
    """Give the answer of `stream`; after `patience` seconds, or where it fails, that of `other`.

    The stream comes first, since listeners hang on it: what it answers is never older than what
    they were told. `renew_login` is called where only the stream forbids the reading, as it does
    when the server has been given a new key for its tokens. Raises what the last way raised.
    """
    first = asyncio.create_task(stream)
    try:
        await asyncio.wait({first}, timeout=patience)
        if first.done() and first.exception() is None:
            return first.result()
        try:
            content = await other()
        except NacosForbiddenError:
            raise
        except NacosError:
            # It may have been slow, not dead.
            return await first
        if first.done() and isinstance(first.exception(), NacosForbiddenError):
            await renew_login()
        return content
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
