"""The peers of the push benchmarks do their whole work on a real RabbitMQ."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.aio_pika_peer import AioPikaPeer
from bench.lab import Lab
from bench.peers import quart_empty
from bench.push_texts import push
from devtools.servers import Servers
from devtools.waiting import StartError


@pytest.fixture
def a_lab(tmp_path: Path, servers: Servers) -> Lab:
    opened = Lab(tmp_path, ExitStack(), quick=True)
    opened._servers = servers  # those of the test run
    return opened


def test_every_message_is_confirmed_and_consumed(a_lab: Lab) -> None:
    with AioPikaPeer(a_lab, "aio_pika_push", cores=[a_lab.cores.tested]) as peer:
        before = peer.cpu_seconds()
        assert peer.ask("push", body=push(1), count=1200) == {"consumed": 1200}
        assert peer.cpu_seconds() > before


def test_every_trip_is_timed(a_lab: Lab) -> None:
    with (
        AioPikaPeer(a_lab, "aio_pika_trip", "consume", "test-trip") as consumer,
        AioPikaPeer(a_lab, "aio_pika_trip", "publish", "test-trip") as publisher,
    ):
        consumer.tell("took", count=50)
        published = publisher.ask("publish", count=50, rate=200.0, size=100)
        took = consumer.answer()
    assert published["seconds"] >= 0.24
    assert took["count"] == 50
    assert 0 < took["p50"] <= took["p99"] < 5_000_000


def test_a_peer_that_fails_is_an_error(a_lab: Lab) -> None:
    with (
        AioPikaPeer(a_lab, "aio_pika_push") as peer,
        pytest.raises(StartError, match="does not answer"),
    ):
        peer.ask("push", body="", count=None)


async def test_the_empty_route_answers_as_a_node_does() -> None:
    answer = await quart_empty.app.test_client().post("/api/push", data=push(1))
    assert answer.status_code == 202
    assert (await answer.get_json())["targets"] == 1
