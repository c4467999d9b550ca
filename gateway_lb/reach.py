"""Bring a handshake to a node that takes it, trying others when one does not."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway_lb import metrics
from gateway_lb.answer import Answer, BadAnswerError
from gateway_lb.node_side import NodeClosedError, NodeSide
from gateway_lb.node_tls import tls_to
from gateway_lb.pool import Member
from gateway_lb.relays import Relays
from gateway_lb.settings import GatewaySection

log = logging.getLogger(__name__)

_SWITCHING = 101
_UNAVAILABLE = 503


class NoNodeError(Exception):
    """No node took the handshake."""


@dataclass(slots=True)
class Reached:
    """A node that has answered. With 101, `node` is the open connection; else `body` is all."""

    member: Member
    node: NodeSide
    answer: Answer
    body: bytes = b""

    @property
    def accepted(self) -> bool:
        """Whether the node has taken the client."""
        return self.answer.status == _SWITCHING


async def reach(relays: Relays, user: str, request: Callable[[int], bytes]) -> Reached:
    """Ask nodes until one answers with anything but 503; `request(n)` writes the nth attempt.

    The member reached has one open relay more, to be given back when the relay ends. Raises
    NoNodeError when the candidates, the attempts or the time are used up.
    """
    settings, pool, clock = relays.settings, relays.pool, relays.clock
    deadline = clock() + settings.handshake_timeout.total_seconds()
    tried: list[Member] = []
    while len(tried) < settings.max_attempts:
        now = clock()
        candidates = pool.candidates(now, tried)
        if not candidates or now >= deadline:
            break
        member = relays.chooser.choose(settings.strategy, candidates, user)
        tried.append(member)
        if len(tried) > 1:
            metrics.RETRIES.inc()
        # A node that hangs may use its share of the time only, so that others have theirs.
        others = min(settings.max_attempts, len(pool.available)) - len(tried)
        share = (deadline - now) / (1 + max(0, others))
        member.open += 1
        try:
            reached = await _ask(member, request(len(tried)), settings, share)
        except (OSError, TimeoutError, BadAnswerError) as error:
            member.open -= 1
            _set_aside(relays, member, _reason(error), str(error) or "no answer in time")
        except BaseException:
            member.open -= 1
            raise
        else:
            if reached.answer.status != _UNAVAILABLE:
                pool.restore(member)
                return reached
            member.open -= 1
            _set_aside(relays, member, "busy", "it is draining or full")
    if tried:
        raise NoNodeError("no node could take the connection")
    raise NoNodeError("no node is alive")


async def _ask(member: Member, request: bytes, settings: GatewaySection, share: float) -> Reached:
    tls = tls_to(member.instance, settings)
    async with asyncio.timeout(share):
        async with asyncio.timeout(settings.connect_timeout.total_seconds()):
            node = await NodeSide.connect(member.instance, tls)
        try:
            node.transport.write(request)
            answer = await node.answer()
            reached = Reached(member, node, answer)
            if not reached.accepted:
                reached.body = await node.body(answer)
                node.transport.close()
        except BaseException:
            node.transport.abort()
            raise
        return reached


def _set_aside(relays: Relays, member: Member, reason: str, detail: str) -> None:
    metrics.NODE_FAILURES.labels(reason).inc()
    now, aside = relays.clock(), relays.settings.set_aside
    if member.set_aside_until <= now:  # once each time, not for every handshake of a storm
        log.warning(
            "node %s does not take connections (%s); others are preferred for %g s",
            member.instance.address,
            detail,
            aside.total_seconds(),
        )
    relays.pool.set_aside(member, now + aside.total_seconds())


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "timeout"
        case NodeClosedError():
            return "closed"
        case BadAnswerError():
            return "bad-answer"
    return "unreachable"
