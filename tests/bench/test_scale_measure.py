"""What measures the costs: the AMQP driver on a real RabbitMQ, and what is written."""

import json
import uuid
from pathlib import Path

import pytest

from bench.scale.measure import __main__ as command
from bench.scale.measure import amqp
from bench.scale.measure.measured import Measured
from devtools.servers import Servers


@pytest.mark.parametrize(("kind", "copies"), [("direct", 1), ("fanout", 3)])
def test_every_copy_of_every_message_is_taken(servers: Servers, kind: str, copies: int) -> None:
    port, exchange = servers.ports.rabbitmq, f"scale-{uuid.uuid4().hex}"
    source = amqp.publisher(port, exchange, kind)
    queues = [f"{exchange}-{number}" for number in range(3)]
    sinks = [amqp.consumer(port, exchange, queue) for queue in queues]
    frames = [amqp.message(exchange, queues[n % 3], b"x" * 5000) for n in range(500)]
    assert amqp.pump(source, sinks, frames, copies) > 0
    for wire in (source, *sinks):
        wire.close()


def test_what_was_measured_replaces_what_stood_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "costs.json"
    old = {"value": 1, "unit": "µs", "how": "before"}
    file.write_text(
        json.dumps({"machine": {"date": "", "versions": "kept"}, "costs": {"a": old, "b": old}}),
        encoding="utf-8",
    )
    monkeypatch.setattr(command, "FILE", file)
    monkeypatch.setattr(command, "MEASURED", {"some": lambda: [Measured("a", 12.345, "now")]})
    assert command.main(["some"]) == 0
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["costs"] == {"a": {"value": 12.3, "unit": "µs", "how": "now"}, "b": old}
    assert written["machine"]["date"]
    assert written["machine"]["versions"] == "kept"


def test_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["kafka"])
    assert "'kafka' is not measured here" in capsys.readouterr().err
