"""The most telling faults in their short form; `./dev faults` has all, in full."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.faults.faults import FAULTS, QUICK, QUICK_WITH_HISTORY
from tests.e2e.faults.report import line
from tests.e2e.faults.row import Stage, run_row
from tests.e2e.faults.rules import broken
from tests.e2e.faults.stage import keep_history, set_stage


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A cluster with clients, under load while a fault happens."""
    async with set_stage(tmp_path_factory.mktemp("faults") / "state", quick=True) as stage:
        yield stage


ROWS = [(name, False) for name in QUICK] + [(name, True) for name in QUICK_WITH_HISTORY]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "history"), ROWS)
async def test_what_is_promised_holds_under_a_fault(stage: Stage, name: str, history: bool) -> None:
    fault = FAULTS[name]
    if stage.crowd.history != history:
        await keep_history(stage, keep=history)
    figures = await run_row(stage, fault, history=history, quick=True)
    found = broken(fault, figures)
    assert not found, f"{line(figures, found)}\n{stage.fleet.logs()}"
