import pytest
from pydantic import Field

from nacos_boot.documents.error import DocumentError
from nacos_boot.settings.environment import (
    environment_names,
    from_arguments,
    from_environment,
    from_json_variable,
)
from nacos_boot.settings.section import OpenSection, Section


class Item(OpenSection):
    data_id: str
    size: int = 1


class Pool(Section):
    max_size: int = 1
    labels: dict[str, str] = Field(default={})
    host_names: tuple[str, ...] = ()


class Root(OpenSection):
    pool: Pool = Pool()
    spare_pool: Pool | None = None
    items: list[Item] = Field(default=[])
    names: list[str] = Field(default=[])


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
        ({"NAMES": "a,b"}, {}, {"names": "a,b"}),
        ({"NAMES_0": "a", "NAMES_1": "b"}, {}, {"names": ["a", "b"]}),
        ({"NAMES_1": "b", "NAMES_0": "a"}, {"names": ["x", "y", "z"]}, {"names": ["a", "b"]}),
        ({"NAMES": "a,b", "NAMES_0": "c"}, {}, {"names": "a,b"}),
        ({"NAMES_X": "a", "NAMES_": "b", "NAMES_0_X": "c"}, {}, {}),
        (
            {"ITEMS_0_DATA_ID": "a", "ITEMS_1_DATAID": "b", "ITEMS_1_SIZE": "2"},
            {},
            {"items": [{"data-id": "a"}, {"data-id": "b", "size": "2"}]},
        ),
        ({"POOL_HOST_NAMES_0": "a"}, {}, {"pool": {"host-names": ["a"]}}),
        ({"POOL_HOSTNAMES_0": "a"}, {}, {"pool": {"host-names": ["a"]}}),
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--a.b[0]=x", "--a.b[1]=y"], {"a": {"b": ["x", "y"]}}),
        (["--a[1].c=y", "--a[0].c=x", "--a[0].d=z"], {"a": [{"c": "x", "d": "z"}, {"c": "y"}]}),
        (["--a=1", "--a=2"], {"a": "2"}),
        (["--level.[x.y]=INFO"], {"level": {"[x.y]": "INFO"}}),
    ],
)
def test_indexes_and_brackets_on_the_command_line(
    arguments: list[str], expected: dict[str, object]
) -> None:
    assert from_arguments(arguments).tree == expected


def test_a_list_that_lacks_an_item() -> None:
    with pytest.raises(
        DocumentError, match=r"has an item \[2\] of this list, but no item \[1\]"
    ) as at:
        from_environment({"NAMES_0": "a", "NAMES_2": "c"}, Root, {})
    assert at.value.key == "names[2]"
    with pytest.raises(ValueError, match=r"the command line: the list 'a' has an item \[1\]"):
        from_arguments(["--a[1]=x"])


def test_a_variable_that_holds_json() -> None:
    environ = {"SPRING_APPLICATION_JSON": '{"pool.max-size": 7, "names": ["a"]}'}
    source = from_json_variable(environ)
    assert source is not None
    assert source.name == "SPRING_APPLICATION_JSON"
    assert source.tree == {"pool": {"max-size": 7}, "names": ["a"]}
    assert from_json_variable({}) is None
    assert from_json_variable({"SPRING_APPLICATION_JSON": " "}) is None
    with pytest.raises(DocumentError, match="expected an object"):
        from_json_variable({"SPRING_APPLICATION_JSON": "[]"})


@pytest.mark.parametrize("argument", ["server.port=81", "--server.port", "--=81", "-p", ""])
def test_an_argument_that_is_not_understood(argument: str) -> None:
    with pytest.raises(ValueError, match=r"is not understood: expected --key=value"):
        from_arguments([argument])
