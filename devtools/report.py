"""What the tooling prints."""

from devtools.ports import LOOPBACK, Ports


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def how_to_use(ports: Ports, *, logs: str, detached: bool, nodes: str = "") -> str:
    """Describe a running cluster: what to open, what to try, how to stop it.

    `nodes` tells where the nodes are when they are not on the ports of `ports`.
    """
    gateway = f"http://{LOOPBACK}:{ports.gateway}"
    nodes = nodes or "  ".join(f"http://{LOOPBACK}:{port}" for port in ports.nodes)
    return f"""
  gateway        {gateway}
  its nodes      {gateway}/api/nodes
  health         {gateway}/actuator/health
  nodes          {nodes}
  Nacos console  http://{LOOPBACK}:{ports.nacos_console}/  (user nacos, password nacos)
  logs           {logs}

Try it: open ws://{LOOPBACK}:{ports.gateway}/websocket/alice in any WebSocket client, then

  curl -X POST {gateway}/api/push -H 'Content-Type: application/json' \
-d '{{"targetUserList": ["alice"], "content": "hello"}}'

Stop it: {"./dev down" if detached else "Ctrl-C"}"""
