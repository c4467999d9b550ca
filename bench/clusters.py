"""Clusters of different sizes side by side, each in a world of its own at the shared servers."""

import hashlib

import yaml

from bench.lab import Lab
from bench.load import Load
from bench.node import READY_LIMIT
from bench.nodes import Nodes
from bench.push_texts import EXPECTED
from devtools.paths import ROOT
from devtools.waiting import StartError, wait_for
from service.settings import PushMode
from tests.nacos_admin import NacosAdmin

_OWN = "websocket-service.yml"
_SHARED = "common.yml"


class Cluster:
    """So many nodes with a Nacos namespace, a virtual host and a Redis database of their own.

    The API is asked at the first one; the users, u0 and so on, are at the others.
    """

    def __init__(self, lab: Lab, size: int, database: int) -> None:
        self._lab = lab
        self.size = size
        name = f"bench-{size}"
        self._nacos = NacosAdmin(lab.servers.nacos.url, name)
        self._nacos.add_namespace(name)
        rabbitmq = lab.servers.rabbitmq
        rabbitmq.control("add_vhost", name)
        rabbitmq.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        self._text = (ROOT / "nacos-config" / _OWN).read_text(encoding="utf-8")
        shared = (ROOT / "nacos-config" / _SHARED).read_text(encoding="utf-8")
        self._nacos.publish(_SHARED, shared)
        settings = {
            "NACOS_NAMESPACE": name,
            "SPRING_RABBITMQ_VIRTUALHOST": name,
            "SPRING_DATA_REDIS_DATABASE": str(database),
            # So many starts keep Nacos busy.
            "SPRING_CLOUD_NACOS_STARTTIMEOUT": "90s",
        }
        self._publish("routed")
        self.nodes = Nodes(lab, settings, [lab.cores.tested])
        self.load = Load(lab.cores.others)

    @property
    def api(self) -> str:
        """Where pushes are asked for."""
        return self.nodes.all[0].address

    def start(self, users: int) -> None:
        """Start the nodes and spread the users. Raises StartError, PortError, LoadError."""
        self.nodes.grow(self.size)
        self.nodes.connect(self.load, [0, *spread(users, self.size - 1)])
        self.load.expect(EXPECTED)

    def take_mode(self, mode: PushMode) -> None:
        """Change the push mode, and wait until every node has it. Raises StartError."""
        md5 = self._publish(mode)
        for node in self.nodes.all:
            if not wait_for(
                lambda node=node: node.applied_at(_OWN, md5) is not None,  # type: ignore[misc]  # a default binds the name
                READY_LIMIT,
                interval=0.02,
            ):
                raise StartError(f"{node.child.name} did not take {_OWN}; see {node.child.log}")

    def stop(self) -> None:
        """End the nodes and the clients."""
        self.load.stop()
        self.nodes.stop()

    def _publish(self, mode: PushMode) -> str:
        document = yaml.safe_load(self._text)
        document["websocket"]["push"]["mode"] = mode
        text = yaml.safe_dump(document)
        self._nacos.publish(_OWN, text)
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def spread(total: int, places: int) -> list[int]:
    """Divide a number as evenly as it goes."""
    least, more = divmod(total, places)
    return [least + (place < more) for place in range(places)]
