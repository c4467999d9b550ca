"""Certificates for tests: an authority, and what it issues for the loopback address."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devtools.ports import LOOPBACK


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM texts."""

    certificate: str
    key: str
    serial: int

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Put both where a program looks for them, in the place of what is there."""
        paths = (folder / "own.crt", folder / "own.key")
        for path, text in zip(paths, (self.certificate, self.key), strict=True):
            fresh = path.with_suffix(".new")
            fresh.write_text(text, encoding="ascii")
            fresh.replace(path)
        return paths


class Authority:
    """Issues certificates; `file` holds its own."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._unsigned(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.text = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.file = folder / f"{name}.crt"
        self.file.write_text(self.text, encoding="ascii")

    def issue(self, address: str = LOOPBACK, *, password: bytes = b"") -> Issued:
        """Issue a certificate for an IPv4 address, good for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        certificate = (
            self._unsigned(name, key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        encryption = (
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption()
        )
        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            ).decode(),
            certificate.serial_number,
        )

    def client(self) -> ssl.SSLContext:
        """Give the context of a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.file))

    def _unsigned(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


def serial_of(der: bytes | None) -> int:
    """Read the serial number of a peer's certificate in DER."""
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number
