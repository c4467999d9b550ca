import ipaddress
import socket

import pytest

from nacos_boot.registry.network import local_address
from nacos_boot.start.startup import StartError


@pytest.mark.parametrize(
    "servers",
    [
        ["127.0.0.1:8848"],
        ["127.0.0.1"],
        ["http://127.0.0.1:8848"],
        ["no-such-host.invalid:8848", "127.0.0.1:8848"],
        ["127.0.0.1:99999999", "127.0.0.1:8848"],
    ],
)
def test_the_address_that_leads_to_the_first_server_that_resolves(servers: list[str]) -> None:
    assert local_address(servers) == "127.0.0.1"


def test_it_is_an_ipv4_literal_of_this_machine() -> None:
    address = local_address(["localhost:8848"])
    assert str(ipaddress.IPv4Address(address)) == address
    with socket.socket() as listener:
        listener.bind((address, 0))


def test_no_address_names_the_servers_and_the_setting() -> None:
    with pytest.raises(StartError) as caught:
        local_address(["no-such-host.invalid:1", "nor-this.invalid:2"])
    assert "no-such-host.invalid:1, nor-this.invalid:2" in str(caught.value)
    assert "spring.cloud.nacos.discovery.ip" in str(caught.value)
