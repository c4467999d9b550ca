import os
import subprocess
from pathlib import Path

import pytest

from devtools.cluster import nodes_listed
from devtools.compose import compose_environment
from devtools.paths import state_dir
from devtools.ports import Ports
from devtools.report import how_to_use
from devtools.test import Outcome, Step, steps, summary

ROOT = Path(__file__).resolve().parents[2]


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "dev"), *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_help_is_shown_without_installing_anything() -> None:
    for arguments in (("--help",), ("up", "--help")):
        shown = dev(*arguments)
        assert shown.returncode == 0
        assert "up [-d]" in shown.stdout
    assert dev("upp").returncode == 2


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ({"nodes": [{"healthy": True}, {"healthy": False}, {"healthy": True}]}, 2),
        ({"nodes": []}, 0),
        ({"title": "no node"}, 0),
        (None, 0),
    ],
)
def test_only_healthy_nodes_count(answer: object, count: int) -> None:
    assert nodes_listed(answer) == count


def test_arguments_go_to_pytest_and_static_checks_run_first() -> None:
    planned = steps(["-k", "push"])
    assert [step.name for step in planned][-1] == "pytest"
    assert len(planned) == 5
    assert planned[-1].argv[-2:] == ("-k", "push")
    (alone,) = steps(["--only-pytest", "-x"])
    assert alone.argv[-1] == "-x"


def test_the_summary_has_a_line_for_each_step() -> None:
    text = summary([Outcome(Step("ruff check", ()), 0, 0.5), Outcome(Step("pytest", ()), 1, 61.25)])
    assert [line.split() for line in text.splitlines() if line] == [
        ["ruff", "check", "ok", "0.5", "s"],
        ["pytest", "FAILED", "61.2", "s"],
        ["total", "61.8", "s"],
    ]


def test_shifted_clusters_share_nothing() -> None:
    usual, shifted = Ports.with_offset(0), Ports.with_offset(300)
    assert state_dir(usual) != state_dir(shifted)
    assert "COMPOSE_PROJECT_NAME" not in compose_environment(usual)
    assert compose_environment(shifted)["COMPOSE_PROJECT_NAME"].endswith("-300")
    assert compose_environment(shifted)["GATEWAY_PORT"] == "8300"


def test_the_line_to_try_is_valid_shell() -> None:
    text = how_to_use(Ports.with_offset(0), logs=".dev/logs/", detached=True)
    (line,) = (line.strip() for line in text.splitlines() if "curl" in line)
    shown = subprocess.run(
        ["bash", "-c", line.replace("curl", "printf '%s\\n'", 1)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert shown.stdout.splitlines()[-1] == '{"targetUserList": ["alice"], "content": "hello"}'
