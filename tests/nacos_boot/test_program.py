"""A program as the shell sees it: exit code, the last sentence, signals."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.waiting import eventually

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, sys
from nacos_boot.program import run_program
from nacos_boot.start.startup import StartError

async def main(stop):
{main}

sys.exit(run_program(main))
"""


class Program:
    def __init__(self, process: asyncio.subprocess.Process, path: Path) -> None:
        self.process = process
        self._path = path

    def output(self) -> str:
        return self._path.read_text()

    async def says(self, text: str) -> None:
        await eventually(lambda: text in self.output(), limit=20)

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)


Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    programs: list[Program] = []

    async def run(main: str, **environ: str) -> Program:
        source = PROGRAM.format(main="".join(f"    {line}\n" for line in main.splitlines()))
        path = tmp_path / "output"
        with path.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                source,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, **environ},
            )
        programs.append(Program(process, path))
        return programs[-1]

    yield run
    for program in programs:
        if program.process.returncode is None:
            program.process.kill()
            await program.process.wait()


async def test_a_start_error_is_one_sentence_and_the_code_1(start: Start) -> None:
    program = await start('raise StartError("Nacos is away: password=hunter2 is set")')
    assert await program.ended() == 1
    assert program.output() == "cannot start: Nacos is away: password=****** is set\n"


async def test_a_program_that_ends_by_itself_has_the_code_0(start: Start) -> None:
    program = await start("print(type(asyncio.get_running_loop()).__module__)")
    assert await program.ended() == 0
    assert program.output() == "uvloop\n"


async def test_a_bug_is_told_with_its_place(start: Start) -> None:
    program = await start('raise RuntimeError("a bug")')
    assert await program.ended() == 1
    assert "Traceback" in program.output()
    assert "a bug" in program.output()


async def test_no_secret_in_what_a_bug_leaves(start: Start) -> None:
    program = await start('raise RuntimeError("refused: password=hunter2")')
    assert await program.ended() == 1
    assert "RuntimeError: refused: password=******" in program.output()
    assert "hunter2" not in program.output()


@pytest.mark.parametrize("error", ["StartError", "RuntimeError"])
async def test_the_last_words_are_json_where_the_log_is(start: Start, error: str) -> None:
    program = await start(
        f'raise {error}("password=hunter2")', LOGGING_STRUCTURED_FORMAT_CONSOLE="ecs"
    )
    assert await program.ended() == 1
    [line] = program.output().splitlines()
    assert json.loads(line)["log"]["level"] == "FATAL"
    assert "password=******" in line


DRAINING = """\
print("serving", flush=True)
await stop.wait()
print("draining", stop.requested, flush=True)
try:
    await asyncio.sleep({seconds})
finally:
    print("drained", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_program_end_in_its_own_order(
    start: Start, number: signal.Signals
) -> None:
    program = await start(DRAINING.format(seconds=0.01))
    await program.says("serving")
    program.signal(number)
    assert await program.ended() == 0
    assert f"{number.name}: shutting down" in program.output()
    assert "draining True\ndrained\n" in program.output()


async def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    program = await start(DRAINING.format(seconds=3600))
    await program.says("serving")
    program.signal(signal.SIGTERM)
    await program.says("draining")
    program.signal(signal.SIGINT)
    assert await program.ended() == 128 + signal.SIGINT
    assert "SIGINT again: ending at once" in program.output()
    assert "drained" not in program.output()


async def test_a_signal_during_the_start_ends_it_and_cleans_up(start: Start) -> None:
    program = await start(
        'print("starting", flush=True)\n'
        "try:\n"
        "    await asyncio.sleep(3600)\n"
        "finally:\n"
        '    print("cleaned up", flush=True)'
    )
    await program.says("starting")
    program.signal(signal.SIGTERM)
    assert await program.ended() == 128 + signal.SIGTERM
    assert "cleaned up" in program.output()
    assert "Traceback" not in program.output()


async def test_what_a_start_has_made_is_not_looked_at_again(start: Start) -> None:
    program = await start(
        "import gc\n"
        "from nacos_boot.program import settle\n"
        "gc.disable()\n"
        "kept = [[] for _ in range(5000)]\n"
        "settle()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 5000, gc.collect(), flush=True)"
    )
    assert await program.ended() == 0
    assert program.output().startswith("True True ")
