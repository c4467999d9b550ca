import asyncio
import logging
from pathlib import Path

import pytest

from nacos_boot.nacos.sdk_tidy import ClientIp, quieten, shut_down, without_token


@pytest.mark.parametrize(
    "text",
    [
        "AccessToken: eyJ.secret, TTL: 5",
        '{"accessToken":"eyJ.secret"}',
        "http://nacos/x?accessToken=eyJ.secret&y=1",
        "access_token = 'eyJ.secret'",
    ],
)
def test_an_error_is_told_without_the_token(text: str) -> None:
    hidden = without_token(RuntimeError(text))
    assert "secret" not in hidden
    assert "******" in hidden


def test_its_log_files_are_closed_and_its_words_are_dropped_whatever_the_levels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    logger = logging.getLogger("nacos-sdk-test")
    logger.addHandler(logging.FileHandler(tmp_path / "sdk.log"))
    quieten("nacos-sdk-test")
    quieten("nacos-sdk-test")
    assert logger.handlers == []
    logger.setLevel(0)

    def say(name: str | None, path: str) -> None:
        record = logging.LogRecord("x", logging.ERROR, path, 1, f"from {path}", None, None)
        logging.getLogger(name).handle(record)

    for name in (None, "nacos-sdk-test"):
        say(name, "/site-packages/v2/nacos/transport/rpc_client.py")
        say(name, "/app/service/main.py")
    assert "v2/nacos" not in caplog.text
    assert caplog.text.count("from /app/service/main.py") == 2
    assert len(logger.filters) == 1
    assert len(logging.getLogger().filters) <= 1


async def test_the_address_is_that_of_the_task_that_connects() -> None:
    def none_found() -> str:
        raise OSError("no interface")

    address = ClientIp(none_found)
    assert address.get() == "127.0.0.1"

    async def connect(own: str) -> str:
        address.use(own)
        return await asyncio.create_task(later())

    async def later() -> str:
        await asyncio.sleep(0)
        return address.get()

    assert await asyncio.gather(
        asyncio.create_task(connect("10.0.0.1")), asyncio.create_task(connect("10.0.0.2"))
    ) == ["10.0.0.1", "10.0.0.2"]
    assert ClientIp(lambda: "10.0.0.3").get() == "10.0.0.3"


async def test_services_that_are_not_what_they_seem_do_not_stop_the_end() -> None:
    await shut_down(None, None, 1)

    class Broken:
        class grpc_client_proxy:  # noqa: N801 - the SDK's name
            class redo_service:  # noqa: N801 - the SDK's name
                pass

    await shut_down(None, Broken, 1)
