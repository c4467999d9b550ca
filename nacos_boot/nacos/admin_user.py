"""Create the first user of a new Nacos server, which has none and lets nobody log in.

Source: Nacos 3 documentation, Open API, "Initialize the administrator".
"""

import json
import logging
from http import HTTPStatus

import aiohttp

from nacos_boot.nacos.tls import nacos_connector
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError, retried

log = logging.getLogger(__name__)

# The server takes no name: its first user always has this one.
ADMIN = "nacos"

_DONE = 0


async def create_admin(settings: NacosSettings) -> None:
    """Create the user `nacos` with the configured password, where the server has no user yet.

    A server that has its first user is left as it is. Tries again for `start_timeout`, since the
    server may be starting, too. Raises StartError.
    """
    if settings.username != ADMIN:
        raise StartError(
            f"the first user of a Nacos server is always '{ADMIN}', but NACOS_USERNAME is"
            f" '{settings.username}'",
            final=True,
        )
    if not settings.password.get_secret_value():
        raise StartError(f"NACOS_PASSWORD is empty; the user '{ADMIN}' needs one", final=True)
    timeout = aiohttp.ClientTimeout(total=settings.config.timeout.total_seconds())
    connector = nacos_connector(settings)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        created = await retried("Nacos", settings.start_timeout, lambda: _create(session, settings))
    log.info("the user '%s' %s", ADMIN, "is created" if created else "is there already")


async def _create(session: aiohttp.ClientSession, settings: NacosSettings) -> bool:
    # The servers of one cluster share their users: the first that answers is enough.
    form = {"password": settings.password.get_secret_value()}
    faults: list[str] = []
    for server in settings.server_addr:
        base = server if "://" in server else f"http://{server}"
        try:
            async with session.post(f"{base}/nacos/v3/auth/user/admin", data=form) as answer:
                code = _code(answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            faults.append(f"{server}: {str(error) or 'no answer in time'}")
            continue
        if code in {_DONE, HTTPStatus.CONFLICT}:
            return code == _DONE
        faults.append(f"{server} answers {code}")
    raise StartError(
        f"Nacos did not create the user '{ADMIN}' ({'; '.join(faults)}): check NACOS_SERVER_ADDR"
    )


def _code(status: int, body: str) -> int:
    # The server says 200 to everything that reaches its API; the outcome is in the body.
    try:
        return int(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return status
