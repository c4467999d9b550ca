"""The key set of an issuer: fetched by its URL, kept, and read again."""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus

import aiohttp

from service import metrics
from service.auth.jwt_library import VerificationKey, keys_of_jwks

log = logging.getLogger(__name__)

FETCH_LIMIT = 5.0
"""Seconds for one fetch, from the name look-up to the last byte."""

ASK_PAUSE = 10.0
"""Seconds between two fetches that unknown keys cause: anyone can name one."""

_SIZE_LIMIT = 256 * 1024
_PAUSES = (1.0, 2.0, 5.0, 10.0)


class FetchError(Exception):
    """The key set cannot be had; says why."""


async def fetch(url: str) -> tuple[VerificationKey, ...]:
    """Fetch a key set. Raises FetchError."""
    try:
        async with (
            asyncio.timeout(FETCH_LIMIT),
            aiohttp.ClientSession() as session,
            # The issuer has been named; nobody else is asked.
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                raise FetchError(f"it answered {answer.status}, not 200")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _SIZE_LIMIT:
                    raise FetchError(f"its answer is longer than {_SIZE_LIMIT} bytes")
        return keys_of_jwks(bytes(body))
    except TimeoutError as error:
        raise FetchError(f"no answer in {FETCH_LIMIT:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise FetchError(f"it cannot be reached: {error}") from error
    except ValueError as error:
        raise FetchError(str(error)) from error


class Jwks:
    """The keys at the URL in force, as they were fetched last.

    `wanted()` gives the URL (empty: none) and the seconds between two fetches. While a fetch fails,
    and until another URL has answered for the first time, the keys of before stay.
    """

    def __init__(self, wanted: Callable[[], tuple[str, float]]) -> None:
        self._wanted = wanted
        self.keys: tuple[VerificationKey, ...] = ()
        self.fetched_at: float | None = None
        """Unix time of the last fetch that succeeded; None where no keys are here."""
        self.failure = ""
        """Why the last fetch failed; empty where it did not."""
        self._url = ""
        self._failures = 0
        self._tried_at = self._asked_at = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()

    @property
    def missing(self) -> bool:
        """Whether there is a URL, and no keys yet."""
        return bool(self._wanted()[0]) and self.fetched_at is None

    @property
    def fetching(self) -> bool:
        """Whether a fetch is on its way."""
        return self._fetching is not None

    def stir(self) -> None:
        """Look at the settings again."""
        self._stirred.set()

    def ask(self) -> "asyncio.Task[None] | None":
        """Have the keys fetched, since one is not known; None where that may not be, or not yet.

        The first keys, and those of another URL, are fetched as often as may be in any case.
        """
        now = asyncio.get_running_loop().time()
        if self._fetching is None:
            if self.fetched_at is None or now - self._asked_at < ASK_PAUSE:
                return None
            self._asked_at = now
        return self.refresh()

    def refresh(self) -> "asyncio.Task[None]":
        """Fetch the keys now, or join a fetch that is on its way. The task never fails."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(self._wanted()[0]), name="jwks-fetch")
        return self._fetching

    async def run(self) -> None:
        """Keep the keys fresh; runs until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._stirred.clear()
                url, interval = self._wanted()
                if not url:
                    self._forget()
                    await self._stirred.wait()
                    continue
                if self._failures:
                    interval = min(interval, _PAUSES[min(self._failures, len(_PAUSES)) - 1])
                left = self._tried_at + interval - loop.time()
                if url != self._url or left <= 0:
                    await asyncio.wait({self.refresh()})
                    continue
                try:
                    await asyncio.wait_for(self._stirred.wait(), left)
                except TimeoutError:
                    continue
        finally:
            if self._fetching is not None:
                self._fetching.cancel()

    async def _fetch(self, url: str) -> None:
        try:
            keys = await fetch(url)
        except FetchError as error:
            self._failed(url, str(error))
        except Exception as error:
            log.exception("a fetch of the key set failed by a fault of the node")
            self._failed(url, repr(error))
        else:
            self._took(url, keys)
        finally:
            self._fetching = None
            self._tried_at = asyncio.get_running_loop().time()

    def _took(self, url: str, keys: tuple[VerificationKey, ...]) -> None:
        metrics.JWKS_FETCHES.labels("ok").inc()
        if url != self._wanted()[0]:
            return
        if self.failure or url != self._url or len(keys) != len(self.keys):
            log.info("websocket.auth.jwt.jwks-url: %d keys from %s", len(keys), url)
        self._url, self.keys, self.fetched_at = url, keys, time.time()
        self.failure, self._failures = "", 0

    def _failed(self, url: str, why: str) -> None:
        metrics.JWKS_FETCHES.labels("failed").inc()
        if url != self._wanted()[0]:
            return
        if why != self.failure:
            log.warning("websocket.auth.jwt.jwks-url: no keys from %s: %s", url, why)
        self._url, self.failure = url, why
        self._failures += 1

    def _forget(self) -> None:
        self._url, self.keys, self.fetched_at = "", (), None
        self.failure, self._failures = "", 0
