import json
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.figures import machine, spread


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = spread([float(number) for number in range(100, 0, -1)])
    assert (hundred.count, hundred.p50, hundred.p90, hundred.p99, hundred.max) == (
        100,
        50,
        90,
        99,
        100,
    )
    one = spread([3.0])
    assert (one.p50, one.p99, one.max) == (3, 3, 3)


def test_a_run_tells_the_machine_and_the_versions() -> None:
    facts = machine()
    assert facts["cores"] >= 1
    assert all(facts[name] for name in ("date", "cpu", "python", "version", "nacosSdk"))


class Quick:
    name = "quick"
    meaning = "measures nothing"

    def add_options(self, options: object) -> None:
        assert options

    def run(self, options: object) -> dict[str, int]:
        assert options
        return {"p50": 1}


def test_without_a_name_all_run_and_the_results_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "BENCHES", {"quick": Quick()})
    file = tmp_path / "results.json"
    assert command.main(["--json", str(file)]) == 0
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["results"] == {"quick": {"p50": 1}}
    assert written["machine"]["cores"] >= 1


def test_the_help_lists_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in command.BENCHES)
