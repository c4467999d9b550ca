from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from nacos_boot.settings.fitting import fitted


class Item(BaseModel):
    tags: tuple[str, ...] = ()


class Model(BaseModel):
    name: str = ""
    secret: SecretStr = SecretStr("")
    count: int = 0
    names: list[str] = Field(default=[])
    numbers: tuple[int, ...] = ()
    items: list[Item] = Field(default=[])
    labels: dict[str, str] = Field(default={})
    groups: dict[str, list[str]] = Field(default={})
    pools: dict[str, Item] = Field(default={})
    mode: Literal["off", "on", "auto"] = "auto"
    maybe: str | None = None


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"name": True}, {"name": "true"}),
        ({"name": 8080}, {"name": "8080"}),
        ({"name": 1.5}, {"name": "1.5"}),
        ({"name": 1000.0}, {"name": "1000.0"}),
        ({"name": 1e8}, {"name": "1.0E8"}),
        ({"name": -1.25e-5}, {"name": "-1.25E-5"}),
        ({"name": 0.0}, {"name": "0.0"}),
        ({"name": float("inf")}, {"name": "Infinity"}),
        ({"name": float("-inf")}, {"name": "-Infinity"}),
        ({"name": float("nan")}, {"name": "NaN"}),
        ({"name": None}, {"name": ""}),
        ({"secret": 123}, {"secret": "123"}),
        ({"secret": None}, {"secret": ""}),
        ({"count": None}, {"count": None}),
        ({"count": True}, {"count": True}),
        ({"maybe": None}, {"maybe": None}),
        ({"names": "a, b ,,c,"}, {"names": ["a", "b", "c"]}),
        ({"names": ""}, {"names": []}),
        ({"names": None}, {"names": []}),
        ({"names": 5}, {"names": ["5"]}),
        ({"names": ["a,b", 5, False]}, {"names": ["a,b", "5", "false"]}),
        ({"numbers": "1,2"}, {"numbers": ["1", "2"]}),
        ({"items": "a"}, {"items": "a"}),
        ({"items": [{"tags": "a,b"}]}, {"items": [{"tags": ["a", "b"]}]}),
        ({"labels": {"a": {"b": 1}, "[c.d]": True}}, {"labels": {"a.b": "1", "c.d": "true"}}),
        ({"labels": {"a": "x", "a.b": "y"}}, {"labels": {"a": "x", "a.b": "y"}}),
        ({"labels": None}, {"labels": {}}),
        ({"labels": "x"}, {"labels": "x"}),
        (
            {"groups": {"web": "a,b", "x": {"y": ["c"]}}},
            {"groups": {"web": ["a", "b"], "x.y": ["c"]}},
        ),
        ({"pools": {"[a.b]": {"tags": "x"}}}, {"pools": {"a.b": {"tags": ["x"]}}}),
        ({"mode": False}, {"mode": "off"}),
        ({"mode": True}, {"mode": "on"}),
        ({"unknown": {"a": None}}, {"unknown": {"a": None}}),
    ],
)
def test_values_take_the_form_of_their_settings(
    tree: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert fitted(tree, Model) == expected
