from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from devtools.paths import ROOT
from gateway_lb.settings import GatewaySettings
from nacos_boot.settings.section import OpenSection, Section
from nacos_boot.tools.setting_schema import schema_of_settings
from nacos_boot.tools.setting_yaml import yaml_of_settings
from service.settings import NodeSettings
from tests.nacos_boot.schema_check import faults
from tests.nacos_boot.shop import ShopSettings


def of(schema: dict[str, Any], key: str) -> dict[str, Any]:
    for name in key.split("."):
        schema = schema["properties"][name]
    return schema


def wrong(text: str, model: type[BaseModel] = ShopSettings) -> list[str]:
    return faults(schema_of_settings(model), yaml.safe_load(text))


def test_a_setting_tells_its_meaning_default_unit_and_effect() -> None:
    schema = schema_of_settings(ShopSettings)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    items = of(schema, "shop.limits.max-items")
    assert items["title"] == "shop.limits.max-items"
    assert items["description"] == "Items of one cart. [items; live]"
    assert items["default"] == 200
    assert items["x-unit"] == "items"
    assert items["x-live"] is True
    assert of(schema, "shop.timeout")["default"] == "1500ms"
    assert of(schema, "shop.password")["x-live"] is False
    assert of(schema, "shop.pause")["x-when"] == "next sale"
    assert "$ref" not in str(schema)


@pytest.mark.parametrize(
    "text",
    [
        "shop: {mode: closed, timeout: 2s, pause: 0}",
        "shop: {timeout: PT1M30S, pause: 500ms, url: 'https://a.b', discount: 99.5}",
        "shop: {password: 12345, tags: [a, b], labels: {a: b}}",
        "shop: {suppliers: [{name: a}, {name: b, retries: 0}]}",
        "shop: {mode: '${MODE}', timeout: '${T:2s}', limits: {max-items: '${N:5}'}}",
        "shop: {tags: '${TAGS}', url: '${URL}', discount: '${D}'}",
        "shop:\nspring: {other: {of: spring}}\nunknown: 1",
        "logging: {level: {root: INFO, org: {example: DEBUG}, noisy: OFF}}",
    ],
)
def test_what_the_program_accepts_is_valid(text: str) -> None:
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("shop: {mode: ajar}", ".shop.mode"),
        ("shop: {timeout: soon}", ".shop.timeout"),
        ("shop: {timeout: P}", ".shop.timeout"),
        ("shop: {timeout: true}", ".shop.timeout"),
        ("shop: {url: ftp}", ".shop.url"),
        ("shop: {discount: 100}", ".shop.discount"),
        ("shop: {colour: red}", ".shop.colour"),
        ("shop: {limits: {max-items: 0}}", ".shop.limits.max-items"),
        ("shop: {limits: 5}", ".shop.limits"),
        ("shop: {suppliers: [{retries: 1}]}", ".shop.suppliers[0]"),
        ("spring: {data: {port: 70000}}", ".spring.data.port"),
    ],
)
def test_what_the_program_refuses_is_not(text: str, where: str) -> None:
    found = wrong(text)
    assert found
    assert found[0].startswith((where, where.rpartition("[")[0] or where)), found


@pytest.mark.parametrize(
    ("model", "documents"),
    [
        (NodeSettings, ["common.yml", "websocket-service.yml"]),
        (GatewaySettings, ["common.yml", "websocket-gateway.yml"]),
    ],
)
def test_the_documents_of_this_repository_are_valid(
    model: type[BaseModel], documents: list[str]
) -> None:
    for document in documents:
        text = (ROOT / "nacos-config" / document).read_text(encoding="utf-8")
        assert wrong(text, model) == []
    assert wrong(yaml_of_settings(model), model) == []


def test_a_section_within_itself_ends() -> None:
    class Node(Section):
        name: str = ""
        below: "list[Node]" = []  # noqa: RUF012 - a field of a model

    class Program(OpenSection):
        node: Node = Node()

    assert faults(schema_of_settings(Program), {"node": {"below": [{"name": "a"}]}}) == []
