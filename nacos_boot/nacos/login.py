"""Ask Nacos for a login, to learn in one clear sentence whether and why it is refused.

The SDK logs in by itself, but hides the reason when that fails.
"""

import json
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from nacos_boot.nacos.error import UnreachableError
from nacos_boot.nacos.tls import nacos_connector
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError

_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
LIFE = 18_000.0
"""Seconds that a token is good for where the server does not say: Nacos's default."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gives, never to be shown; `life` in seconds."""

    text: str = field(repr=False)
    life: float = LIFE


async def check_login(settings: NacosSettings) -> Token | None:
    """Log in at the first server that lets us; None where no token is used.

    That is: without a user name, or with a server that lets everybody in. Each server is waited
    for up to `config.timeout`. Raises StartError, final where the account is refused;
    UnreachableError where no server answers at all.
    """
    if not settings.username:
        return None
    form = {
        "username": settings.username,
        "password": settings.password.get_secret_value(),
    }
    faults: list[str] = []
    answered = False
    timeout = aiohttp.ClientTimeout(total=settings.config.timeout.total_seconds())
    connector = nacos_connector(settings)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        for server in settings.server_addr:
            url = f"{with_scheme(server)}/nacos/v1/auth/users/login"
            try:
                async with session.post(url, data=form) as response:
                    if response.ok:
                        return _token(await response.read())
                    answered = True
                    faults.append(_fault(server, response.status, settings.username))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                faults.append(f"{server}: {str(error) or 'no answer in time'}")
    if answered:
        raise StartError(
            f"no login to Nacos ({'; '.join(faults)}): check spring.cloud.nacos.username"
            " and password"
        )
    raise UnreachableError(
        f"no login to Nacos ({'; '.join(faults)}): check spring.cloud.nacos.server-addr"
    )


def with_scheme(server: str) -> str:
    """Give the server's base address; without the scheme the SDK computes a wrong gRPC port."""
    return server if server.startswith(("http://", "https://")) else f"http://{server}"


def _token(body: bytes) -> Token | None:
    try:
        answer = json.loads(body)
        text, life = answer["accessToken"], float(answer.get("tokenTtl", LIFE))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return Token(text, life) if isinstance(text, str) and text else None


def _fault(server: str, status: int, username: str) -> str:
    if status in _REFUSED:
        raise StartError(
            f"Nacos at {server} refuses the user '{username}':"
            " check spring.cloud.nacos.username and spring.cloud.nacos.password",
            final=True,
        )
    # Nacos 3.1 says 500 for a wrong password, and while it has no user yet.
    return (
        f"{server} answers {status} to the login of the user '{username}';"
        " is the password right, and has the user been created?"
    )
