import pytest
from pydantic import Field

from nacos_boot.relaxed import canonical, environment_names, from_arguments, from_environment
from nacos_boot.section import OpenSection, Section


class Item(OpenSection):
    data_id: str


class Pool(Section):
    max_size: int = 1
    labels: dict[str, str] = Field(default={})


class Root(OpenSection):
    pool: Pool = Pool()
    spare_pool: Pool | None = None
    items: list[Item] = Field(default=[])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"pool": {"max-size": 1}}, {"pool": {"max-size": 1}}),
        ({"pool": {"maxSize": 1}}, {"pool": {"max-size": 1}}),
        ({"pool": {"max_size": 1}}, {"pool": {"max-size": 1}}),
        ({"POOL": {"MAX-SIZE": 1}}, {"pool": {"max-size": 1}}),
        ({"sparePool": {"maxSize": 1}}, {"spare-pool": {"max-size": 1}}),
        ({"items": [{"dataId": "x"}]}, {"items": [{"data-id": "x"}]}),
        ({"pool": {"labels": {"keepMe": 1}}}, {"pool": {"labels": {"keepMe": 1}}}),
        ({"pool": {"unknownKey": 1}}, {"pool": {"unknownKey": 1}}),
        ({"pool": None}, {"pool": {}}),
        ({"pool": {"max-size": None}}, {"pool": {"max-size": None}}),
        ({"pool": {"a": 1}, "Pool": {"b": 2}}, {"pool": {"a": 1, "b": 2}}),
        ({"pool": 5}, {"pool": 5}),
    ],
)
def test_keys_are_spelled_as_the_settings_do(
    written: dict[str, object], expected: dict[str, object]
) -> None:
    assert canonical(written, Root) == expected


@pytest.mark.parametrize(
    ("environ", "known", "expected"),
    [
        ({"POOL_MAXSIZE": "7"}, {}, {"pool": {"max-size": "7"}}),
        ({"POOL_MAX_SIZE": "7"}, {}, {"pool": {"max-size": "7"}}),
        ({"POOL_MAXSIZE": "7", "POOL_MAX_SIZE": "8"}, {}, {"pool": {"max-size": "7"}}),
        ({"SPAREPOOL_MAXSIZE": "7"}, {}, {"spare-pool": {"max-size": "7"}}),
        ({"OTHER_KEY": "x"}, {"other": {"key": "y"}}, {"other": {"key": "x"}}),
        ({"OTHER_KEY": "x"}, {}, {}),
        ({"LEVEL_APP_DB": "x"}, {"level": {"app.db": "y"}}, {"level": {"app": {"db": "x"}}}),
        ({"POOL_LABELS_ZONE": "x"}, {}, {"pool": {"labels": {"zone": "x"}}}),
        ({"POOL_LABELS_A_B": "x"}, {}, {"pool": {"labels": {"a": {"b": "x"}}}}),
        (
            {"POOL_LABELS_A_B": "x"},
            {"pool": {"labels": {"a-b": "y"}}},
            {"pool": {"labels": {"a-b": "x"}}},
        ),
        ({"pool_max_size": "7"}, {}, {}),
    ],
)
def test_environment_variables_set_keys(
    environ: dict[str, str], known: dict[str, object], expected: dict[str, object]
) -> None:
    source = from_environment(environ, Root, known)
    assert source.tree == expected
    assert source.name == "the environment"


def test_the_two_names_of_a_key() -> None:
    assert environment_names(["websocket", "limits", "max-connections"]) == (
        "WEBSOCKET_LIMITS_MAXCONNECTIONS",
        "WEBSOCKET_LIMITS_MAX_CONNECTIONS",
    )


def test_the_command_line() -> None:
    source = from_arguments(["--server.port=81", "--a=b=c", "--server.address="])
    assert source.name == "the command line"
    assert source.tree == {"server": {"port": "81", "address": ""}, "a": "b=c"}


@pytest.mark.parametrize("argument", ["server.port=81", "--server.port", "--=81", "-p", ""])
def test_an_argument_that_is_not_understood(argument: str) -> None:
    with pytest.raises(ValueError, match=r"is not understood: expected --key=value"):
        from_arguments([argument])
