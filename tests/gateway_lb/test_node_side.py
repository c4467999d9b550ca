"""The node's side of a handshake: what came is not lost when the node goes right behind it."""

import pytest

from gateway_lb.node_side import NodeClosedError, NodeSide
from tests.gateway_lb.fakes import FakeNode, Visit, until

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


async def asked(node: FakeNode) -> NodeSide:
    side = await NodeSide.connect(node.instance)
    side.transport.write(b"GET /websocket/alice HTTP/1.1\r\n\r\n")
    return side


async def test_an_answer_is_read_though_the_node_has_gone() -> None:
    async def parting(visit: Visit) -> None:
        visit.writer.write(HEAD + b"frame")
        visit.writer.transport.abort()

    async with FakeNode(parting) as node:
        side = await asked(node)
        await until(lambda: side.ended, "the node's end is seen")
        assert (await side.answer()).status == 101
        assert bytes(side.received) == HEAD + b"frame"
        side.transport.abort()
        await until(lambda: side.lost, "both directions are over")


async def test_a_node_that_goes_without_an_answer_is_told_apart() -> None:
    async def rude(visit: Visit) -> None:
        visit.writer.write(HEAD[:10])

    async with FakeNode(rude) as node:
        side = await asked(node)
        with pytest.raises(NodeClosedError):
            await side.answer()
        side.transport.abort()
