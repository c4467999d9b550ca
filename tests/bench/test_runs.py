import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cpu import Cores, confined, cpu_seconds, pinned, resident_bytes
from bench.row import Goal, Row, table
from bench.runs import Figures, interleave


def test_every_contender_runs_once_per_run_and_none_is_always_first() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    figures = interleave({name: lambda name=name: contender(name) for name in "abc"}, 3)  # type: ignore[misc]  # a default binds the name
    assert "".join(order) == "abcbcacab"
    assert figures.runs["a"] == [1.0, 6.0, 8.0]


def test_a_ratio_is_the_median_of_the_ratios_of_each_run() -> None:
    figures = Figures({"ours": [10.0, 40.0, 9.0], "peer": [10.0, 20.0, 10.0]})
    row = figures.row("work", "done/s", "ours", "peer", Goal(1.0))
    assert (row.ours, row.theirs, row.ratio) == (10.0, 10.0, 1.0)
    assert not row.short


@pytest.mark.parametrize(
    ("goal", "short"),
    [
        (Goal(0.9), False),
        (Goal(0.91), True),
        (Goal(0.9, "at most"), False),
        (Goal(0.8, "at most"), True),
        (Goal(50.0, of="figure"), False),
        (Goal(49.0, "at most", of="figure"), True),
        (None, False),
    ],
)
def test_a_goal_judges_the_ratio_or_the_figure(goal: Goal | None, short: bool) -> None:
    assert Row("work", "s", 50.0, "peer", 55.0, 0.9, goal).short is short


def test_a_goal_for_a_ratio_that_could_not_be_measured_is_missed() -> None:
    assert Row("work", "s", 50.0, goal=Goal(1.0)).short


def test_the_table_is_markdown_with_aligned_columns() -> None:
    lines = table([Row("a", "KB", 1234.5, "peer", 0.1234, 2.0), Row("bc", "s", 2.0)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1,234" in lines[2]
    assert "0.123" in lines[2]


def test_cpu_time_of_another_process_is_counted_and_its_core_kept() -> None:
    cores = Cores.of_machine()
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    argv = pinned([sys.executable, "-c", burn], [cores.tested])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert 0.2 <= cpu_seconds([process.pid]) < 5
        assert os.sched_getaffinity(process.pid) == {cores.tested}
        assert resident_bytes(process.pid) > 1_000_000
        process.communicate(b"\n")
    with pytest.raises(OSError, match=r"No such process|Invalid argument"):
        cpu_seconds([process.pid])


def test_a_running_process_is_kept_on_cores_for_a_while() -> None:
    cores = Cores.of_machine()
    before = os.sched_getaffinity(0)
    sleeper = "import threading\nthreading.Thread(target=input).start()\nprint(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", sleeper], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        threads = [int(thread.name) for thread in Path(f"/proc/{process.pid}/task").iterdir()]
        assert len(threads) > 1
        with confined([process.pid], [cores.tested]):
            assert all(os.sched_getaffinity(thread) == {cores.tested} for thread in threads)
        assert all(os.sched_getaffinity(thread) == before for thread in threads)
        process.communicate(b"\n")
