"""Settings of TLS, under Spring Boot's names where it has them.

A location is the path of a PEM file, with or without `file:` in front, or the PEM text itself.
Source: Spring Boot reference, "Configure SSL" and "SSL", PEM-encoded certificates.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import SecretStr, model_validator

from nacos_boot.settings.section import OpenSection
from nacos_boot.settings.setting import setting

_EMPTY: Mapping[str, Any] = {}
_REREAD = "new connections; a file is read again when it has changed"


class ServerSslSection(OpenSection):
    """`server.ssl`: TLS on the program's port."""

    enabled: bool = setting(True, "false: plain TCP though a certificate is given.", live=False)
    bundle: str = setting(
        "", "Name under spring.ssl.bundle.pem that has certificate and key.", live=False
    )
    certificate: str = setting(
        "",
        "PEM file, or text, of the certificate with its chain; empty: plain TCP. A file that"
        " changes is used for new connections, without a restart.",
        live=False,
    )
    certificate_private_key: SecretStr = setting(
        SecretStr(""), "PEM file, or text, of its private key.", live=False
    )
    key_password: SecretStr = setting(SecretStr(""), "Password of the private key.", live=False)
    trust_certificate: str = setting(
        "", "PEM of the authorities whose client certificates are accepted.", live=False
    )
    client_auth: Literal["none", "want", "need"] = setting(
        "none", "Whether clients are asked for a certificate.", live=False
    )

    @property
    def used(self) -> bool:
        """Whether the port speaks TLS."""
        return self.enabled and bool(self.certificate)

    @property
    def _wanted(self) -> bool:
        """Whether something says that TLS is to be spoken."""
        return (
            bool(self.bundle or self.certificate_private_key.get_secret_value())
            or self.client_auth != "none"
        )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.certificate and not self.certificate_private_key.get_secret_value():
            raise ValueError("certificate-private-key is missing: expected the certificate's key")
        if self.client_auth != "none" and not self.trust_certificate:
            raise ValueError("client-auth needs trust-certificate: whose certificates to accept")
        if self.enabled and not self.certificate and self._wanted:
            # In plain TCP all of that would be without effect, and nobody would be told.
            raise ValueError(
                "certificate is missing: expected one, or in the bundle that is named;"
                " enabled: false is for plain TCP"
            )
        return self


class NacosSslSection(OpenSection):
    """`spring.cloud.nacos.ssl`: how servers at `https://` addresses are spoken to."""

    trust_certificate: str = setting(
        "", "PEM file, or text, of the authorities to trust; empty: the system's.", live=False
    )
    certificate: str = setting(
        "", "PEM file, or text, of our own certificate, where one is asked for.", live=False
    )
    certificate_private_key: SecretStr = setting(
        SecretStr(""), "PEM file, or text, of its private key.", live=False
    )


class PeerSslSection(OpenSection):
    """`….ssl`: whom to trust, and what to show, where TLS is spoken."""

    bundle: str = setting(
        "", "Name under spring.ssl.bundle.pem that has what is not given here.", when=_REREAD
    )
    trust_certificate: str = setting(
        "", "PEM file, or text, of the authorities to trust; empty: the system's.", when=_REREAD
    )
    certificate: str = setting(
        "", "PEM file, or text, of our own certificate, where one is asked for.", when=_REREAD
    )
    certificate_private_key: SecretStr = setting(
        SecretStr(""), "PEM file, or text, of its private key.", when=_REREAD
    )
    key_password: SecretStr = setting(SecretStr(""), "Password of the private key.", when=_REREAD)
    verify_hostname: bool = setting(
        True, "Whether the server's certificate must name the address it is at.", when=_REREAD
    )


class ClientSslSection(PeerSslSection):
    """`….ssl`: TLS towards a server that may be spoken to in plain, too."""

    enabled: bool = setting(False, "Whether to speak TLS.", when=_REREAD)


def use_bundles(data: Any, places: Iterable[str]) -> Any:
    """Fill in the `ssl` sections at these dotted places from the bundles that they name.

    For a `model_validator(mode="before")` of a program's settings. Raises ValueError for the name
    of a bundle that is not there.
    """
    for place in places:
        section = _at(data, place)
        name = section.get("bundle")
        if name:
            data = _replaced(data, place.split("."), {**_bundle(data, str(name), place), **section})
    return data


def _bundle(data: Any, name: str, place: str) -> dict[str, Any]:
    bundles = _at(data, "spring.ssl.bundle.pem")
    if name not in bundles:
        raise ValueError(f"{place}.bundle: there is no spring.ssl.bundle.pem.{name}")
    keys, trusted = _at(bundles, f"{name}.keystore"), _at(bundles, f"{name}.truststore")
    found = {
        "enabled": True,
        "certificate": keys.get("certificate"),
        "certificate-private-key": keys.get("private-key"),
        "key-password": keys.get("private-key-password"),
        "trust-certificate": trusted.get("certificate"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _at(data: Any, place: str) -> Mapping[str, Any]:
    for key in place.split("."):
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else _EMPTY


def _replaced(data: Mapping[str, Any], path: list[str], section: Any) -> dict[str, Any]:
    key, *rest = path
    return {**data, key: _replaced(data[key], rest, section) if rest else section}
