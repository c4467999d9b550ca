"""The login question against small HTTP servers that answer as Nacos may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from devtools.ports import LOOPBACK, free_port
from nacos_boot.nacos.error import UnreachableError
from nacos_boot.nacos.login import check_login, with_scheme
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError


def settings(*servers: str, username: str = "alice") -> NacosSettings:
    return NacosSettings.model_validate(
        {
            "server-addr": list(servers),
            "username": username,
            "password": "hunter2",
            "config": {"timeout": "200ms"},
        }
    )


@asynccontextmanager
async def answering(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/nacos/v1/auth/users/login", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    try:
        yield runner.addresses[0][0] + f":{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def always(status: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    return answer


async def test_the_account_is_sent_in_the_body() -> None:
    seen = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.query_string, dict(await request.post())))
        return web.json_response({"accessToken": "x"})

    async with answering(answer) as server:
        token = await check_login(settings(server))
    assert token is not None
    assert token.text == "x"
    assert "x" not in repr(token)
    assert seen == [("", {"username": "alice", "password": "hunter2"})]


async def test_nobody_is_asked_without_a_user_name() -> None:
    assert await check_login(settings(f"{LOOPBACK}:1", username="")) is None


async def test_a_server_that_lets_everybody_in_gives_no_token() -> None:
    async with answering(always(200)) as server:
        assert await check_login(settings(server)) is None


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_account_is_final(status: int) -> None:
    async with answering(always(status)) as server:
        with pytest.raises(StartError) as caught:
            await check_login(settings(server))
    assert caught.value.final
    assert f"Nacos at {server} refuses the user 'alice'" in str(caught.value)
    assert "spring.cloud.nacos.username and spring.cloud.nacos.password" in str(caught.value)


async def test_another_answer_may_mean_a_wrong_password_or_a_server_without_users() -> None:
    async with answering(always(500)) as server:
        with pytest.raises(StartError) as caught:
            await check_login(settings(server))
    assert not caught.value.final
    assert not isinstance(caught.value, UnreachableError)
    assert f"{server} answers 500 to the login of the user 'alice'" in str(caught.value)
    assert "check spring.cloud.nacos.username and password" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_the_next_server_is_asked_where_one_is_away() -> None:
    async with answering(always(200)) as server:
        await check_login(settings(f"{LOOPBACK}:{free_port()}", server))


async def test_no_server_at_all_is_unreachable_and_every_address_is_named() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    away = f"{LOOPBACK}:{free_port()}"
    async with answering(never) as hanging, asyncio.timeout(2):
        with pytest.raises(UnreachableError) as caught:
            await check_login(settings(away, hanging))
    assert f"{away}: Cannot connect" in str(caught.value)
    assert f"{hanging}: no answer in time" in str(caught.value)
    assert "check spring.cloud.nacos.server-addr" in str(caught.value)


@pytest.mark.parametrize("server", ["no-such-host.invalid:8848", f"{'x' * 70}.invalid:8848"])
async def test_a_name_that_does_not_resolve_is_unreachable(server: str) -> None:
    with pytest.raises(UnreachableError, match=r"spring\.cloud\.nacos\.server-addr"):
        await check_login(settings(server))


def test_the_scheme() -> None:
    assert with_scheme("nacos:8848") == "http://nacos:8848"
    assert with_scheme("https://nacos:443") == "https://nacos:443"
