"""Tokens and keys as an issuer makes them, and a server that hands its key set out."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from devtools.ports import LOOPBACK

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
OTHER_SECRET = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
K256 = ec.generate_private_key(ec.SECP256K1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
OTHER_ED25519 = ed25519.Ed25519PrivateKey.generate()

SIGNERS: dict[str, Any] = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), SECRET),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA),
    "ES256": P256,
    "ES384": P384,
    "ES512": P521,
    "EdDSA": ED25519,
}


def token(
    user: str = "alice",
    key: Any = SECRET,
    algorithm: str = "HS256",
    kid: str | None = None,
    *,
    life: float | None = 3600,
    now: float | None = None,
    **claims: Any,
) -> str:
    """Sign a token of `user` that lives for `life` seconds; a claim of None is left out."""
    now = time.time() if now is None else now
    said = {"sub": user, **({} if life is None else {"exp": now + life}), **claims}
    said = {name: value for name, value in said.items() if value is not None}
    payload = json.dumps(said).encode()
    headers = {} if kid is None else {"kid": kid}
    return jwt.PyJWS().encode(payload, key, algorithm=algorithm, headers=headers)


def public_pem(private: Any) -> str:
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return str(pem.decode())


def private_pem(private: Any) -> str:
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return str(pem.decode())


def jwk(private: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """Write the public half of a key as a JSON Web Key."""
    kinds = jwt.algorithms
    if isinstance(private, rsa.RSAPrivateKey):
        found = kinds.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        found = kinds.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        found = kinds.OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    found = {name: value for name, value in found.items() if name != "key_ops"}
    return {**found, **({} if kid is None else {"kid": kid}), **more}


def key_set(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


@dataclass
class KeyServer:
    """Answers every request with `body`, as soon as `answering` is set; counts them."""

    port: int = 0
    body: bytes = key_set()
    status: int = 200
    asked: int = 0
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/jwks.json"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.answering.wait()
            head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(self.body)}\r\n"
            writer.write(f"{head}location: {self.url}\r\nconnection: close\r\n\r\n".encode())
            writer.write(self.body)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def key_server(*keys: Mapping[str, Any]) -> AsyncIterator[KeyServer]:
    """Serve a key set."""
    found = KeyServer(body=key_set(*keys))
    found.answering.set()
    server = await asyncio.start_server(found.serve, LOOPBACK, 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        found.answering.set()
        server.close()
