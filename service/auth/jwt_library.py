"""Signatures of JSON Web Tokens: the only module that knows PyJWT and cryptography.

Each key is bound to the algorithms that it may be used with, so that a token cannot choose: a
public key is never taken for the secret of HS256, and `none` is no algorithm at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, section 3.2
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_EDDSA = "EdDSA"
_RSA_BITS = range(2048, 8193)  # RFC 7518, section 3.3; above, a signature costs milliseconds

PUBLIC_KEY_ALGORITHMS = frozenset((*_RSA, *_CURVES.values(), _EDDSA))

_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_READERS: Mapping[str, Any] = {
    "RSA": jwt.algorithms.RSAAlgorithm.from_jwk,
    "EC": jwt.algorithms.ECAlgorithm.from_jwk,
    "OKP": jwt.algorithms.OKPAlgorithm.from_jwk,
}
_MOST_KEYS = 32

_jws = jwt.PyJWS(
    algorithms=[*_SECRET_BYTES, *PUBLIC_KEY_ALGORITHMS],
    options={"enforce_minimum_key_length": True},
)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, the algorithms that it may verify, and its id, empty where it has none."""

    kid: str
    algorithms: frozenset[str]
    material: Any = field(repr=False)


def secret_key(kid: str, algorithm: str, secret: str) -> VerificationKey:
    """Make a key of a shared secret, for one of HS256, HS384, HS512. Raises ValueError."""
    needed, data = _SECRET_BYTES[algorithm], secret.encode()
    if "-----BEGIN" in secret:
        raise ValueError(
            f"{algorithm} has a secret, not a PEM: with a public key as the secret, anyone could"
            " sign"
        )
    if len(data) < needed:
        raise ValueError(
            f"the secret of {algorithm} has {len(data)} bytes; expected {needed} or more"
            " (RFC 7518, section 3.2)"
        )
    try:
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).prepare_key(data)
    except jwt.InvalidKeyError as error:
        raise ValueError("the secret looks like a key of another kind") from error
    return VerificationKey(kid, frozenset((algorithm,)), data)


def public_key(kid: str, algorithm: str, pem: str) -> VerificationKey:
    """Make a key of a public key as PEM, for an algorithm of its kind. Raises ValueError."""
    if "PRIVATE KEY-----" in pem:
        raise ValueError("this is a private key, which belongs to the issuer; expected the public")
    try:
        material = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not readable; expected a PEM with -----BEGIN PUBLIC KEY-----") from error
    if algorithm not in (fitting := _algorithms_of(material)):
        named = " or ".join(sorted(fitting)) or "none that is used here"
        raise ValueError(f"this key is not for {algorithm}; its algorithm is {named}")
    return VerificationKey(kid, frozenset((algorithm,)), material)


def keys_of_jwks(body: bytes) -> tuple[VerificationKey, ...]:
    """Read a JSON Web Key Set (RFC 7517): its public keys for signatures, the first 32.

    Others are passed over, as the RFC says in section 5. Raises ValueError where none is left.
    """
    try:
        entries = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("the answer is no JSON Web Key Set") from error
    found = [key for entry in entries[:_MOST_KEYS] if (key := _key_of(entry)) is not None]
    if not found:
        raise ValueError("the key set has no public key for signatures that can be used")
    return tuple(found)


def verified_payload(token: str, key: VerificationKey, algorithm: str) -> bytes | None:
    """Give what a token says where `key` has signed it with `algorithm`; None where not.

    Raises ValueError where it is no token at all.
    """
    try:
        payload = _jws.decode_complete(token, key.material, algorithms=[algorithm])["payload"]
    except (jwt.InvalidSignatureError, jwt.InvalidKeyError, jwt.InvalidAlgorithmError):
        return None
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise ValueError("not a token") from error
    return bytes(payload)


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def _algorithms_of(material: Any) -> frozenset[str]:
    if isinstance(material, RSAPublicKey):
        if material.key_size not in _RSA_BITS:
            raise ValueError(
                f"an RSA key of {material.key_size} bits; expected {_RSA_BITS[0]} to"
                f" {_RSA_BITS[-1]} (RFC 7518, section 3.3)"
            )
        return frozenset(_RSA)
    if isinstance(material, EllipticCurvePublicKey):
        algorithm = _CURVES.get(material.curve.name)
        return frozenset((algorithm,)) if algorithm else frozenset()
    if isinstance(material, Ed25519PublicKey | Ed448PublicKey):
        return frozenset((_EDDSA,))
    return frozenset()


def _key_of(entry: Mapping[str, Any]) -> VerificationKey | None:
    kind, kid = entry.get("kty"), entry.get("kid", "")
    operations = entry.get("key_ops", ["verify"])
    if (
        not isinstance(kind, str)
        or kind not in _READERS
        or not isinstance(kid, str)
        or entry.get("use", "sig") != "sig"
        or not (isinstance(operations, list) and "verify" in operations)
    ):
        return None
    # The private half of a key that should not be there is left alone.
    public = {name: entry.get(name) for name in _PUBLIC_MEMBERS[kind]}
    try:
        material = _READERS[kind]({"kty": kind, **public})
        algorithms = _algorithms_of(material)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return None
    if "alg" in entry:
        algorithms &= {str(entry["alg"])}
    return VerificationKey(kid, algorithms, material) if algorithms else None
