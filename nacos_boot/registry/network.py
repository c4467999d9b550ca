"""Find the address under which others reach this program."""

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from nacos_boot.start.startup import StartError


def local_address(servers: Sequence[str]) -> str:
    """Give the IPv4 address of the interface that leads to the first server that resolves.

    Nothing is sent: connecting a UDP socket only asks the routing table. Raises StartError.
    """
    for server in servers:
        parts = urlsplit(server if "://" in server else f"//{server}")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((parts.hostname or "", parts.port or 8848))
                return str(probe.getsockname()[0])
        except (OSError, ValueError):
            continue
    raise StartError(
        f"no address of this machine leads to Nacos at {', '.join(servers)}:"
        " set spring.cloud.nacos.discovery.ip"
    )


def address_to_register(configured: str, servers: Sequence[str]) -> str:
    """Give the configured IPv4 address, or that of the interface that leads to the servers.

    Raises StartError, final for a configured one that is no IPv4 literal: others could not use it.
    """
    if not configured:
        return local_address(servers)
    try:
        socket.inet_pton(socket.AF_INET, configured)
    except OSError as error:
        raise StartError(
            f"spring.cloud.nacos.discovery.ip is '{configured}';"
            " expected an IPv4 address such as 10.0.0.5",
            final=True,
        ) from error
    return configured
