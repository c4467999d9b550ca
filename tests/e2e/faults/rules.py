"""What must hold in a row. Pure."""

from tests.e2e.faults.fault import Fault
from tests.e2e.faults.row import Figures

ANSWER_LIMIT = 15.0
"""Seconds in which every call of the API is answered, whatever hangs."""


def broken(fault: Fault, figures: Figures) -> list[str]:
    """Name the promises that a row has broken; none, if all is well."""
    sums, seen = figures.tally, figures.seen
    found = list(figures.broken)
    if not sums.accepted or not sums.delivered:
        found.append("nothing was delivered")
    if sums.lost:
        found.append(f"{sums.lost} lost ({_counted(sums.lost_by_mode)}; {sums.samples})")
    if sums.repeated:
        found.append(f"{sums.repeated} came more than once")
    if sums.forgotten and fault.keeps:
        found.append(f"{sums.forgotten} forgotten though Redis kept its data")
    if fault.stay and seen.connected < figures.clients:
        found.append(f"only {seen.connected} of {figures.clients} stayed connected")
    if fault.stay and (sums.in_flight or sums.away):
        found.append(f"{sums.in_flight} in flight and {sums.away} away with nobody disconnected")
    if not figures.back:
        found.append("not all were back, or pushes not accepted again, within 60 s")
    if figures.again is None or figures.again > fault.again_limit:
        took = "never" if figures.again is None else f"after {figures.again:.1f} s"
        found.append(f"pushes flowed again {took}, not within {fault.again_limit:g} s")
    if figures.slowest_answer > ANSWER_LIMIT:
        found.append(f"an answer took {figures.slowest_answer:.1f} s")
    return found + _when_dead(fault, figures)


def _when_dead(fault: Fault, figures: Figures) -> list[str]:
    found = []
    if not set(fault.unready) <= figures.seen.unready:
        ready = sorted(set(fault.unready) - figures.seen.unready)
        found.append(f"always ready: {', '.join(ready)}")
    if figures.badly_refused:
        told = ", ".join(f"{count} with {code}" for code, count in figures.badly_refused.items())
        found.append(f"pushes refused otherwise than by 503 with Retry-After: {told}")
    if fault.refuse == "pushes" and not figures.refused_pushes:
        found.append("no push was refused")
    if fault.refuse == "look-ups" and not set(fault.affected) <= figures.seen.refusing:
        found.append("a look-up of a user was not answered 503 with Retry-After")
    return found


def _counted(by_mode: dict[str, int]) -> str:
    return ", ".join(f"{mode}: {count}" for mode, count in sorted(by_mode.items()))
