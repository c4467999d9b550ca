"""Tidy up after the Nacos SDK: its logs hold the access token, its shutdown waits on idle tasks."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_SDK_FOLDER = str(Path("v2", "nacos"))
_TOKEN = re.compile(r"(access[_-]?token['\"]?\s*[:=]\s*['\"]?)[^'\",\s}&]+", re.IGNORECASE)


def quieten(*names: str) -> None:
    """Take the SDK's file handlers away, and what it says on the root logger.

    It writes errors for what is normal (an absent document); what goes wrong is told by our own
    exceptions.
    """
    for name in (None, *names):
        logger = logging.getLogger(name)
        # Handlers and levels may be set anew while the program runs; this stays.
        if not any(isinstance(present, _NotFromSdk) for present in logger.filters):
            logger.addFilter(_NotFromSdk())
    for name in names:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


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


def keep_no_files(config: Any) -> None:
    """Have the SDK's configuration service write no document to disk: they may hold passwords."""
    proxy = config.grpc_client_proxy
    for holder in (config, proxy, proxy.config_subscribe_manager):
        holder.config_info_cache = _NoCache()


class ClientIp:
    """What the SDK tells Nacos as our address; it would take the first that it finds.

    `use` holds for the connections that the calling task opens; `first_found` is the SDK's own way.
    """

    def __init__(self, first_found: Callable[[], str]) -> None:
        self._first_found = first_found
        self._chosen: ContextVar[str] = ContextVar("client_ip", default="")

    def use(self, address: str) -> None:
        """Choose the address; an empty one leaves it to the SDK."""
        self._chosen.set(address)

    def get(self) -> str:
        """Give the address. Never raises, as the SDK's own way does without a network."""
        try:
            return self._chosen.get() or self._first_found()
        except Exception:  # noqa: BLE001 - whatever the SDK raises for a machine without a network
            return "127.0.0.1"


class _NoCache:
    """Stands in for the SDK's files of documents: it holds nothing, and keeps nothing."""

    async def write_config_to_cache(self, *_: str) -> None:
        pass

    async def get_config_cache(self, *_: str) -> tuple[str, str]:
        return "", ""

    async def get_fail_over_config_cache(self, *_: str) -> tuple[str, str]:
        return "", ""


class _NotFromSdk(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return _SDK_FOLDER not in record.pathname
