"""No id can break a Redis key, a log line, a header or a metric, wherever it comes from."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from quart import Quart

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.proxies import TrustedProxies
from service.api.access import node_access
from service.api.api import node_api
from service.broker.envelope import Part, read_envelope, write_envelope
from service.clients.handshake import UserRefusedError, parse_target
from service.directory.directory import Keys
from service.push.push import PushError, accept_push, read_push
from service.settings import NodeSettings
from service.user_id import USER_ID, is_user_id
from tests.service.cluster_in_memory import MemoryCluster

BAD = [
    "",
    " ",
    "a b",
    "a\nb",
    "a\r\nSet-Cookie: x=1",
    "a\r\n2026-01-01 INFO all is well",
    "a\x00b",
    "a\x1b[31m",
    "a\x7f",
    "a\u2028b",
    "a*",
    "a?",
    "a[b]",
    "{a}",
    "a'b",
    'a"b',
    "a\\b",
    "a/b",
    "../a",
    "a%0a",
    "a,b",
    "a;b",
    "a|b",
    "<a>",
    "$a",
    "ä",
    "٣",
    "\uff41",
    "a\ud800",
    "x" * 129,
]
GOOD = ["a", "A.b_c@d:e+f~g-1", "x" * 128, "..", "a:history:all", "-"]


@pytest.mark.parametrize("user", BAD)
async def test_a_bad_id_comes_in_nowhere(user: str, cluster: MemoryCluster) -> None:
    assert not is_user_id(user)
    # By the path of a client.
    path = quote(user.encode("utf-8", "surrogatepass"), safe="")
    with pytest.raises((UserRefusedError, ValueError)):
        parse_target(f"/websocket/{path}")
    # By the API, in a push.
    for target in (user, {"userId": user}, {"username": user}):
        body = json.dumps({"content": 1, "targetUserList": [target, "alice"]}).encode()
        with pytest.raises(PushError):
            accept_push(body, max_targets=10)
        # By AMQP, from anybody: the good one is served.
        try:
            assert read_push(body, None).targets == ("alice",)
        except PushError:
            # Half of a surrogate pair is no JSON text.
            assert "\ud800" in user
    # By the API, in a path.
    app = Quart("api")
    unused: Any = None
    live = LiveSettings(NodeSettings())
    node_access(live, TrustedProxies()).guard(app)
    app.register_blueprint(node_api(unused))
    if user not in {"", "../a"}:
        for method in ("GET", "DELETE"):
            answer = await app.test_client().open(
                f"/api/users/{path}", method=method, scope_base={"client": ("127.0.0.1", 1)}
            )
            assert answer.status_code in {400, 404}
            assert all("\n" not in value for _, value in answer.headers.items())
    # By the nodes' own exchange: no user has such an id, so it meets nobody.
    if "\ud800" not in user:
        node = cluster.nodes["a"]
        before = set(node.hub.users)
        envelope = write_envelope([Part("1", (user,), b"1")], disconnect=[user])  # type: ignore[arg-type]  # bytes are what Raw is made of
        node.receiver.handle("web_socket_exchange.direct", envelope, None)
        assert set(node.hub.users) == before
        assert read_envelope(envelope).disconnect == (user,)


@pytest.mark.parametrize("user", GOOD)
def test_a_good_id_is_one_everywhere(user: str) -> None:
    assert is_user_id(user)
    assert parse_target(f"/websocket/{user}").user == user
    body = json.dumps({"content": 1, "targetUserList": [user]}).encode()
    assert accept_push(body, max_targets=1).targets == (user,)
    assert read_push(body, None).targets == (user,)


@given(st.from_regex(USER_ID, fullmatch=True), st.from_regex(USER_ID, fullmatch=True))
def test_whatever_is_allowed_breaks_nothing(user: str, other: str) -> None:
    # A Redis key is found by its own id only, and holds nothing that a pattern or a slot reads.
    keys = Keys("websocket:")
    key = keys.user(user)
    assert keys.user_of(key) == user
    assert (keys.user(other) == key) == (other == user)
    assert key not in {keys.nodes, keys.sweep, keys.node(other)}
    assert not set(key) & set("*?[]{}\\ \r\n\x00")
    # A header and a log line: printable, one line, nothing to quote.
    assert user.isascii()
    assert user.isprintable()
    assert not set(user) & set(" \t\",;'<>/%")
    # A metric's label, though none has one.
    registry = CollectorRegistry()
    Counter("seen", "Seen.", ["user"], registry=registry).labels(user).inc()
    text = generate_latest(registry).decode()
    assert f'user="{user}"' in text
    families = text_string_to_metric_families(text)
    labels = [sample.labels for family in families for sample in family.samples]
    assert {"user": user} in labels
