"""A Nacos in memory that keeps the contract of the real one (tests/contract)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nacos_boot.nacos.error import NacosError, NacosForbiddenError, UnreachableError
from nacos_boot.registry.instance import Instance
from nacos_boot.start.startup import StartError

GROUP = "DEFAULT_GROUP"

Changed = Callable[[str | None], None]
InstancesChanged = Callable[[tuple[Instance, ...]], None]


class FakeNacos:
    """The server. `up` says whether it answers, `deaf` whether it has stopped pushing."""

    def __init__(self, *, password: str = "nacos") -> None:
        self.password = password
        self.up = True
        self.deaf = False
        self.forbidden: set[str] = set()  # data ids
        self.reads: list[str] = []
        self._documents: dict[tuple[str, str], str] = {}
        self._listeners: dict[tuple[str, str], list[Changed]] = defaultdict(list)
        self._instances: dict[tuple[str, str], dict[str, Instance]] = defaultdict(dict)
        self._subscribers: dict[tuple[str, str], list[InstancesChanged]] = defaultdict(list)
        self._edits: dict[tuple[str, str], dict[str, Any]] = {}
        self.clients: list[FakeNacosClient] = []

    def publish(self, data_id: str, content: str, group: str = GROUP) -> None:
        self._documents[group, data_id] = content
        self._stir(group, data_id)

    def remove(self, data_id: str, group: str = GROUP) -> None:
        self._documents.pop((group, data_id), None)
        self._stir(group, data_id)

    def read(self, data_id: str, group: str) -> str | None:
        self.reads.append(data_id)
        return self._documents.get((group, data_id))

    def listen(self, data_id: str, group: str, changed: Changed) -> None:
        self._listeners[group, data_id].append(changed)
        if (group, data_id) in self._documents:
            # A new listener knows nothing yet, so what is there is news to it.
            content = self._documents[group, data_id]
            asyncio.get_running_loop().call_soon(changed, content)

    def put(self, instance: Instance, group: str) -> None:
        self._instances[group, instance.service][instance.address] = instance
        self._push(group, instance.service)

    def take_out(self, instance: Instance, group: str) -> None:
        self._instances[group, instance.service].pop(instance.address, None)
        self._push(group, instance.service)

    def lose(self, service: str, group: str = GROUP) -> None:
        """Forget a service's instances, as a restarted server does."""
        self._instances.pop((group, service), None)

    def edit(self, instance: Instance, group: str = GROUP, **changes: Any) -> None:
        """Edit an instance in the console: from then on that is above what it registers."""
        self._edits[group, instance.address] = changes
        self._push(group, instance.service)

    def restart(self) -> None:
        """Forget every instance, and have the clients notice that they were cut off."""
        self._instances.clear()
        for client in self.clients:
            client.reconnected()

    def instances(self, service: str, group: str = GROUP) -> tuple[Instance, ...]:
        found = [
            _edited(instance, self._edits.get((group, instance.address), {}))
            for instance in self._instances[group, service].values()
        ]
        return tuple(instance for instance in found if instance.enabled)

    def subscribe(self, service: str, group: str, changed: InstancesChanged) -> None:
        self._subscribers[group, service].append(changed)
        asyncio.get_running_loop().call_soon(changed, self.instances(service, group))

    def _stir(self, group: str, data_id: str) -> None:
        if not self.deaf:
            content = self._documents.get((group, data_id))
            for changed in self._listeners[group, data_id]:
                asyncio.get_running_loop().call_soon(changed, content)

    def _push(self, group: str, service: str) -> None:
        if not self.deaf:
            for changed in self._subscribers[group, service]:
                asyncio.get_running_loop().call_soon(changed, self.instances(service, group))


def _edited(instance: Instance, changes: dict[str, Any]) -> Instance:
    metadata = {**instance.metadata, **changes.get("metadata", {})}
    return replace(instance, **{**changes, "metadata": metadata})


class FakeNacosClient:
    """What `nacos.client.NacosClient` is to the real server."""

    def __init__(self, server: FakeNacos, password: str = "nacos") -> None:
        self._server = server
        self._password = password
        self._connected = False
        self._registered: list[tuple[Instance, str]] = []
        self._reconnect_callbacks: list[Callable[[], None]] = []
        server.clients.append(self)
        # Set to have every registration wait, as on a slow network.
        self.held: asyncio.Event | None = None

    @property
    def address(self) -> str:
        return "fake:8848"

    async def connect(self) -> None:
        if self._connected:
            return
        if not self._server.up:
            raise UnreachableError("nobody answers at fake:8848: check spring…server-addr")
        if self._password != self._server.password:
            raise StartError("check spring.cloud.nacos.username and password", final=True)
        self._connected = True

    async def get_config(self, data_id: str, group: str) -> str | None:
        await self._call()
        if data_id in self._server.forbidden:
            raise NacosForbiddenError(f"Nacos at fake:8848 forbids the user 'a' to read {data_id}")
        return self._server.read(data_id, group)

    async def publish_config(self, data_id: str, group: str, content: str) -> None:
        await self._call()
        self._server.publish(data_id, content, group)

    async def listen(self, data_id: str, group: str, changed: Changed) -> None:
        await self._call()
        self._server.listen(data_id, group, changed)

    async def start_listening(self) -> None:
        await self._call()

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnect_callbacks.append(callback)

    def reconnected(self) -> None:
        for callback in self._reconnect_callbacks:
            callback()

    async def register(self, instance: Instance, group: str) -> None:
        await self._call()
        if self.held is not None:
            await self.held.wait()
        kinds = {known.ephemeral for known in self._server.instances(instance.service, group)}
        if kinds - {instance.ephemeral}:
            kind = "persistent" if instance.ephemeral else "ephemeral"
            raise NacosError(
                f"Nacos at fake:8848 refuses to register {instance.address}: the service"
                f" '{instance.service}' is {kind} there; change"
                " spring.cloud.nacos.discovery.ephemeral"
            )
        self._server.put(instance, group)
        self._registered.append((instance, group))

    async def deregister(self, instance: Instance, group: str) -> None:
        await self._call()
        self._server.take_out(instance, group)

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        await self._call()
        return self._server.instances(service, group)

    async def subscribe(self, service: str, group: str, changed: InstancesChanged) -> None:
        await self._call()
        self._server.subscribe(service, group, changed)

    async def close(self) -> None:
        self._connected = False
        for instance, group in self._registered:
            if instance.ephemeral:
                self._server.take_out(instance, group)

    async def _call(self) -> None:
        await asyncio.sleep(0)
        if not self._connected:
            raise NacosError("not connected to Nacos at fake:8848")
        if not self._server.up:
            raise NacosError("Nacos at fake:8848 did not answer")
