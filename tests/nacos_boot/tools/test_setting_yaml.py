from typing import Any

import pytest
from pydantic import BaseModel

from gateway_lb.settings import GatewaySettings
from nacos_boot.documents.parse import parse
from nacos_boot.settings.bind import bind
from nacos_boot.settings.section import Section
from nacos_boot.settings.setting import setting
from nacos_boot.settings.sources import PropertySource
from nacos_boot.tools.setting_yaml import yaml_of_settings
from service.settings import NodeSettings
from tests.nacos_boot.shop import ShopSettings


@pytest.mark.parametrize("model", [ShopSettings, NodeSettings, GatewaySettings])
def test_the_document_read_back_gives_exactly_the_defaults(model: type[BaseModel]) -> None:
    source = PropertySource("all.yml", parse(yaml_of_settings(model))[0].tree)
    assert bind(model, [source], {}).settings == model()


def test_each_setting_stands_under_a_comment_that_explains_it() -> None:
    text = yaml_of_settings(ShopSettings)
    assert "    # Items of one cart. [items; 1 to 1000; live]\n    max-items: 200\n" in text
    assert "  # Of the till. [needs a restart]\n  password: guest\n" in text
    assert "  # Between two sales. [live: next sale]\n  pause: 0s\n" in text
    assert "  timeout: 1500ms\n" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_what_no_document_can_say_is_commented_out() -> None:
    text = yaml_of_settings(ShopSettings)
    assert "  # discount:\n" in text
    assert "  suppliers: []\n  #   name:   # required; live; Its name.\n" in text

    class Needy(Section):
        name: str = setting(..., "Whose it is.")

    class Program(Section):
        needy: Needy

    assert yaml_of_settings(Program) == ("needy:\n  # Whose it is. [required; live]\n  # name:\n")
    read: dict[str, Any] = dict(parse(yaml_of_settings(Program))[0].tree)
    assert read in ({}, {"needy": None})
