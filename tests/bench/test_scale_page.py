"""docs/scale.md says what the simulation prints, of the costs that are committed."""

import json
import re
from pathlib import Path

import pytest

from bench.scale import __main__ as command
from bench.scale.costs import FILE, NAMES, CostsError, read_costs
from bench.scale.markdown import number, percent, table
from bench.scale.page import PAGE, TABLES, PageError, filled
from gateway_lb.settings import GatewaySettings
from nacos_boot.start.local_settings import BootstrapSettings
from nacos_boot.tools.setting_list import settings_of
from service.settings import NodeSettings

KEYS = {
    one.key
    for model in (NodeSettings, GatewaySettings, BootstrapSettings)
    for one in settings_of(model)
}
PREFIXES = r"`((?:websocket|gateway|spring)\.[a-z.-]+)"


def section(heading: str) -> str:
    page = PAGE.read_text(encoding="utf-8")
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == filled(page, read_costs()), "run python -m bench.scale --write"


def test_settings_that_the_page_names_exist_and_those_it_misses_do_not() -> None:
    existing = set(re.findall(PREFIXES, section("Settings that select it")))
    missing = set(re.findall(PREFIXES, section("What is not there")))
    assert len(existing) > 10
    assert existing <= KEYS
    assert missing
    assert not missing & KEYS


def test_every_table_is_wanted_once() -> None:
    costs = read_costs()
    page = PAGE.read_text(encoding="utf-8")
    with pytest.raises(PageError, match="'a_size'"):
        filled(page.replace("table sizes", "table a_size"), costs)
    with pytest.raises(PageError):
        filled(page + page, costs)


def test_the_command_prints_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "TABLES", {name: TABLES[name] for name in ("sizes", "costs")})
    assert command.main([]) == 0
    printed = capsys.readouterr().out
    assert "== sizes\n| users |" in printed
    assert "`redis.user_bytes`" in printed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"node.publish": None}, "node.publish is missing"),
        ({"node.flight": {"value": 1, "unit": "µs", "how": ""}}, "node.flight is no cost"),
        ({"node.publish": {"value": 1, "unit": "ms", "how": ""}}, "node.publish must be µs"),
        ({"node.publish": {"value": "much", "unit": "µs", "how": ""}}, "no costs can be read"),
    ],
)
def test_a_costs_file_that_cannot_be_used_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    told: str,
) -> None:
    written = json.loads(FILE.read_text(encoding="utf-8"))
    written["costs"] |= change
    written["costs"] = {name: cost for name, cost in written["costs"].items() if cost}
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(CostsError, match=told):
        read_costs(file)
    assert command.main(["--costs", str(file)]) == 1
    assert f"error: {file}: " in capsys.readouterr().out
    with pytest.raises(CostsError, match="no costs can be read"):
        read_costs(tmp_path / "absent.json")


def test_the_costs_file_tells_the_machine_and_how_each_was_measured() -> None:
    costs = read_costs()
    assert all(costs.machine[fact] for fact in ("date", "cpu", "versions"))
    assert list(costs.all) == list(NAMES)
    assert all(cost.how and cost.value > 0 for cost in costs.all.values())


def test_numbers_are_written_briefly() -> None:
    assert [number(value) for value in (0, 0.01234, 1.26, 12.6, 126.4, 12645)] == [
        "0",
        "0.012",
        "1.3",
        "13",
        "130",
        "13,000",
    ]
    assert [percent(value) for value in (0.0731, 0.5, 2.9, 11.4)] == [
        "7.3 %",
        "50 %",
        "290 %",
        "11 times",
    ]
    assert table(["a", "b"], [["x", "1"]], right=[1]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
