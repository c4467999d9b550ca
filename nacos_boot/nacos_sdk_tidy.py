"""Tidy up after the Nacos SDK: its logs hold the access token, its shutdown waits on idle tasks."""

import asyncio
import contextlib
import logging
import re
from pathlib import Path
from typing import Any

_SDK_FOLDER = str(Path("v2", "nacos"))
_TOKEN = re.compile(r"(access[_-]?token['\"]?\s*[:=]\s*['\"]?)[^'\",\s}&]+", re.IGNORECASE)


def quieten(*names: str) -> None:
    """Take the SDK's file handlers away, and what it says on the root logger.

    It writes errors for what is normal (an absent document); what goes wrong is told by our own
    exceptions.
    """
    for name in names:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
    for handler in logging.getLogger().handlers:
        if not any(isinstance(present, _NotFromSdk) for present in handler.filters):
            handler.addFilter(_NotFromSdk())


def without_token(error: object) -> str:
    """Write an error of the SDK for a message, without the access token that it may quote."""
    return _TOKEN.sub(r"\1******", str(error))


async def shut_down(config: Any, naming: Any, timeout: float) -> None:  # noqa: ASYNC109 - one limit for all the steps
    """Close the SDK's two services (None: there is none) within `timeout` seconds. Never raises.

    Their own shutdown waits for tasks that look up only every 5 or 30 seconds, or not at all.
    """
    # Neither a change inside the SDK nor a server that is gone may hold up our own end.
    with contextlib.suppress(Exception):
        tasks: list[asyncio.Task[None]] = []
        if config is not None:
            tasks.append(config.grpc_client_proxy.listen_task)
        if naming is not None:
            tasks.append(naming.grpc_client_proxy.redo_service._listen_task)  # noqa: SLF001 - it has no other handle
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(timeout):
            await asyncio.gather(*tasks, return_exceptions=True)
            if config is not None:
                await config.grpc_client_proxy.rpc_client_manager.shutdown_all_clients()
            if naming is not None:
                await naming.shutdown()


class _NotFromSdk(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return _SDK_FOLDER not in record.pathname
