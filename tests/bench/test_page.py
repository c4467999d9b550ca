import json
from pathlib import Path

import pytest

from bench import page
from bench.figures import machine
from bench.row import Goal, Row, row_of


def test_a_row_survives_its_way_through_json() -> None:
    for row in (
        Row("work", "s", 1.5, "peer", 2.0, 0.75, Goal(1.0, "at most")),
        Row("work", "KB", 7.0, goal=Goal(8.0, "at most", of="figure")),
        Row("work", "s", 1.0),
    ):
        assert row_of(json.loads(json.dumps(row.json()))) == row


def test_the_results_replace_what_stood_between_the_marks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = tmp_path / "performance.md"
    document.write_text(
        "before\n<!-- results, by python -m bench.page -->\nold\n<!-- end -->\nafter\n"
    )
    monkeypatch.setattr(page, "PAGE", document)
    row = Row("work", "s", 1.5, "peer", 2.0, 0.75, Goal(1.0))
    report = tmp_path / "out.json"
    results = {"one": {"rows": [row.json()]}}
    report.write_text(json.dumps({"machine": machine(), "results": results}))
    assert page.main([str(report)]) == 0
    written = document.read_text()
    assert written.startswith("before\n")
    assert written.endswith("<!-- end -->\nafter\n")
    assert "old" not in written
    assert "| work | s    |  1.5 | peer |          2 |  0.75 |  ≥ 1 | short |" in written
    assert "0 of 1 goals reached." in written


def test_the_page_has_its_marks() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- results, by python -m bench.page -->\n") == 1
