"""What every Nacos client here must do: the fake one of the tests, and the real one."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any, Protocol

import pytest

from devtools.servers import Servers
from nacos_boot.nacos.client import NacosClient
from nacos_boot.nacos.error import NacosError, UnreachableError
from nacos_boot.registry.instance import Instance
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
from tests.nacos_admin import NacosAdmin
from tests.waiting import eventually

SOON = 2.0  # seconds until a change must have been pushed

Client = NacosClient | FakeNacosClient


class World(Protocol):
    """A Nacos, real or not."""

    async def client(self, password: str = "nacos") -> Client:
        """Make a client that isn't connected yet."""

    async def remove(self, data_id: str) -> None:
        """Delete a document, as a person does in the console."""

    async def edit(self, instance: Instance) -> None:
        """Have an instance say this, as a person does in the console."""


class FakeWorld:
    def __init__(self) -> None:
        self._nacos = FakeNacos()

    async def client(self, password: str = "nacos") -> Client:
        return FakeNacosClient(self._nacos, password)

    async def remove(self, data_id: str) -> None:
        self._nacos.remove(data_id)

    async def edit(self, instance: Instance) -> None:
        metadata = dict(instance.metadata)
        self._nacos.edit(
            instance, weight=instance.weight, enabled=instance.enabled, metadata=metadata
        )


class RealWorld:
    def __init__(self, servers: Servers) -> None:
        self._address = servers.env()["NACOS_SERVER_ADDR"]
        self._admin = NacosAdmin(servers.nacos.url)

    async def client(self, password: str = "nacos") -> Client:
        account = {"username": "nacos", "password": password}
        return NacosClient(
            NacosSettings.model_validate({"server-addr": [self._address], **account})
        )

    async def remove(self, data_id: str) -> None:
        await asyncio.to_thread(self._admin.delete, data_id)

    async def edit(self, instance: Instance) -> None:
        await asyncio.to_thread(self._admin.edit_instance, instance)


@pytest.fixture(scope="module", params=["fake", "real"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        return FakeWorld()
    return RealWorld(request.getfixturevalue("servers"))


@pytest.fixture(scope="module")
async def clients(world: World) -> AsyncIterator[list[Client]]:
    """Three connected clients, for all tests: each test has names of its own."""
    made = [await world.client() for _ in range(3)]
    for client in made:
        await client.connect()
    yield made
    for client in made:
        await client.close()


@pytest.fixture
def client(clients: list[Client]) -> Client:
    return clients[0]


@pytest.fixture
def other(clients: list[Client]) -> Client:
    return clients[1]


@pytest.fixture
async def data_id(world: World) -> AsyncIterator[str]:
    name = f"contract-{uuid.uuid4().hex[:12]}.yml"
    yield name
    await world.remove(name)


@pytest.fixture
def service() -> str:
    return f"contract-{uuid.uuid4().hex[:12]}"


class Stirred:
    """A listener that counts."""

    def __init__(self) -> None:
        self.times = 0
        self.content: str | None = None

    def __call__(self, content: str | None) -> None:
        self.times += 1
        self.content = content

    async def after(self, act: Awaitable[Any]) -> None:
        """Do something, and wait to be stirred by it."""
        before = self.times
        await act
        await eventually(lambda: self.times > before, limit=SOON)

    async def settled(self) -> None:
        """Wait until a new listener has learnt what there is."""
        await eventually(lambda: self.times, limit=SOON)


# Documents


async def test_what_is_absent_is_none(client: Client, data_id: str) -> None:
    assert await client.get_config(data_id, GROUP) is None


@pytest.mark.parametrize("content", ["a: 1\n", "a: é 漢 🎈\r\nb: 2", "# only this", "x" * 200_000])
async def test_what_is_published_is_read_unchanged(
    client: Client, other: Client, data_id: str, content: str
) -> None:
    await client.publish_config(data_id, GROUP, content)

    async def arrived() -> bool:
        return await other.get_config(data_id, GROUP) == content

    # Nacos answers a publication before every reader sees it.
    await eventually(arrived, limit=SOON)


async def test_groups_are_apart(client: Client, data_id: str) -> None:
    await client.publish_config(data_id, GROUP, "a: 1")
    assert await client.get_config(data_id, "OTHER_GROUP") is None


async def test_a_listener_is_stirred_by_each_publication_and_then_reads_it(
    client: Client, other: Client, data_id: str
) -> None:
    await other.publish_config(data_id, GROUP, "a: 0")
    stirred = Stirred()
    await client.listen(data_id, GROUP, stirred)
    await client.start_listening()
    await stirred.settled()
    for number in range(1, 4):
        content = f"a: {number}"
        await stirred.after(other.publish_config(data_id, GROUP, content))
        assert stirred.content == content
        assert await client.get_config(data_id, GROUP) == content


async def test_a_publication_right_after_listening_is_not_missed(
    client: Client, other: Client, data_id: str
) -> None:
    stirred = Stirred()
    await client.listen(data_id, GROUP, stirred)
    await client.start_listening()
    await stirred.after(other.publish_config(data_id, GROUP, "a: 1"))
    assert await client.get_config(data_id, GROUP) == "a: 1"


async def test_one_may_listen_to_a_document_that_comes_later(
    client: Client, other: Client, data_id: str
) -> None:
    stirred = Stirred()
    await client.listen(data_id, GROUP, stirred)
    await client.start_listening()
    assert await client.get_config(data_id, GROUP) is None
    await stirred.after(other.publish_config(data_id, GROUP, "a: 1"))


async def test_a_deletion_stirs_and_is_read_as_none(
    world: World, client: Client, data_id: str
) -> None:
    await client.publish_config(data_id, GROUP, "a: 1")
    stirred = Stirred()
    await client.listen(data_id, GROUP, stirred)
    await client.start_listening()
    await stirred.settled()
    await stirred.after(world.remove(data_id))
    assert stirred.content is None
    assert await client.get_config(data_id, GROUP) is None
    await stirred.after(client.publish_config(data_id, GROUP, "a: 1"))
    assert await client.get_config(data_id, GROUP) == "a: 1"


async def test_two_listeners_and_two_clients_are_all_stirred(
    client: Client, other: Client, data_id: str
) -> None:
    listeners = [Stirred(), Stirred(), Stirred()]
    await client.publish_config(data_id, GROUP, "a: 0")
    for who, stirred in zip([client, client, other], listeners, strict=True):
        await who.listen(data_id, GROUP, stirred)
        await who.start_listening()
    for stirred in listeners:
        await stirred.settled()
    before = [stirred.times for stirred in listeners]
    await client.publish_config(data_id, GROUP, "a: 1")
    await eventually(
        lambda: all(now.times > was for now, was in zip(listeners, before, strict=True)),
        limit=SOON,
    )


async def test_a_burst_stirs_after_its_last_publication(
    client: Client, other: Client, data_id: str
) -> None:
    seen: list[str | None] = []
    stirred = asyncio.Event()
    await client.listen(data_id, GROUP, lambda _: stirred.set())
    await client.start_listening()

    async def read_when_stirred() -> None:
        while True:
            await stirred.wait()
            stirred.clear()
            seen.append(await client.get_config(data_id, GROUP))

    reading = asyncio.create_task(read_when_stirred())
    for number in range(20):
        await other.publish_config(data_id, GROUP, f"a: {number}")
    await eventually(lambda: seen and seen[-1] == "a: 19", limit=SOON)
    reading.cancel()


# Instances


def instance(service: str, host: int = 1, **more: Any) -> Instance:
    return Instance(service=service, ip=f"10.255.0.{host}", port=8081, **more)


async def known(client: Client, service: str) -> set[str]:
    return {found.address for found in await client.instances(service, GROUP)}


async def test_a_service_without_instances_is_empty(client: Client, service: str) -> None:
    assert await client.instances(service, GROUP) == ()


async def test_an_instance_is_listed_as_it_was_registered(
    client: Client, other: Client, service: str
) -> None:
    ours = instance(service, weight=2.5, cluster="EAST", metadata={"version": "1", "zone": "a"})
    await client.register(ours, GROUP)

    async def listed() -> bool:
        return await other.instances(service, GROUP) == (ours,)

    await eventually(listed, limit=SOON)
    assert await other.instances(service, "OTHER_GROUP") == ()


async def test_registering_again_updates(client: Client, other: Client, service: str) -> None:
    ours = instance(service, metadata={"a": "1"})
    await client.register(ours, GROUP)
    changed = replace(ours, weight=0.5, metadata={"b": "2"})
    await client.register(changed, GROUP)

    async def listed() -> bool:
        return await other.instances(service, GROUP) == (changed,)

    await eventually(listed, limit=SOON)


async def test_the_list_is_asked_of_the_server_and_not_of_a_cache(
    client: Client, other: Client, service: str
) -> None:
    # Subscribing fills the SDK's cache; a change after that must show in the next answer
    # without waiting for the push.
    await client.subscribe(service, GROUP, lambda _: None)
    assert await client.instances(service, GROUP) == ()
    await other.register(instance(service), GROUP)

    async def listed() -> bool:
        return await known(client, service) == {"10.255.0.1:8081"}

    await eventually(listed, limit=SOON)
    await other.deregister(instance(service), GROUP)

    async def gone() -> bool:
        return await known(client, service) == set()

    await eventually(gone, limit=SOON)


async def test_every_change_is_pushed_down_to_the_last_instances_removal(
    clients: list[Client], service: str
) -> None:
    client, other, third = clients
    pushed: list[tuple[Instance, ...]] = []
    await client.subscribe(service, GROUP, pushed.append)

    async def arrives(*expected: Instance) -> None:
        def check() -> bool:
            return bool(pushed) and set(pushed[-1]) == set(expected)

        await eventually(check, limit=SOON)
        assert sorted(pushed[-1], key=lambda found: found.ip) == list(expected)

    one, two = instance(service), instance(service, 2)
    await other.register(one, GROUP)
    await arrives(one)
    await third.register(two, GROUP)
    await arrives(one, two)
    heavier = replace(one, weight=3.0, metadata={"a": "1"})
    await other.register(heavier, GROUP)
    await arrives(heavier, two)
    await third.deregister(two, GROUP)
    await arrives(heavier)
    await other.deregister(heavier, GROUP)
    await arrives()
    await other.register(one, GROUP)
    await arrives(one)


async def test_a_client_that_is_gone_takes_its_instance_along(
    world: World, client: Client, service: str
) -> None:
    leaver = await world.client()
    await leaver.connect()
    pushed: list[tuple[Instance, ...]] = []
    await client.subscribe(service, GROUP, pushed.append)
    await leaver.register(instance(service), GROUP)
    await eventually(lambda: pushed and pushed[-1], limit=SOON)
    await leaver.close()
    await eventually(lambda: pushed[-1] == (), limit=5)


async def test_a_persistent_instance_stays_until_it_is_deregistered(
    world: World, client: Client, service: str
) -> None:
    lasting = instance(service, ephemeral=False, metadata={"a": "1"})
    leaver = await world.client()
    await leaver.connect()
    await leaver.register(lasting, GROUP)

    async def listed() -> bool:
        found = await client.instances(service, GROUP)
        # Nacos looks by itself whether anybody listens there.
        return [replace(each, healthy=True) for each in found] == [lasting]

    await eventually(listed, limit=SOON)
    await leaver.close()
    assert await listed()
    await client.deregister(lasting, GROUP)

    async def gone() -> bool:
        return await known(client, service) == set()

    await eventually(gone, limit=SOON)


@pytest.mark.parametrize("ephemeral", [True, False])
async def test_a_service_holds_instances_of_one_kind(
    client: Client, other: Client, service: str, ephemeral: bool
) -> None:
    first = instance(service, ephemeral=ephemeral)
    await client.register(first, GROUP)
    kind = "ephemeral" if ephemeral else "persistent"
    with pytest.raises(NacosError, match=f"'{service}' is {kind} there") as caught:
        await other.register(instance(service, 2, ephemeral=not ephemeral), GROUP)
    assert "spring.cloud.nacos.discovery.ephemeral" in str(caught.value)
    await client.deregister(first, GROUP)


async def test_an_instance_that_is_not_enabled_is_not_listed(
    client: Client, other: Client, service: str
) -> None:
    pushed: list[tuple[Instance, ...]] = []
    await client.subscribe(service, GROUP, pushed.append)
    await other.register(instance(service), GROUP)
    await eventually(lambda: pushed and pushed[-1], limit=SOON)
    await other.register(instance(service, enabled=False), GROUP)
    await eventually(lambda: pushed[-1] == (), limit=SOON)
    assert await client.instances(service, GROUP) == ()


async def test_an_edit_in_the_console_is_above_what_is_registered(
    world: World, client: Client, other: Client, service: str
) -> None:
    ours = instance(service, metadata={"a": "1", "b": "1"})
    await other.register(ours, GROUP)

    async def sees(expected: Instance | None) -> None:
        async def check() -> bool:
            return await client.instances(service, GROUP) == (() if not expected else (expected,))

        await eventually(check, limit=SOON)

    await sees(ours)
    await world.edit(replace(ours, weight=3.0, metadata={"a": "2", "c": "2"}))
    await sees(replace(ours, weight=3.0, metadata={"a": "2", "b": "1", "c": "2"}))
    # Registered again with something else, the edited keys stay; what was not edited is new.
    await other.register(replace(ours, weight=0.5, metadata={"a": "3", "b": "3"}), GROUP)
    await sees(replace(ours, weight=3.0, metadata={"a": "2", "b": "3", "c": "2"}))
    # What is taken out of the edited metadata is the instance's own again.
    await world.edit(replace(ours, weight=3.0, metadata={"c": "2"}))
    await sees(replace(ours, weight=3.0, metadata={"a": "3", "b": "3", "c": "2"}))
    # Taken offline, it is not listed, however often it registers.
    await world.edit(replace(ours, enabled=False, metadata={}))
    await sees(None)
    await other.register(ours, GROUP)
    await sees(None)
    await world.edit(replace(ours, metadata={}))
    await sees(ours)


# Faults


async def test_a_wrong_password_names_the_setting_and_not_the_password(world: World) -> None:
    client = await world.client(password="hunter2")
    with pytest.raises(StartError) as caught:
        await client.connect()
    assert not isinstance(caught.value, UnreachableError)
    assert "spring.cloud.nacos.username and password" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    await client.close()


async def test_a_client_that_is_not_connected_says_so(world: World, service: str) -> None:
    client = await world.client()
    for call in (
        client.get_config("a.yml", GROUP),
        client.register(instance(service), GROUP),
        client.deregister(instance(service), GROUP),
        client.instances(service, GROUP),
    ):
        with pytest.raises(NacosError, match="not connected to Nacos at "):
            await call
    await client.close()


async def test_connecting_twice_at_once_is_connecting_once(world: World, data_id: str) -> None:
    client = await world.client()
    await asyncio.gather(client.connect(), client.connect())
    assert await client.get_config(data_id, GROUP) is None
    await client.close()
    await client.close()
