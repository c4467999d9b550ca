"""The documentation cannot fall behind the code in what can be compared."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel

from devtools.paths import ROOT
from devtools.settings_page import COMMAND, PAGE, settings_page
from gateway_lb.settings import GatewaySettings
from nacos_boot.start.local_settings import BootstrapSettings
from nacos_boot.tools.setting_list import settings_of
from service.clients import close_codes
from service.settings import NodeSettings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

METRICS = ("websocket_", "gateway_", "nacos_", "http_")
PACKAGES = {"gateway_lb", "nacos_boot"}
NO_SETTINGS = {
    # In the metadata of an instance.
    *("websocket.node-id", "websocket.rabbitmq", "websocket.redis"),
    # docs/scale.md: what could be built, and costs.
    *("websocket.node.look-interval", "websocket.push.gather"),
    *("gateway.frame", "gateway.handshake", "gateway.relay_bytes"),
}
"""What is written like a key of the settings, and is none."""


def test_the_page_of_settings_is_what_the_code_declares() -> None:
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    assert written == settings_page(), f"docs/settings.md is out of date: run {COMMAND}"


@pytest.mark.parametrize("model", [NodeSettings, GatewaySettings, BootstrapSettings])
def test_every_setting_says_what_it_is(model: type[BaseModel]) -> None:
    assert not [one.key for one in settings_of(model) if not one.meaning]


def test_every_close_code_is_documented() -> None:
    text = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
    codes = {value for name, value in vars(close_codes).items() if name.isupper()}
    documented = {int(code) for code in re.findall(r"^\| (\d{4}) \|", text, re.MULTILINE)}
    assert codes <= documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert all((page.parent / link).exists() for link in links), links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_heading(page: Path) -> None:
    # A link may be broken over two lines.
    text = " ".join(page.read_text(encoding="utf-8").split())
    for name, heading in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", text):
        assert heading in headings(page.parent / name if name else page), f"{name}#{heading}"


def headings(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub and others make them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    keys = {one.key for model in (NodeSettings, GatewaySettings) for one in settings_of(model)}
    sections = {key[:end] for key in keys for end, sign in enumerate(key) if sign in ".["}
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:websocket|gateway)\.[a-z][\w.\[\]-]*\w)(?:\.\*)?[`:]", text))
    assert named - keys - sections - NO_SETTINGS == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    folders = "service|gateway_lb|nacos_boot|tests|bench|devtools|examples|nacos-config"
    named = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w/.*-]*[\w*/])", text)
    assert [name for name in named if not any(ROOT.glob(name.rstrip("/")))] == []


def test_every_metric_is_documented_and_no_other() -> None:
    for program in ("service.main", "gateway_lb.main"):
        import_module(program)
    known = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith(METRICS)
    }
    text = " ".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`([a-z]+_[a-z_]+)(?:\{[^`]*)?`", text))
    assert {name for name in named if name.startswith(METRICS)} - PACKAGES == known


def test_every_page_is_found_from_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in readme] == []
