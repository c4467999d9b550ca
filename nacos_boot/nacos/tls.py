"""TLS towards Nacos, at addresses that begin with `https://`: its HTTP port and its gRPC port."""

import ssl

import aiohttp

from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError
from nacos_boot.tls.contexts import client_context
from nacos_boot.tls.pem import TlsError, as_file
from nacos_boot.tls.settings import PeerSslSection


def nacos_connector(settings: NacosSettings) -> aiohttp.TCPConnector:
    """Make a connector for a few requests; its connections are not kept. Raises StartError."""
    return aiohttp.TCPConnector(force_close=True, ssl=_context(settings))


def uses_tls(settings: NacosSettings) -> bool:
    """Tell whether a server is spoken to by TLS; the SDK speaks to all of them in one way."""
    return any(server.startswith("https://") for server in settings.server_addr)


def grpc_credentials(settings: NacosSettings) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Give the PEM texts for gRPC: authorities to trust, our key, our certificate.

    None is gRPC's own choice, or no certificate of ours. Raises StartError.
    """
    own = settings.ssl
    return (
        _read(own.trust_certificate),
        _read(own.certificate_private_key.get_secret_value()),
        _read(own.certificate),
    )


def _read(location: str) -> bytes | None:
    if not location:
        return None
    try:
        with as_file(location) as path:
            return path.read_bytes()
    except OSError as error:
        raise StartError(f"spring.cloud.nacos.ssl: {error}", final=True) from error


def _context(settings: NacosSettings) -> ssl.SSLContext | bool:
    if not uses_tls(settings):
        return True
    own = settings.ssl
    try:
        return client_context(
            PeerSslSection(
                trust_certificate=own.trust_certificate,
                certificate=own.certificate,
                certificate_private_key=own.certificate_private_key,
            )
        )
    except TlsError as error:
        raise StartError(f"spring.cloud.nacos.ssl: {error}", final=True) from error
