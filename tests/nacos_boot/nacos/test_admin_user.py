"""Creating the first user, against a server that answers as Nacos 3.1 does."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from devtools.ports import LOOPBACK, free_port
from nacos_boot.nacos.admin_user import create_admin
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError

CREATED = {"code": 0, "message": "success", "data": {"username": "nacos"}}
THERE = {"code": 409, "message": "have admin user cannot use it.", "data": None}
STARTING = {"code": 503, "message": "server is STARTING now"}


class Server:
    """Answers with each of `answers` in turn, then with the last one for ever."""

    def __init__(self) -> None:
        self.answers: Sequence[dict[str, Any]] = [CREATED]
        self.passwords: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.passwords.append(str((await request.post())["password"]))
        return web.json_response(self.answers[min(len(self.passwords), len(self.answers)) - 1])


@pytest.fixture
def settings() -> NacosSettings:
    return NacosSettings(
        server_addr=[f"{LOOPBACK}:{free_port()}"],
        username="nacos",
        password=SecretStr("a-password"),
        start_timeout=timedelta(seconds=3),
    )


@pytest.fixture
async def server(settings: NacosSettings) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_post("/nacos/v3/auth/user/admin", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    host, _, port = settings.server_addr[0].partition(":")
    await web.TCPSite(runner, host, int(port)).start()
    yield server
    await runner.cleanup()


@pytest.mark.parametrize("answer", [CREATED, THERE])
async def test_it_creates_the_user_or_leaves_it(
    server: Server, settings: NacosSettings, answer: dict[str, Any]
) -> None:
    server.answers = [answer]
    await create_admin(settings)
    assert server.passwords == ["a-password"]


async def test_it_waits_for_a_server_that_is_starting(
    server: Server, settings: NacosSettings
) -> None:
    server.answers = [STARTING, STARTING, CREATED]
    await create_admin(settings)
    assert len(server.passwords) == 3


async def test_it_asks_the_next_server_when_one_is_away(
    server: Server, settings: NacosSettings
) -> None:
    both = [f"{LOOPBACK}:{free_port()}", f"http://{settings.server_addr[0]}"]
    await create_admin(settings.model_copy(update={"server_addr": both}))
    assert len(server.passwords) == 1


async def test_without_a_server_it_says_where_it_asked(settings: NacosSettings) -> None:
    hasty = settings.model_copy(update={"start_timeout": timedelta(seconds=0.3)})
    with pytest.raises(StartError, match=rf"{settings.server_addr[0]}.*NACOS_SERVER_ADDR"):
        await create_admin(hasty)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"username": "someone"}, "NACOS_USERNAME is 'someone'"),
        ({"password": SecretStr("")}, "NACOS_PASSWORD is empty"),
    ],
)
async def test_an_account_that_cannot_be_the_first_is_refused_at_once(
    server: Server, settings: NacosSettings, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(StartError, match=said) as refused:
        await create_admin(settings.model_copy(update=change))
    assert refused.value.final
    assert not server.passwords
