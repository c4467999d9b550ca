"""Nodes move between real brokers while everybody publishes: all arrives once, in order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import aio_pika
import pytest

from devtools.ports import LOOPBACK, free_port
from devtools.rabbitmq import RabbitServer
from devtools.servers import Servers
from service.broker import amqp_link
from service.broker.amqp import declare_node_queue, queue_of
from service.broker.broker import server_of
from service.moving import handover
from service.settings_servers import RabbitSection
from tests.rabbit import local_rabbit
from tests.service.broker_fleet import Fleet, FleetNode
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

MOVED = 20


@pytest.fixture
async def fleet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setattr(handover, "HOLD", 0.5)
    fleet = Fleet()
    yield fleet
    await fleet.close()


@pytest.fixture
def here(servers: Servers) -> RabbitSection:
    return local_rabbit(port=servers.ports.rabbitmq)


@pytest.fixture
def there(second_rabbitmq: RabbitServer) -> RabbitSection:
    return local_rabbit(port=second_rabbitmq.port)


@pytest.fixture(scope="module")
def other_account(servers: Servers) -> Iterator[RabbitSection]:
    control = servers.rabbitmq.control
    control("add_user", "mover", "moving")
    control("set_permissions", "mover", ".*", ".*", ".*")
    yield local_rabbit(port=servers.ports.rabbitmq, username="mover", password="moving")
    control("delete_user", "mover")


async def queues(settings: RabbitSection, nodes: list[FleetNode]) -> dict[str, int]:
    """Give the queues that these nodes have at a server, and their consumers."""
    found = {}
    async with await aio_pika.connect(host=LOOPBACK, port=settings.port) as connection:
        for name in (queue_of(node.id, number) for node in nodes for number in range(4)):
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(name, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                continue
            found[name] = queue.declaration_result.consumer_count or 0
    return found


async def some_published(fleet: Fleet) -> None:
    marks = [len(node.accepted) + 40 for node in fleet.nodes]

    async def more() -> bool:
        return all(len(n.accepted) > mark for n, mark in zip(fleet.nodes, marks, strict=True))

    await eventually(more, limit=MOVED)


async def all_arrived(fleet: Fleet) -> None:
    await some_published(fleet)
    await fleet.stop_publishing()
    await eventually(fleet.complete, limit=MOVED)


async def cut(proxy: TcpProxy, node: FleetNode) -> None:
    """Break a node's connections, and wait until both are there again."""
    wanted = proxy.connections + 2
    proxy.cut()
    broker = node.broker
    await eventually(
        lambda: proxy.connections >= wanted and broker.publishing and broker.consuming, limit=MOVED
    )


def test_a_server_is_named_by_its_address_without_an_account() -> None:
    named = local_rabbit(host="mq", username="u", password="p")
    assert server_of(named).name == "mq:5672"
    assert server_of(local_rabbit(**{"virtual-host": "a b/c"})).name == "127.0.0.1:5672/a%20b%2Fc"
    assert server_of(named) == server_of(named.model_copy())
    assert server_of(named) != server_of(local_rabbit(host="mq", username="u", password="q"))


async def test_nodes_that_move_to_another_broker_one_by_one_miss_nothing(
    fleet: Fleet, here: RabbitSection, there: RabbitSection
) -> None:
    first, second, third = [await fleet.add(here) for _ in range(3)]
    fleet.publish()
    await some_published(fleet)
    first.move(there)
    await eventually(lambda: there.port in {s.settings.port for s in first.broker.mover.sides})
    await some_published(fleet)
    # It waits for the others, and says so.
    assert first.broker.address == f"{LOOPBACK}:{here.port}"
    second.move(there)
    moving_to = server_of(there).name
    await eventually(
        lambda: (
            first.broker.details.get("movingTo") == moving_to
            and first.broker.details.get("waitingFor") == [third.id]
        )
    )
    await some_published(fleet)
    third.move(there)
    await eventually(lambda: all(node.at(there) for node in fleet.nodes), limit=MOVED)
    await all_arrived(fleet)
    assert await queues(here, fleet.nodes) == {}
    assert set((await queues(there, fleet.nodes)).values()) == {1}
    assert set(first.broker.details) == {"address", "publishing", "consuming"}


async def test_there_and_back_again_in_haste(
    fleet: Fleet, here: RabbitSection, there: RabbitSection, other_account: RabbitSection
) -> None:
    for _ in range(2):
        await fleet.add(here)
    fleet.publish()
    for wanted in (there, here, there, other_account, there, here):
        for node in fleet.nodes:
            node.move(wanted)
            await asyncio.sleep(0.15)
    await eventually(lambda: all(node.at(here) for node in fleet.nodes), limit=MOVED)
    await all_arrived(fleet)
    assert await queues(there, fleet.nodes) == {}
    assert set((await queues(here, fleet.nodes)).values()) == {1}


async def test_another_account_takes_over_the_queue_without_a_gap(
    fleet: Fleet, here: RabbitSection, other_account: RabbitSection
) -> None:
    first, second = [await fleet.add(here) for _ in range(2)]
    fleet.publish()
    await some_published(fleet)
    # Nobody has to be waited for: the other node stays where it is.
    first.move(other_account)
    await eventually(lambda: first.at(other_account), limit=MOVED)
    await some_published(fleet)
    assert first.broker.mover.standing == second.broker.mover.standing
    assert await queues(here, fleet.nodes) == {queue_of(first.id): 1, queue_of(second.id): 1}
    second.move(other_account)
    await eventually(lambda: second.at(other_account), limit=MOVED)
    await all_arrived(fleet)


async def test_another_name_of_the_broker_is_the_same_broker(
    fleet: Fleet, here: RabbitSection
) -> None:
    alias = local_rabbit(host="localhost", port=here.port)
    first, _ = [await fleet.add(here) for _ in range(2)]
    fleet.publish()
    await some_published(fleet)
    first.move(alias)
    await eventually(lambda: first.at(alias), limit=MOVED)
    assert first.broker.mover.standing.uses == f"localhost:{here.port}"
    assert await queues(here, [first]) == {queue_of(first.id): 1}
    await all_arrived(fleet)


async def test_after_a_move_a_broken_connection_is_repaired_as_ever(
    fleet: Fleet, here: RabbitSection, amqp_proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_link, "PAUSES", (0.02,))
    by_proxy = local_rabbit(port=amqp_proxy.port)
    node = await fleet.add(here)
    node.move(by_proxy)
    await eventually(lambda: node.at(by_proxy), limit=MOVED)
    await cut(amqp_proxy, node)
    assert node.broker.mover.side._consumer.priority == 0
    fleet.publish()
    await all_arrived(fleet)


async def test_a_side_that_breaks_while_it_shares_the_queue_shares_it_again(
    fleet: Fleet,
    here: RabbitSection,
    there: RabbitSection,
    amqp_proxy: TcpProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(amqp_link, "PAUSES", (0.02,))
    node, other = [await fleet.add(here) for _ in range(2)]
    # Two sides at one broker, because the other node holds up the move away from it.
    node.move(there)
    await eventually(lambda: len(node.broker.mover.sides) == 2)
    node.move(local_rabbit(port=amqp_proxy.port))
    await eventually(lambda: node.at(node.settings), limit=MOVED)
    assert list((await queues(here, [node])).values()) == [1]
    fleet.publish()
    other.move(node.settings)
    await eventually(lambda: other.at(node.settings), limit=MOVED)
    await all_arrived(fleet)


async def test_queues_of_dead_nodes_are_deleted_at_every_broker_that_is_kept(
    fleet: Fleet, here: RabbitSection, there: RabbitSection
) -> None:
    node, _stayer = [await fleet.add(here) for _ in range(2)]
    node.move(there)
    await eventually(lambda: len(node.broker.mover.standing.keeps) == 2, limit=MOVED)
    dead = FleetNode(fleet, here)
    for settings in (here, there):
        async with await aio_pika.connect(host=LOOPBACK, port=settings.port) as connection:
            await declare_node_queue(await connection.channel(), queue_of(dead.id))
    await node.broker.discard_queue(dead.id)
    for settings in (here, there):
        assert await queues(settings, [dead]) == {}


@pytest.mark.parametrize("case", ["nobody listens", "refused"])
async def test_a_server_that_cannot_be_used_changes_nothing_and_is_explained_once(
    fleet: Fleet, here: RabbitSection, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    bad = local_rabbit(port=free_port())
    words = (f"{LOOPBACK}:{bad.port}", "spring.rabbitmq.host")
    if case == "refused":
        bad = local_rabbit(port=here.port, password="hush")
        words = (f"{LOOPBACK}:{here.port}", "'guest'", "spring.rabbitmq.password")
    node, _ = [await fleet.add(here) for _ in range(2)]
    fleet.publish()
    node.move(bad)

    def explained() -> bool:
        error = str(node.broker.details.get("error"))
        return all(word in error for word in words)

    await eventually(explained)
    assert node.broker.details["movingTo"] == server_of(bad).name
    await some_published(fleet)
    assert node.broker.publishing
    assert node.broker.consuming
    node.move(here)
    await eventually(lambda: node.at(here), limit=MOVED)
    told = [r.message for r in caplog.records if "everything stays" in r.message]
    assert len(told) == 1
    assert all(word in told[0] for word in words)
    assert "hush" not in caplog.text
    await all_arrived(fleet)


async def test_a_server_that_comes_up_later_is_moved_to_then(
    fleet: Fleet, here: RabbitSection, servers: Servers
) -> None:
    node = await fleet.add(here)
    fleet.publish()
    async with TcpProxy(servers.ports.rabbitmq) as proxy:
        later = local_rabbit(host="localhost", port=proxy.port)
        proxy.hang()
        node.move(later)
        await some_published(fleet)
        assert node.broker.address == f"{LOOPBACK}:{here.port}"
        proxy.flow()
        await eventually(lambda: node.at(later), limit=MOVED)
        await all_arrived(fleet)


async def test_a_node_that_stays_behind_is_waited_for_no_longer_than_the_limit(
    fleet: Fleet, here: RabbitSection, there: RabbitSection
) -> None:
    fleet.limit = timedelta(seconds=1)
    loop = asyncio.get_running_loop()
    mover, _stayer = [await fleet.add(here) for _ in range(2)]
    began = loop.time()
    mover.move(there)
    await eventually(lambda: mover.broker.address.endswith(str(there.port)), limit=MOVED)
    assert loop.time() - began >= 1
    # The one that stays uses the old broker, which is left after the limit, too.
    await eventually(lambda: mover.at(there), limit=MOVED)


async def test_a_broker_that_was_away_at_the_start_is_repaired_when_it_breaks_later(
    fleet: Fleet, amqp_proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_link, "PAUSES", (0.02,))
    monkeypatch.setattr(amqp_link, "CALL_LIMIT", 0.5)
    amqp_proxy.hang()
    node = FleetNode(fleet, local_rabbit(port=amqp_proxy.port))
    with pytest.raises(amqp_link.StartError, match=str(amqp_proxy.port)):
        await node.broker.connect()
    amqp_proxy.flow()
    await node.broker.connect()
    fleet.nodes.append(node)
    running = asyncio.create_task(node.broker.run())
    await asyncio.sleep(0)
    await cut(amqp_proxy, node)
    running.cancel()
