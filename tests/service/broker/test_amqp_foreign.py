"""Messages with properties that nobody can read, on a real RabbitMQ.

Any AMQP client may publish to the exchange. At such a property the client library ends the
connection, with which this node's queue and every message in it would go.
"""

from datetime import UTC, datetime
from typing import Any

import aio_pika
import pamqp.encode
import pytest
from aio_pika.abc import AbstractChannel

from service.broker.amqp import DIRECT, queue_of
from tests.service.amqp_links import Consumer, Start
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.parametrize(
    "case",
    [
        ("shortstr", b"\x03\xff\xfe\xfd", {"message_id": "x"}),
        ("shortstr", b"\x10" + bytes(range(0x80, 0x90)), {"correlation_id": "x"}),
        ("timestamp", b"\xff" * 8, {"timestamp": datetime(2024, 1, 1, tzinfo=UTC)}),
        ("timestamp", b"\x00\xff" * 4, {"timestamp": datetime(2024, 1, 1, tzinfo=UTC)}),
        ("table", b"\0\0\0\x03\x01\xffV", {"headers": {"x": 1}}),
    ],
)
async def test_a_property_that_cannot_be_read_costs_neither_message_nor_queue(
    amqp_port: int, start: Start, channel: AbstractChannel, case: tuple[str, bytes, dict[str, Any]]
) -> None:
    kind, data, properties = case
    consumer: Consumer = await start(Consumer(amqp_port))
    exchange = await channel.get_exchange(DIRECT)
    encode = pamqp.encode.METHODS[kind]

    def malformed(value: Any) -> bytes:
        return data if value in properties.values() else encode(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pamqp.encode.METHODS, kind, malformed)
        message = aio_pika.Message(b"malformed", **properties)
        await exchange.publish(message, routing_key=consumer.id)
    await exchange.publish(aio_pika.Message(b"next"), routing_key=consumer.id)
    await eventually(lambda: consumer.got == [b"malformed", b"next"])
    assert consumer.up
    assert consumer.queue_name == queue_of(consumer.id)
