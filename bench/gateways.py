"""Our gateway and its peers, each in front of a backend of the load generator's own."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.contender import READY_LIMIT
from bench.cpu import cpu_seconds, pinned, resident_bytes
from bench.lab import Lab
from bench.load import Load
from devtools.paths import ROOT
from devtools.ports import LOOPBACK, free_port
from devtools.probes import accepts, http
from devtools.processes import Child
from tests.nacos_admin import NacosAdmin

GATEWAY = "gateway"
NGINX = "nginx"
HAPROXY = "haproxy"
QUART_RELAY = "Quart relay"

_SERVICE = "websocket-service"
_LIMIT = 60.0

_NGINX = """
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{
    worker_connections 20000;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' close;
    }}
    upstream nodes {{
        server {backend};
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""

_HAPROXY = """
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout http-request 10s
frontend clients
    bind {address} backlog 4096
    default_backend nodes
backend nodes
    server node {backend}
"""


class Relaying:
    """A relay on the tested core, its backend, and the clients that come through it."""

    def __init__(self, name: str, child: Child, port: int, load: Load) -> None:
        self.name = name
        self.load = load
        self.clients = 0
        self._child = child
        self._address = f"{LOOPBACK}:{port}"
        self.before: Callable[[], None] = lambda: None
        """To be done before clients come."""

    def connect(self, count: int) -> None:
        """Let so many more clients come. Raises LoadError."""
        self.before()
        # One path for all: no relay here has to keep a name for each.
        opened = self.load.connect(
            self._address, "/websocket/u{n}", count, first=self.clients, limit=_LIMIT
        )
        self.clients += opened.opened

    def cpu_seconds(self) -> float:
        """Give the CPU time that the process that relays has used up to now."""
        return cpu_seconds([self._pid])

    def resident_bytes(self) -> int:
        """Give the memory that it holds."""
        return resident_bytes(self._pid)

    def stop(self) -> None:
        """End the clients, the backend and the relay."""
        self.load.stop()
        self._child.stop()

    @property
    def _pid(self) -> int:
        # nginx's one worker does the work; the others have no children.
        pid = self._child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return int(children[0]) if children else pid


def start_relays(lab: Lab, names: Sequence[str], ending: ExitStack) -> list[Relaying]:
    """Start relays by name, each with a backend of its own. Raises StartError, PortError."""
    started = []
    for name in names:
        load = Load(lab.cores.others)
        ending.callback(load.stop)
        backend = load.serve()
        relaying = (
            _gateway(lab, load, backend) if name == GATEWAY else _peer(lab, name, load, backend)
        )
        ending.callback(relaying.stop)
        started.append(relaying)
    return started


def _peer(lab: Lab, name: str, load: Load, backend: int) -> Relaying:
    port = free_port()
    child = lab.child(name.replace(" ", "-"), stop_limit=5)
    argv = [sys.executable, "-m", "bench.peers.quart_relay", str(port), str(backend)]
    if name != QUART_RELAY:
        folder = lab.folder / child.name
        folder.mkdir()
        template = _NGINX if name == NGINX else _HAPROXY
        places = {"address": f"{LOOPBACK}:{port}", "backend": f"{LOOPBACK}:{backend}"}
        config = folder / "config"
        config.write_text(template.format(folder=folder, **places), encoding="utf-8")
        argv = (
            ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
            if name == NGINX
            else ["haproxy", "-db", "-f", str(config)]
        )
    child.spawn(pinned(argv, [lab.cores.tested]), env=os.environ, cwd=ROOT)
    child.wait_ready(lambda: accepts(port), READY_LIMIT, interval=0.05)
    return Relaying(name, child, port, load)


def _gateway(lab: Lab, load: Load, backend: int) -> Relaying:
    node = lab.spawn_node(package="gateway_lb", cores=[lab.cores.tested])
    node.wait_ready()
    relaying = Relaying(GATEWAY, node.child, node.port, load)
    nacos = NacosAdmin(lab.servers.nacos.url)

    def register() -> None:
        # Nacos forgets an instance of which it hears nothing for half a minute; relays that are
        # open do not depend on it.
        nacos.register(_SERVICE, backend)
        node.child.wait_ready(lambda: _lists(node.address), READY_LIMIT, interval=0.05)

    relaying.before = register
    return relaying


def _lists(address: str) -> bool:
    match http(f"http://{address}/api/nodes").json():
        case {"nodes": [{"healthy": True}, *_]}:
            return True
    return False
