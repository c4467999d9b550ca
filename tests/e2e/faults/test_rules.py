"""A row that breaks a promise names it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from devtools.paths import ROOT
from tests.e2e.faults.fault import Fault, nothing
from tests.e2e.faults.faults import FAULTS, QUICK, QUICK_WITH_HISTORY
from tests.e2e.faults.fleet import NODES
from tests.e2e.faults.ledger import Tally
from tests.e2e.faults.report import block, write_page
from tests.e2e.faults.row import Figures
from tests.e2e.faults.rules import broken
from tests.e2e.faults.watch import Seen

FAULT = Fault("f", "a fault", nothing, unready=NODES, refuse="look-ups")


def figures() -> Figures:
    return Figures(
        "node-killed",
        False,
        10,
        Tally(accepted=5, due=9, delivered=9),
        again=0.5,
        seen=Seen(set(NODES), set(NODES), 0.1, 10),
    )


def lose(row: Figures) -> None:
    row.tally.lost, row.tally.lost_by_mode = 2, {"routed": 2}


def repeat(row: Figures) -> None:
    row.tally.repeated = 1


def forget(row: Figures) -> None:
    row.tally.forgotten = 1


def disconnect(row: Figures) -> None:
    row.seen.connected = 9


def stay_away(row: Figures) -> None:
    row.back = False


def stop_for_good(row: Figures) -> None:
    row.again = None


def take_long(row: Figures) -> None:
    row.slowest_answer = 16


def seem_ready(row: Figures) -> None:
    row.seen.unready.remove("node-2")


def answer_badly(row: Figures) -> None:
    row.badly_refused = Counter({500: 3})


def look_up(row: Figures) -> None:
    row.seen.refusing.clear()


def deliver_nothing(row: Figures) -> None:
    row.tally.delivered = 0


def test_a_row_as_promised_breaks_nothing() -> None:
    assert not broken(FAULT, figures())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lose, "2 lost (routed: 2"),
        (repeat, "1 came more than once"),
        (forget, "1 forgotten though Redis kept its data"),
        (disconnect, "only 9 of 10 stayed connected"),
        (stay_away, "not all were back"),
        (stop_for_good, "pushes flowed again never"),
        (take_long, "an answer took 16.0 s"),
        (seem_ready, "always ready: node-2"),
        (answer_badly, "3 with 500"),
        (look_up, "a look-up of a user was not answered 503"),
        (deliver_nothing, "nothing was delivered"),
    ],
)
def test_each_promise_is_checked(spoil: Callable[[Figures], None], told: str) -> None:
    row = figures()
    spoil(row)
    [found] = broken(FAULT, row)
    assert told in found


def test_what_a_fault_does_not_promise_is_not_asked() -> None:
    row = figures()
    row.seen = Seen(connected=3)
    assert not broken(replace(FAULT, stay=False, unready=(), refuse=None), row)


def test_a_fault_that_could_not_be_done_is_told() -> None:
    row = figures()
    row.broken = ["node-1 says nothing"]
    assert broken(FAULT, row) == ["node-1 says nothing"]


def test_the_short_form_is_made_of_faults() -> None:
    assert {*QUICK, *QUICK_WITH_HISTORY} <= set(FAULTS)


def test_the_page_has_a_place_for_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {
        "date": "2026-01-01T00:00:00",
        "cores": 2,
        "cpu": "a CPU",
        "python": "3.11",
        "nacosSdk": "3.2",
        "version": "1",
    }
    row = figures()
    lose(row)
    text = block([(figures(), []), (row, ["2 lost"])], facts, "10 clients")
    assert "1 of 2 rows hold what is promised." in text
    assert "- `kill -9` of a node: 2 lost." in text
    written = []
    page = ROOT / "docs" / "reliability.md"
    monkeypatch.setattr(type(page), "write_text", lambda _, content, **__: written.append(content))
    write_page(text)
    assert text in written[0]
