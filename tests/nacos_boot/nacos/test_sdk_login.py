"""The login that stands in for the SDK's own; with the real SDK: tests/contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from devtools.ports import LOOPBACK
from nacos_boot.nacos.login import Token
from nacos_boot.nacos.sdk_login import SdkLogin
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError


class Logins:
    """A server's logins: each gives the next token, good for `life` seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.life = 100.0
        self.token = True
        self.status = 200
        self.address = ""

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        self.count += 1
        token = {"accessToken": f"token-{self.count}", "tokenTtl": self.life}
        return web.json_response(token if self.token else {}, status=self.status)


@pytest.fixture
async def logins() -> AsyncIterator[Logins]:
    logins = Logins()
    app = web.Application()
    app.router.add_post("/nacos/v1/auth/users/login", logins.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    logins.address = f"{LOOPBACK}:{runner.addresses[0][1]}"
    yield logins
    await runner.cleanup()


def login_at(address: str) -> SdkLogin:
    return SdkLogin(
        NacosSettings.model_validate(
            {
                "server-addr": address,
                "username": "alice",
                "password": "hunter2",
                "config": {"timeout": "500ms"},
            }
        )
    )


async def test_one_token_serves_until_it_is_nearly_too_old(logins: Logins) -> None:
    login = login_at(logins.address)
    several = await asyncio.gather(*(login.get_access_token() for _ in range(5)))
    assert several == ["token-1"] * 5
    loop = asyncio.get_running_loop()
    assert 80 < login.token_expired_time - loop.time() < logins.life
    login.token_expired_time = loop.time()
    assert await login.get_access_token() == "token-2"


@pytest.mark.parametrize("token", [Token("given", 100.0), None])
async def test_a_token_that_is_there_already_costs_no_login(
    logins: Logins, token: Token | None
) -> None:
    login = login_at(logins.address)
    login.begin_with(token)
    assert await login.get_access_token() == ("given" if token else "")
    assert logins.count == 0
    login.token_expired_time = asyncio.get_running_loop().time()
    assert await login.get_access_token() == "token-1"


async def test_a_token_that_is_refused_is_replaced(logins: Logins) -> None:
    login = login_at(logins.address)
    await login.get_access_token()
    assert await login.get_access_token(force_refresh=True) == "token-2"


async def test_a_server_that_lets_everybody_in_is_not_asked_again_and_again(
    logins: Logins,
) -> None:
    logins.token = False
    login = login_at(logins.address)
    assert [await login.get_access_token() for _ in range(3)] == ["", "", ""]
    assert logins.count == 1


async def test_a_login_that_fails_is_tried_again_with_the_next_call(logins: Logins) -> None:
    logins.status = 503
    login = login_at(logins.address)
    with pytest.raises(StartError, match="answers 503 to the login"):
        await login.get_access_token()
    logins.status = 200
    assert await login.get_access_token() == "token-2"
