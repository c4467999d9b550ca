"""What a benchmark is."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.lab import Lab
from bench.row import Row


@dataclass(frozen=True)
class Outcome:
    """The rows for the table, and what else the JSON report holds."""

    rows: Sequence[Row]
    details: dict[str, Any] = field(default_factory=dict)


class Bench(ABC):
    """One benchmark, in a module of its own; `quick` says whether `--quick` has it."""

    name: ClassVar[str]
    meaning: ClassVar[str]
    quick: ClassVar[bool] = True

    def add_options(self, options: argparse._ArgumentGroup) -> None:  # noqa: B027 - most have none
        """Declare options of its own."""

    @abstractmethod
    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:
        """Measure. Raises StartError, PortError where something cannot be started."""
