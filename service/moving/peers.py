"""The other live nodes, and where they say that they are, as the registry tells."""

from collections.abc import Callable, Mapping

from nacos_boot.registry.discovery import Discovery
from service.moving.handover import Peer, Peers, Standing, may_begin

NODE_ID = "websocket.node-id"
CONFIG_MD5 = "nacos.config.md5"
RABBITMQ = "websocket.rabbitmq"
REDIS = "websocket.redis"
"""Keys of an instance's metadata; the last two hold what `Standing.write` gives."""


class NodeList:
    """The healthy nodes that Nacos lists, seen by one of them.

    `registered` says whether this node should be among them.
    """

    def __init__(self, discovery: Discovery, node: str, registered: Callable[[], bool]) -> None:
        self._discovery = discovery
        self._node = node
        self._registered = registered

    def ids(self) -> set[str] | None:
        """Give the ids of all nodes, this one too; None where nobody can say who is alive."""
        found = self._found()
        # A list without this node is older than its registration, or none has come yet.
        return set(found) if found is not None and self._node in found else None

    def peers(self, kind: str) -> Peers | None:
        """Give the other nodes, with their standing under the metadata key `kind`.

        None where nobody can say who is alive.
        """
        found = self._found()
        if found is None or (self._node not in found and self._registered()):
            return None
        return {
            node: Peer(Standing.read(metadata.get(kind, "")), metadata.get(CONFIG_MD5, ""))
            for node, metadata in found.items()
            if node != self._node
        }

    def may_begin(self, kind: str, standing: Standing, md5: str) -> bool:
        """Tell whether this node, with its settings' md5, would be heard by all and hear them."""
        peers = self.peers(kind)
        return peers is None or may_begin(standing, md5, peers)

    def _found(self) -> dict[str, Mapping[str, str]] | None:
        if self._discovery.error is not None:
            return None
        return {
            instance.metadata[NODE_ID]: instance.metadata
            for instance in self._discovery.instances
            if instance.healthy and NODE_ID in instance.metadata
        }
