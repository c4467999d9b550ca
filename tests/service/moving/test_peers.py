"""What a node makes of the instances that Nacos lists."""

from types import SimpleNamespace
from typing import Any

import pytest

from nacos_boot.registry.instance import Instance
from service.moving.handover import Peer, Standing
from service.moving.peers import NODE_ID, RABBITMQ, REDIS, NodeList


def node(name: str, *, healthy: bool = True, **more: str) -> Instance:
    metadata = {NODE_ID: name, "nacos.config.md5": f"md5-{name}", **more}
    return Instance("service", "10.0.0.1", 80, healthy=healthy, metadata=metadata)


def listed(*instances: Instance, error: str | None = None, registered: bool = True) -> NodeList:
    discovery: Any = SimpleNamespace(instances=instances, error=error)
    return NodeList(discovery, "me", lambda: registered)


def test_peers_are_the_other_healthy_nodes_with_what_they_say_of_themselves() -> None:
    found = listed(
        node("me"),
        node("a", **{RABBITMQ: "new:1 old:1", REDIS: "r:1/0"}),
        node("says-nothing"),
        node("sick", healthy=False),
        Instance("service", "10.0.0.9", 80, metadata={"version": "no node of ours"}),
    )
    assert found.peers(RABBITMQ) == {
        "a": Peer(Standing("new:1", frozenset({"new:1", "old:1"})), "md5-a"),
        "says-nothing": Peer(None, "md5-says-nothing"),
    }
    assert found.peers(REDIS) == {
        "a": Peer(Standing("r:1/0", frozenset({"r:1/0"})), "md5-a"),
        "says-nothing": Peer(None, "md5-says-nothing"),
    }
    assert found.ids() == {"me", "a", "says-nothing"}


def test_nobody_can_say_who_is_alive_while_nacos_is_away_or_its_list_lacks_this_node() -> None:
    for found in (listed(node("me"), error="away"), listed(node("a")), listed()):
        assert found.peers(RABBITMQ) is None
        assert found.ids() is None


def test_before_this_node_is_registered_the_list_need_not_have_it() -> None:
    found = listed(node("a"), registered=False)
    assert list(found.peers(RABBITMQ) or ()) == ["a"]
    assert found.ids() is None


@pytest.mark.parametrize(
    ("text", "md5", "may"),
    [
        ("here:1", "mine", True),
        ("old:1 here:1", "other", False),
        ("old:1", "other", False),
        ("here:1 old:1", "mine", True),
        ("alias:1", "mine", True),
    ],
)
def test_a_start_waits_for_nodes_that_move(text: str, md5: str, *, may: bool) -> None:
    peer = node("a", **{RABBITMQ: text, "nacos.config.md5": md5})
    standing = Standing("here:1", frozenset({"here:1"}))
    found = listed(peer, registered=False)
    assert found.may_begin(RABBITMQ, standing, "mine") is may
    assert listed(peer, error="away").may_begin(RABBITMQ, standing, "mine")
