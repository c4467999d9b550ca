import socket

import pytest

from devtools.ports import PortError, Ports, free_port, is_free


def test_an_offset_shifts_every_port_and_none_meet() -> None:
    usual, shifted = Ports.with_offset(0), Ports.with_offset(300)
    assert (usual.gateway, usual.nodes) == (8000, (8081, 8082, 8083))
    assert (usual.nacos, usual.nacos_grpc, usual.nacos_console) == (8848, 9848, 8080)
    assert (usual.redis, usual.rabbitmq) == (6379, 5672)
    assert [port + 300 for port in usual.purposes()] == list(shifted.purposes())
    # Gateway, three nodes, and nine of the servers.
    assert len(usual.purposes()) == 13


@pytest.mark.parametrize("text", ["", " 0 "])
def test_without_an_offset_the_usual_ports_are_used(text: str) -> None:
    assert Ports.from_environment({"DEV_PORT_OFFSET": text}) == Ports.with_offset(0)


@pytest.mark.parametrize(
    ("text", "said"), [("x", "'x'"), ("60000", "68000"), ("-6000", "Redis on port 379")]
)
def test_a_bad_offset_is_named(text: str, said: str) -> None:
    with pytest.raises(PortError, match="DEV_PORT_OFFSET") as raised:
        Ports.from_environment({"DEV_PORT_OFFSET": text})
    assert said in str(raised.value)


def test_a_port_in_use_is_named_with_its_purpose() -> None:
    ports = Ports.free()
    ports.check()
    with socket.create_server(("127.0.0.1", ports.redis)):
        with pytest.raises(PortError, match=rf"{ports.redis} \(Redis\)"):
            ports.check()
        # Also when another address is listened on, as JRaft listens on all.
        assert not is_free(ports.redis)
    assert is_free(ports.redis)


def test_a_free_port_is_free() -> None:
    assert is_free(free_port())
