"""The documentation cannot fall behind the code in what can be compared."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from devtools.paths import ROOT
from devtools.settings_page import COMMAND, PAGE, settings_page
from gateway_lb.settings import GatewaySettings
from nacos_boot.start.local_settings import BootstrapSettings
from nacos_boot.tools.setting_list import settings_of
from service.clients import close_codes
from service.settings import NodeSettings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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


def test_every_page_is_found_from_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in readme] == []
