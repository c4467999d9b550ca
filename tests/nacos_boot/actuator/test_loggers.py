import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client

from nacos_boot.actuator.loggers import loggers_endpoint
from nacos_boot.actuator.routes import actuator
from nacos_boot.logs.levels import LogLevels
from tests.nacos_boot.log_output import Output, logging_set_up

DEMO, DATABASE = logging.getLogger("demo"), logging.getLogger("demo.db")


@pytest.fixture
def output() -> Iterator[Output]:
    with logging_set_up() as output:
        yield output


@pytest.fixture
def levels(output: Output) -> LogLevels:
    levels = LogLevels()
    levels.use({"root": "INFO", "demo": "WARN"}, {"shop": ("demo", "demo.db")})
    return levels


@pytest.fixture
def client(levels: LogLevels) -> Client:
    app = Quart(__name__)
    app.register_blueprint(actuator([loggers_endpoint(levels)]))
    return app.test_client()


async def get(client: Client, name: str) -> Any:
    response = await client.get(f"/actuator/loggers/{name}")
    assert response.status_code == 200
    return json.loads(await response.get_data())


async def post(client: Client, name: str, body: Any) -> int:
    response = await client.post(f"/actuator/loggers/{name}", json=body)
    return int(response.status_code)


async def test_all_loggers_in_springs_shape(client: Client) -> None:
    body = json.loads(await (await client.get("/actuator/loggers")).get_data())
    assert body["levels"] == ["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
    assert body["loggers"]["ROOT"] == {"configuredLevel": "INFO", "effectiveLevel": "INFO"}
    assert body["loggers"]["demo"] == {"configuredLevel": "WARN", "effectiveLevel": "WARN"}
    assert body["loggers"]["demo.db"] == {"effectiveLevel": "WARN"}
    assert body["groups"]["shop"] == {"members": ["demo", "demo.db"]}
    assert "web" in body["groups"]


async def test_one_logger_or_group(client: Client) -> None:
    assert await get(client, "demo.db") == {"effectiveLevel": "WARN"}
    assert (await get(client, "ROOT"))["configuredLevel"] == "INFO"
    assert await get(client, "shop") == {"members": ["demo", "demo.db"]}


async def test_a_name_that_nobody_uses_is_told_of_and_not_made(client: Client) -> None:
    assert await get(client, "demo.db.nobody.knows") == {"effectiveLevel": "WARN"}
    assert await get(client, "nobody") == {"effectiveLevel": "INFO"}
    assert not {"nobody", "demo.db.nobody"} & logging.root.manager.loggerDict.keys()


async def test_a_level_is_set_and_taken_back(client: Client, output: Output) -> None:
    DATABASE.debug("before")
    assert await post(client, "demo.db", {"configuredLevel": "DEBUG"}) == 204
    DATABASE.debug("now")
    assert await get(client, "demo.db") == {"configuredLevel": "DEBUG", "effectiveLevel": "DEBUG"}
    for nothing in ({"configuredLevel": None}, {}):
        assert await post(client, "demo.db", {"configuredLevel": "trace"}) == 204
        assert (await get(client, "demo.db"))["effectiveLevel"] == "TRACE"
        assert await post(client, "demo.db", nothing) == 204
        assert await get(client, "demo.db") == {"effectiveLevel": "WARN"}
    DATABASE.debug("after")
    assert [word for word in ("before", "now", "after") if f": {word}\n" in output.text] == ["now"]
    assert "the level of the logger demo.db is set to DEBUG by the actuator" in output.text


async def test_null_gives_the_level_of_the_settings_back(client: Client) -> None:
    for name, before in (("demo", "WARN"), ("ROOT", "INFO")):
        assert await post(client, name, {"configuredLevel": "OFF"}) == 204
        assert (await get(client, name))["configuredLevel"] == "OFF"
        assert await post(client, name, {"configuredLevel": None}) == 204
        assert (await get(client, name))["configuredLevel"] == before


async def test_a_group_is_set_together(client: Client) -> None:
    assert await post(client, "shop", {"configuredLevel": "ERROR"}) == 204
    assert await get(client, "shop") == {
        "configuredLevel": "ERROR",
        "members": ["demo", "demo.db"],
    }
    assert DEMO.level == DATABASE.level == logging.ERROR


@pytest.mark.parametrize(
    "body",
    [
        {"configuredLevel": "LOUD"},
        {"configuredLevel": 10},
        {"configuredLevel": ["DEBUG"]},
        {"level": "DEBUG"},
        ["DEBUG"],
        "DEBUG",
        7,
    ],
)
async def test_what_is_no_level_is_refused_and_changes_nothing(client: Client, body: Any) -> None:
    response = await client.post("/actuator/loggers/demo", json=body)
    assert response.status_code == 400
    error = json.loads(await response.get_data())
    assert error["error"] == "Bad Request"
    assert "null or one of OFF, FATAL, ERROR, WARN, INFO, DEBUG, TRACE" in error["message"]
    assert DEMO.level == logging.WARNING


async def test_a_name_may_not_be_endless(client: Client) -> None:
    assert await post(client, "x" * 201, {"configuredLevel": "INFO"}) == 400
