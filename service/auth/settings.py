"""`websocket.auth` and `websocket.allowed-origins`: which clients a node lets in."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, SecretStr, ValidationInfo, field_validator, model_validator

from nacos_boot.settings import Duration, DurationOrZero, Section, setting
from service.auth.jwt_library import PUBLIC_KEY_ALGORITHMS, public_key, secret_key
from service.auth.origins import checked_pattern

AuthMode = Literal["none", "jwt"]
Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
ALL: tuple[Algorithm, ...] = Algorithm.__args__  # type: ignore[attr-defined]  # a Literal has it

AllowedOrigin = Annotated[str, AfterValidator(checked_pattern)]

_NEW = "new connections"
_MOST_KEYS = 32


class KeySection(Section):
    """One of `websocket.auth.jwt.keys`; a key works with its own algorithm only."""

    kid: str = setting(
        "", "Id of the key, as in the tokens' header; empty: for tokens with any.", max_length=256
    )
    algorithm: Algorithm = setting(..., "Algorithm of the signatures.")
    secret: SecretStr = setting(
        SecretStr(""),
        "For HS256, HS384, HS512: the secret, taken as UTF-8; at least as long as the hash.",
    )
    # Masked as well: what is put here by mistake is the private one.
    public_key: SecretStr = setting(
        SecretStr(""),
        "For the other algorithms: the public key as PEM (-----BEGIN PUBLIC KEY-----).",
    )

    @field_validator("secret")
    @classmethod
    def _secret_fits(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        text, algorithm = secret.get_secret_value(), info.data.get("algorithm")
        if text and algorithm in PUBLIC_KEY_ALGORITHMS:
            raise ValueError(f"{algorithm} has no secret; expected public-key")
        if text and algorithm is not None:
            secret_key("", algorithm, text)
        return secret

    @field_validator("public_key")
    @classmethod
    def _public_key_fits(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        pem, algorithm = key.get_secret_value(), info.data.get("algorithm")
        if pem and algorithm in PUBLIC_KEY_ALGORITHMS:
            public_key("", algorithm, pem)
        elif pem and algorithm is not None:
            raise ValueError(f"{algorithm} has no public key; expected secret")
        return key

    @model_validator(mode="after")
    def _there_is_a_key(self) -> Self:
        if self.algorithm in PUBLIC_KEY_ALGORITHMS:
            wanted, found = "public-key", self.public_key
        else:
            wanted, found = "secret", self.secret
        if not found.get_secret_value():
            raise ValueError(f"{self.algorithm} needs {wanted}")
        return self


class JwtSection(Section):
    """`websocket.auth.jwt`: how tokens are judged."""

    keys: tuple[KeySection, ...] = setting(
        (),
        "Keys of the tokens' signatures; while one replaces another, both stand here.",
        when=_NEW,
    )
    jwks_url: str = setting(
        "",
        "Where more keys are: a JSON Web Key Set, of public keys only (Spring's jwk-set-uri).",
        when="the keys of before stay until the new address has answered",
        pattern="^(https?://[^\\s]+)?$",
    )
    jwks_refresh: Duration = setting(
        timedelta(minutes=5),
        "How often it is read again; and at once when a token names an unknown key, though not"
        " more than once in 10 s.",
        ge=timedelta(seconds=1),
    )
    algorithms: tuple[Algorithm, ...] = setting(
        ALL, "Algorithms that tokens may be signed with.", when=_NEW
    )
    issuer: str = setting(
        "", "What iss of a token must be (Spring's issuer-uri); empty: not checked.", when=_NEW
    )
    audience: tuple[str, ...] = setting(
        (),
        "One of these must be in aud of a token (Spring's audiences); empty: not checked.",
        when=_NEW,
    )
    leeway: DurationOrZero = setting(
        timedelta(seconds=60),
        "How far clocks may differ: added to exp, also where it closes connections, and taken from"
        " nbf.",
        when=_NEW,
        le=timedelta(hours=1),
    )
    require_exp: bool = setting(True, "Whether a token must expire.", when=_NEW)

    @model_validator(mode="after")
    def _algorithms_are_allowed(self) -> Self:
        if not self.algorithms:
            raise ValueError("algorithms must name one at least")
        if len(self.keys) > _MOST_KEYS:
            raise ValueError(f"keys must be {_MOST_KEYS} at most: a token may be tried with each")
        for number, key in enumerate(self.keys):
            if key.algorithm not in self.algorithms:
                raise ValueError(
                    f"keys[{number}].algorithm {key.algorithm} must be one of algorithms"
                )
        if self.jwks_url and PUBLIC_KEY_ALGORITHMS.isdisjoint(self.algorithms):
            raise ValueError("algorithms must name a public-key algorithm where jwks-url is set")
        return self


class AuthSection(Section):
    """`websocket.auth`: who a client is."""

    mode: AuthMode = setting(
        "none",
        "none: a client is whoever it says; jwt: it must show a JSON Web Token whose sub is the"
        " userId of its path.",
        when=_NEW,
    )
    jwt: JwtSection = JwtSection()

    @model_validator(mode="after")
    def _there_are_keys(self) -> Self:
        if self.mode == "jwt" and not (self.jwt.keys or self.jwt.jwks_url):
            raise ValueError("mode jwt needs jwt.keys or jwt.jwks-url")
        return self
