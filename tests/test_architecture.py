"""What the import contracts cannot say."""

import re

from devtools.paths import ROOT

UVICORNS_NAME = "handle_websocket_upgrade"


def test_nacos_boot_could_be_lifted_out_for_any_quart_service() -> None:
    for module in (ROOT / "nacos_boot").rglob("*.py"):
        text = module.read_text(encoding="utf-8").replace(UVICORNS_NAME, "")
        assert not re.search("websocket", text, re.IGNORECASE), module.name


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("nacos_boot", "service", "gateway_lb", "devtools")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long
