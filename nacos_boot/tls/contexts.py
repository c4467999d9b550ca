"""Make OpenSSL contexts of the settings."""

import ssl
from functools import lru_cache

from pydantic import SecretStr

from nacos_boot.tls.pem import TlsError, as_file, path_of, stamp
from nacos_boot.tls.settings import PeerSslSection, ServerSslSection

_CLIENT_AUTH = {"none": ssl.CERT_NONE, "want": ssl.CERT_OPTIONAL, "need": ssl.CERT_REQUIRED}


def server_context(settings: ServerSslSection) -> ssl.SSLContext:
    """Make the context of a port. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_own(context, settings)
    if settings.client_auth != "none":
        _load_trusted(context, settings.trust_certificate)
        context.verify_mode = _CLIENT_AUTH[settings.client_auth]
    return context


def client_context(settings: PeerSslSection) -> ssl.SSLContext:
    """Give the context for new connections to a server: one for as long as its files stay.

    Raises TlsError.
    """
    return _client_context(
        settings.trust_certificate,
        settings.certificate,
        settings.certificate_private_key,
        settings.key_password,
        settings.verify_hostname,
        stamp(
            settings.trust_certificate,
            settings.certificate,
            settings.certificate_private_key.get_secret_value(),
        ),
    )


@lru_cache(maxsize=16)
def _client_context(
    trusted: str,
    certificate: str,
    key: SecretStr,
    password: SecretStr,
    verify_hostname: bool,
    _files: object,
) -> ssl.SSLContext:
    # To read the system's authorities takes 15 ms, too long for each connection.
    try:
        context = ssl.create_default_context()
    except ssl.SSLError as error:
        raise TlsError(f"the system's certificates cannot be read ({error})") from error
    if trusted:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_trusted(context, trusted)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = verify_hostname
    if certificate:
        _load_chain(context, certificate, key, password)
    return context


def load_own(context: ssl.SSLContext, settings: ServerSslSection) -> None:
    """Have a port's context use certificate and key as they are now. Raises TlsError."""
    # A context that has taken a certificate and not its key would refuse everybody.
    _load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *_own(settings))
    _load_chain(context, *_own(settings))


def _own(settings: ServerSslSection) -> tuple[str, SecretStr, SecretStr]:
    return settings.certificate, settings.certificate_private_key, settings.key_password


def _load_chain(
    context: ssl.SSLContext, certificate: str, key: SecretStr, password: SecretStr
) -> None:
    with as_file(certificate) as chain, as_file(key.get_secret_value()) as own_key:
        try:
            # A key with a password, and none given, would ask for it at the terminal.
            context.load_cert_chain(chain, own_key, password.get_secret_value())
        except (OSError, ValueError) as error:
            raise TlsError(
                f"certificate '{_shown(certificate)}' and its private key cannot be used ({error}):"
                " expected a PEM certificate and the key that belongs to it"
            ) from error


def _load_trusted(context: ssl.SSLContext, trusted: str) -> None:
    with as_file(trusted) as file:
        try:
            context.load_verify_locations(file)
        except (OSError, ValueError) as error:
            raise TlsError(
                f"trust-certificate '{_shown(trusted)}' cannot be used ({error}):"
                " expected PEM certificates"
            ) from error


def _shown(location: str) -> str:
    # Put in the wrong place, a text may be the private key.
    return location if path_of(location) else "PEM text"
