import pytest
from pydantic import Field

from nacos_boot.settings.relaxed import canonical, spelled
from nacos_boot.settings.section import OpenSection, Section
from nacos_boot.settings.sources import PropertySource


class Item(OpenSection):
    data_id: str


class Pool(Section):
    max_size: int = 1
    labels: dict[str, str] = Field(default={})


class Root(OpenSection):
    pool: Pool = Pool()
    spare_pool: Pool | None = None
    items: list[Item] = Field(default=[])
    pools: dict[str, Pool] = Field(default={})


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
        ({"pool": {"labels": {"[a.b]": 1}}}, {"pool": {"labels": {"a": {"b": 1}}}}),
        ({"pools": {"[a.b]": {"maxSize": 1}}}, {"pools": {"[a.b]": {"max-size": 1}}}),
        ({"pools": {"myPool": {"maxSize": 1}}}, {"pools": {"myPool": {"max-size": 1}}}),
    ],
)
def test_keys_are_spelled_as_the_settings_do(
    written: dict[str, object], expected: dict[str, object]
) -> None:
    assert canonical(written, Root) == expected


def test_lines_follow_their_keys() -> None:
    tree = {
        "Pool": {"maxSize": 1, "labels": {"[a.b]": 1}},
        "items": [{"dataId": "x"}],
        "other": {"someKey": 1},
    }
    lines = {
        "Pool": 1,
        "Pool.maxSize": 2,
        "Pool.labels.[a.b]": 3,
        "items": 4,
        "items[0]": 5,
        "items[0].dataId": 6,
        "other.someKey": 7,
    }
    assert spelled(PropertySource("a.yml", tree, lines), Root).lines == {
        "pool": 1,
        "pool.max-size": 2,
        "pool.labels.a.b": 3,
        "items": 4,
        "items[0]": 5,
        "items[0].data-id": 6,
        "other.someKey": 7,
    }
