"""One measured cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A cost by its name in the costs file, in the unit that stands there, and how it was got."""

    name: str
    value: float
    how: str
