import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devtools.processes import Child
from devtools.records import RANK_HELPER, RANK_SERVER, Record, read_records, start_ticks, stop_all
from devtools.waiting import StartError, wait_for

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_all(tmp_path)


def spawn(child: Child, code: str) -> Child:
    child.spawn([sys.executable, "-c", code], env=os.environ, cwd=child.state_dir)
    return child


def sleeper(state: Path, name: str = "sleeper", *, rank: int = 0) -> Child:
    return spawn(Child(name, state, rank=rank), "import time; time.sleep(60)")


def test_another_shell_finds_and_stops_what_was_started_here(state: Path) -> None:
    child = sleeper(state)
    stopping = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys, pathlib; from devtools.records import stop_all;"
                " print(stop_all(pathlib.Path(sys.argv[1])))"
            ),
            str(state),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sleeper" in stopping.stdout
    assert child.exit_code == -signal.SIGTERM
    assert not child.recorded


def test_a_pid_that_belongs_to_another_process_now_is_left_alone(state: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        ticks = start_ticks(stranger.pid)
        assert ticks is not None
        stale = Record("node-1", stranger.pid, ticks - 1, rank=0, stop_limit=1)
        stale.write(state)
        assert stop_all(state) == []
        assert not stale.path(state).exists()
        assert stranger.poll() is None
        replace(stale, ticks=ticks).write(state)
        assert [record.pid for record in read_records(state)] == [stranger.pid]
        stale.path(state).unlink()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_broken_pid_file_is_no_obstacle(state: Path) -> None:
    child = sleeper(state)
    (state / "run" / "broken.json").write_text('{"name": "bro')
    assert stop_all(state) == ["sleeper"]
    assert not child.alive
    assert list((state / "run").iterdir()) == []


def test_programs_stop_before_servers_and_those_before_helpers(state: Path) -> None:
    sleeper(state, "epmd", rank=RANK_HELPER)
    sleeper(state, "a-server", rank=RANK_SERVER)
    sleeper(state, "node-1")
    lines: list[str] = []
    stop_all(state, lines.append)
    assert lines == ["stopping node-1", "stopping a-server", "stopping epmd"]


def test_one_that_ignores_the_request_is_killed_with_its_group(state: Path) -> None:
    stubborn = spawn(
        Child("stubborn", state, stop_limit=0.2),
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(inner.pid, flush=True)\n"
        "time.sleep(60)",
    )
    stubborn.wait_ready(lambda: stubborn.output() != "", 10)
    inner = int(stubborn.output())
    stubborn.stop()
    assert stubborn.exit_code == -signal.SIGKILL
    assert wait_for(lambda: start_ticks(inner) is None, 5)


def test_a_paused_one_can_be_resumed_and_stopped(state: Path) -> None:
    child = sleeper(state)
    child.pause()
    assert child.alive
    child.resume()
    child.pause()
    child.stop()
    assert child.exit_code == -signal.SIGTERM


def test_a_start_that_fails_shows_the_end_of_the_log(state: Path) -> None:
    child = spawn(Child("broken", state), "print('no port given'); raise SystemExit(3)")
    with pytest.raises(StartError, match=r"broken ended with code 3(.|\n)*no port given"):
        child.wait_ready(lambda: False, 10)


def test_a_start_that_takes_too_long_says_so(state: Path) -> None:
    with pytest.raises(StartError, match=r"sleeper was not ready after 0 s"):
        sleeper(state).wait_ready(lambda: False, 0.2)


def test_a_file_left_at_a_clean_exit_is_kept_and_one_left_otherwise_is_not(state: Path) -> None:
    made, kept = state / "made", state / "kept"
    code = (
        "import pathlib, signal, sys, time\n"
        "def leave(*_): pathlib.Path('made').write_text('x'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('on', flush=True)\n"
        "time.sleep(60)"
    )
    for end, expected in ((Child.kill, False), (Child.stop, True)):
        child = Child("leaving", state)
        child.spawn([sys.executable, "-c", code], env=os.environ, cwd=state, leaves=(made, kept))
        child.wait_ready(lambda child=child: child.output() != "", 10)  # type: ignore[misc]  # a lambda with a default has no inferred type
        end(child)
        assert kept.exists() is expected
        assert not made.exists()


def test_the_guard_stops_everything_when_its_parent_is_killed(state: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import os, sys, pathlib, time\n"
                "from devtools.guard import Guard\n"
                "from devtools.processes import Child\n"
                "state = pathlib.Path(sys.argv[1])\n"
                "guard = Guard(state)\n"
                "child = Child('guarded', state)\n"
                "child.spawn(['sleep', '60'], env=os.environ, cwd=state)\n"
                "print(child.pid, flush=True)\n"
                "time.sleep(60)"
            ),
            str(state),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert start_ticks(pid) is not None
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: start_ticks(pid) is None, 10)
