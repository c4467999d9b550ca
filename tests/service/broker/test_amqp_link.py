"""A link to a real RabbitMQ: how it starts, fails to start, and is repaired."""

import asyncio
import uuid

import pytest
from aio_pika.abc import AbstractChannel

from devtools.ports import free_port
from nacos_boot.start.startup import StartError
from service.broker import amqp
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.confirms import Outcome
from tests.rabbit import local_rabbit
from tests.service.amqp_links import Start, fanout
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("impatient")


async def test_a_link_can_be_ended_while_it_is_being_repaired(amqp_proxy: TcpProxy) -> None:
    publisher = AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n")
    await publisher.open()
    task = asyncio.create_task(publisher.run())
    # Dropping a connection that hangs takes its time.
    amqp_proxy.hang()
    publisher._broke(publisher._connection)
    await eventually(lambda: publisher._connection is None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 2)
    await publisher.close()


async def test_the_late_end_of_an_old_connection_does_not_cost_the_new_one(
    start: Start, amqp_proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    old = publisher._connection
    amqp_proxy.cut()
    await eventually(lambda: publisher.up and publisher._connection not in {None, old})
    publisher._broke(old)
    assert publisher.up
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]
    assert amqp_proxy.connections == 2


async def test_a_start_without_rabbitmq_names_address_and_settings() -> None:
    port = free_port()
    publisher = AmqpPublisher(local_rabbit(port=port), "n")
    with pytest.raises(
        StartError, match=rf"127\.0\.0\.1:{port} .*spring\.rabbitmq\.host"
    ) as caught:
        await publisher.open()
    assert not caught.value.final


async def test_a_server_that_ends_the_connection_amid_its_greeting_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As the client does when the end comes before its first read; a broker that stops does so.
    async def connect(**_: object) -> None:
        raise StopAsyncIteration

    monkeypatch.setattr(amqp.aio_pika, "connect", connect)
    with pytest.raises(StartError, match="cannot be used"):
        await AmqpPublisher(local_rabbit(), "n").open()


@pytest.mark.parametrize(
    "account", [{"username": ""}, {"password": ""}, {"username": "", "password": ""}]
)
async def test_without_an_account_nobody_logs_in_as_guest(
    amqp_port: int, account: dict[str, str]
) -> None:
    publisher = AmqpPublisher(local_rabbit(port=amqp_port, **account), "n")
    with pytest.raises(StartError, match=r"no account .*RABBITMQ_USERNAME") as caught:
        await publisher.open()
    assert caught.value.final


async def test_a_server_that_does_not_answer_is_given_up_in_time(amqp_proxy: TcpProxy) -> None:
    amqp_proxy.hang()
    publisher = AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n")
    with pytest.raises(StartError, match="no answer in time"):
        await asyncio.wait_for(publisher.open(), 2)


@pytest.mark.parametrize("host", ["", "two words", "http://h", "x" * 70])
async def test_a_host_that_cannot_be_one_is_named_like_one_that_is_not_there(host: str) -> None:
    publisher = AmqpPublisher(local_rabbit(host=host), "n")
    with pytest.raises(StartError, match=r"spring\.rabbitmq\.host"):
        await publisher.open()


async def test_a_wrong_password_is_final_and_not_shown(amqp_port: int) -> None:
    publisher = AmqpPublisher(local_rabbit(port=amqp_port, password="hush"), "n")
    with pytest.raises(StartError, match=r"'guest'.*spring\.rabbitmq\.password") as caught:
        await publisher.open()
    assert caught.value.final
    assert "hush" not in str(caught.value)


async def test_a_virtual_host_that_is_not_there_is_named(amqp_port: int) -> None:
    publisher = AmqpPublisher(local_rabbit(port=amqp_port, **{"virtual-host": "none"}), "n")
    with pytest.raises(StartError, match="virtual-host"):
        await publisher.open()


async def test_an_exchange_declared_otherwise_is_final(
    amqp_port: int, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"test-{uuid.uuid4().hex}"
    monkeypatch.setattr(amqp, "FANOUT", name)
    exchange = await channel.declare_exchange(name, "fanout", durable=False)
    publisher = AmqpPublisher(local_rabbit(port=amqp_port), "n")
    with pytest.raises(StartError, match=f"{name}.*virtual-host") as caught:
        await publisher.open()
    assert caught.value.final
    await exchange.delete()
