"""The documentation cannot fall behind the code in what can be compared."""

import re
from pathlib import Path

import pytest

from devtools.paths import ROOT
from gateway_lb.settings import GatewaySettings
from nacos_boot.section import OpenSection, Section, kebab_case
from service import close_codes
from service.settings import NodeSettings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def keys(model: type[OpenSection | Section], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{kebab_case(name)}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, OpenSection | Section):
            found += keys(kind, f"{key}.")
        else:
            found.append(key)
    return found


@pytest.mark.parametrize("model", [NodeSettings, GatewaySettings])
def test_every_setting_is_documented(model: type[OpenSection]) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    missing = [key for key in keys(model) if f"| `{key}` |" not in text]
    assert not missing


def test_every_close_code_is_documented() -> None:
    text = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
    codes = {value for name, value in vars(close_codes).items() if name.isupper()}
    documented = {int(code) for code in re.findall(r"^\| (\d{4}) \|", text, re.MULTILINE)}
    assert codes - {close_codes.NOT_AUTHENTICATED} <= documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert all((page.parent / link).exists() for link in links), links
