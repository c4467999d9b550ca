import argparse
import json
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.bench import Bench, Outcome
from bench.lab import Lab
from bench.row import Goal, Row


class Rough(Bench):
    name = "rough"
    meaning = "measures nothing"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        row = Row("work", "done/s", 50.0, "the other", 100.0, 0.5, Goal(0.9))
        return Outcome([row], {"quick": lab.quick})


class Long(Rough):
    name = "long"
    quick = False


@pytest.fixture(autouse=True)
def _two_benches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "BENCHES", {"rough": Rough(), "long": Long()})


def run(tmp_path: Path, *arguments: str) -> dict[str, dict[str, object]]:
    file = tmp_path / "results.json"
    assert command.main([*arguments, "--json", str(file)]) == 0
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["machine"]["cores"] >= 1
    results: dict[str, dict[str, object]] = written["results"]
    return results


def test_without_a_name_all_run_and_the_results_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run(tmp_path)
    assert list(results) == ["rough", "long"]
    assert results["rough"]["rows"][0]["short"] is True  # type: ignore[index]  # JSON
    shown = capsys.readouterr().out
    assert "0 of 2 goals reached" in shown
    assert "| work | done/s |   50 | the other |        100 |  0.50 | ≥ 0.9 | short |" in shown


def test_quick_leaves_out_what_takes_long(tmp_path: Path) -> None:
    results = run(tmp_path, "--quick")
    assert list(results) == ["rough"]
    assert results["rough"]["quick"] is True
    # A rough run forgives a quarter of the goal.
    assert results["rough"]["rows"][0]["goal"]["bound"] == 0.675  # type: ignore[index]  # JSON


def test_what_is_named_runs(tmp_path: Path) -> None:
    assert list(run(tmp_path, "long", "--quick")) == ["long"]


def test_an_unknown_name_is_an_error_that_lists_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command.main(["fast"])
    assert "no benchmark 'fast'; expected rough, long" in capsys.readouterr().err


def test_the_help_lists_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in command.BENCHES)
