"""The certificate of a port: read at the start, and again whenever its files change."""

import asyncio
import logging
import ssl

from nacos_boot.start.startup import StartError
from nacos_boot.tls.contexts import load_own, server_context
from nacos_boot.tls.pem import TlsError, stamp
from nacos_boot.tls.settings import ServerSslSection

log = logging.getLogger(__name__)

_INTERVAL = 1.0
"""Seconds between two looks at the files."""


class PortTls:
    """TLS of the port that a program listens on; new connections get the certificate of now.

    To make it raises StartError where the certificate cannot be used.
    """

    def __init__(self, settings: ServerSslSection) -> None:
        self._settings = settings
        self._seen = self._stamp()
        try:
            self.context: ssl.SSLContext = server_context(settings)
        except TlsError as error:
            raise StartError(f"server.ssl: {error}", final=True) from error

    async def watch(self) -> None:
        """Use what the files hold when they have changed; runs until cancelled.

        What cannot be used is reported, and the certificate in use stays.
        """
        while True:
            await asyncio.sleep(_INTERVAL)
            self.look()

    def look(self) -> bool:
        """Read the files again if they have changed; True where that was so and all is well."""
        now = self._stamp()
        if now == self._seen:
            return False
        self._seen = now
        try:
            load_own(self.context, self._settings)
        except TlsError as error:
            log.warning("server.ssl: %s; the one in use stays", error)
            return False
        log.info("server.ssl: the certificate was read again")
        return True

    def _stamp(self) -> object:
        key = self._settings.certificate_private_key.get_secret_value()
        return stamp(self._settings.certificate, key)


def port_tls(settings: ServerSslSection) -> PortTls | None:
    """Give the TLS of the settings; None for plain TCP. Raises StartError."""
    return PortTls(settings) if settings.used else None
