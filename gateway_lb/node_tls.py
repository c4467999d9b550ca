"""TLS towards the nodes: those that say `secure=true` of themselves, as in Spring Cloud."""

import ssl

from gateway_lb.settings import GatewaySection
from nacos_boot.registry.instance import Instance
from nacos_boot.tls.contexts import client_context
from nacos_boot.tls.pem import TlsError


def is_secure(instance: Instance) -> bool:
    """Tell whether an instance speaks TLS."""
    return instance.metadata.get("secure", "").lower() == "true"


def tls_to(instance: Instance, settings: GatewaySection) -> ssl.SSLContext | None:
    """Give the context for connections to a node; None for plain TCP.

    Raises OSError where the settings' certificates cannot be used.
    """
    if not is_secure(instance):
        return None
    try:
        return client_context(settings.nodes.ssl)
    except TlsError as error:
        raise OSError(f"gateway.nodes.ssl: {error}") from error
