import logging
from pathlib import Path

import pytest

from nacos_boot.nacos_sdk_tidy import quieten, shut_down, without_token


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


def test_its_log_files_are_closed_and_its_words_on_the_root_logger_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("nacos-sdk-test")
    logger.addHandler(logging.FileHandler(tmp_path / "sdk.log"))
    quieten("nacos-sdk-test")
    quieten("nacos-sdk-test")
    assert logger.handlers == []

    def say(path: str) -> None:
        record = logging.LogRecord("root", logging.ERROR, path, 1, f"from {path}", None, None)
        logging.getLogger().handle(record)

    say("/site-packages/v2/nacos/transport/rpc_client.py")
    say("/app/service/main.py")
    assert "v2/nacos" not in caplog.text
    assert "from /app/service/main.py" in caplog.text
    for handler in logging.getLogger().handlers:
        assert len(handler.filters) <= 1
        handler.filters.clear()


async def test_services_that_are_not_what_they_seem_do_not_stop_the_end() -> None:
    await shut_down(None, None, 1)

    class Broken:
        class grpc_client_proxy:  # noqa: N801 - the SDK's name
            class redo_service:  # noqa: N801 - the SDK's name
                pass

    await shut_down(None, Broken, 1)
