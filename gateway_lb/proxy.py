"""The HTTP reverse proxy: requests to the nodes' API, streamed both ways.

It is an ASGI application of its own, since Quart would take a request's body into memory as fast as
the client sends it, however slowly the node reads.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from random import SystemRandom
from typing import Any, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway_lb import metrics
from gateway_lb.client_body import ClientBody, Receive, Stopped
from gateway_lb.headers import caller_of, end_to_end, to_node
from gateway_lb.node_tls import tls_to
from gateway_lb.pool import Member, Pool
from gateway_lb.settings import GatewaySection, GatewaySettings
from gateway_lb.strategy import Chooser
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.problem import PROBLEM_TYPE, problem_json
from nacos_boot.http.proxies import TrustedProxies

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_IDLE_CONNECTION = 3.0
"""Seconds; a node closes an idle connection after 5 s, and a request must not meet that moment."""
_HEAD_LIMIT = 64 * 1024
_RETRY_AFTER = {"retry-after": "2"}
_NOT_REACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_BODILESS = frozenset((204, 304))


class _NoAnswerError(Exception):
    """No node has answered; the gateway does."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


class Proxy:
    """Passes HTTP requests on to nodes in turn. Use as an asynchronous context manager.

    The turn is right for HTTP whatever the strategy for WebSockets: requests are short, most name
    no user, and the number of open relays says nothing about them.
    """

    def __init__(
        self,
        pool: Pool,
        live: LiveSettings[GatewaySettings],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._live = live
        self._proxies = TrustedProxies.of(live, lambda settings: settings.gateway.trusted_proxies)
        self._clock = clock
        self._chooser = Chooser(SystemRandom())
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION),
            # One client's cookies must not reach another's requests.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=_HEAD_LIMIT,
            max_field_size=_HEAD_LIMIT,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        settings = self._live.current.gateway
        body = ClientBody(scope["headers"], receive, settings.proxy.timeout.total_seconds())
        exchange = asyncio.current_task()
        assert exchange is not None  # noqa: S101 - a coroutine that runs is in a task
        watch = asyncio.create_task(body.watch(exchange))
        try:
            async with await self._ask(scope, body, settings) as answer:
                metrics.PROXIED.labels(f"{answer.status // 100}xx").inc()
                await _pass_on(answer, send)
        except _NoAnswerError as error:
            metrics.PROXIED.labels(f"{error.status // 100}xx").inc()
            await _refuse(send, error)
        except (aiohttp.ClientError, TimeoutError) as error:
            # The client has a part of the answer: that it never ends says that it broke off.
            log.warning("an answer from a node broke off: %s", str(error) or "no more in time")
        except asyncio.CancelledError:
            if body.stopped is None:
                raise
            exchange.uncancel()
        finally:
            watch.cancel()

    async def _ask(
        self, scope: Scope, body: ClientBody, settings: GatewaySection
    ) -> aiohttp.ClientResponse:
        """Send the request to one node after the other, as long as none was reached."""
        tried: list[Member] = []
        while len(tried) < settings.max_attempts:
            candidates = self._pool.candidates(self._clock(), tried)
            if not candidates:
                break
            member = self._chooser.next_in_turn(candidates)
            tried.append(member)
            if len(tried) > 1:
                metrics.RETRIES.inc()
            try:
                answer = await self._send(member, scope, body, settings)
            except _NOT_REACHED as error:
                log.warning("node %s cannot be reached: %s", member.instance.address, error)
                metrics.NODE_FAILURES.labels("unreachable").inc()
                aside = settings.set_aside.total_seconds()
                self._pool.set_aside(member, self._clock() + aside)
            except asyncio.CancelledError:
                if body.stopped is not Stopped.NODE_SILENT:
                    raise
                raise _NoAnswerError(504, body.stopped.value) from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _no_answer(body, error) from error
            else:
                self._pool.restore(member)
                return answer
        detail = "No node could be reached." if tried else "No node is alive."
        raise _NoAnswerError(503, detail, _RETRY_AFTER)

    async def _send(
        self, member: Member, scope: Scope, body: ClientBody, settings: GatewaySection
    ) -> aiohttp.ClientResponse:
        peer = scope["client"][0] if scope.get("client") else "unknown"
        client, scheme = caller_of(scope["headers"], peer, scope["scheme"], self._proxies)
        headers = CIMultiDict(
            (name.decode("latin-1"), _text(value))
            for name, value in to_node(scope["headers"], client, scheme)
            # The gateway has told the client to go on by reading the body.
            if name != b"expect"
        )
        tls = tls_to(member.instance, settings)
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        return await self._session.request(
            scope["method"],
            URL(f"{'https' if tls else 'http'}://{member.instance.address}{target}", encoded=True),
            ssl=tls or True,
            headers=headers,
            data=body.pieces() if body.present else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=settings.connect_timeout.total_seconds(),
                sock_read=settings.proxy.timeout.total_seconds(),
            ),
        )


async def _pass_on(answer: aiohttp.ClientResponse, send: Send) -> None:
    # uvicorn sets Date itself, and takes a length where there is no body for a broken promise.
    unwanted = {b"date", b"content-length"} if answer.status in _BODILESS else {b"date"}
    headers = [item for item in end_to_end(answer.raw_headers) if item[0] not in unwanted]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for piece in answer.content.iter_any():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(send: Send, error: _NoAnswerError) -> None:
    body = problem_json(error.status, HTTPStatus(error.status).phrase, str(error))
    headers = {"content-type": PROBLEM_TYPE, "content-length": str(len(body)), **error.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _no_answer(body: ClientBody, error: Exception) -> _NoAnswerError:
    if body.stopped is Stopped.CLIENT_SILENT:
        return _NoAnswerError(408, body.stopped.value, {"connection": "close"})
    if body.stopped is Stopped.CLIENT_LEFT:
        return _NoAnswerError(400, body.stopped.value)  # nobody hears it
    if isinstance(error, TimeoutError):
        return _NoAnswerError(504, "The node has not answered in time.")
    return _NoAnswerError(502, "The node ended the connection, or gave no valid answer.")


def _text(value: bytes) -> str:
    # aiohttp writes headers in UTF-8; anything else than UTF-8 becomes its Latin-1 reading.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
