"""`python -m gateway_lb [--key=value …]`: run a gateway."""
# ruff: noqa: E402 - see below

import gc

# It would find nothing while modules are loaded, and a fifth of a start went to its looking;
# `settle` has it work again.
gc.disable()

import sys
from pathlib import Path

from gateway_lb.main import run_gateway
from nacos_boot.program import Stop, run_program
from nacos_boot.start.bootstrap import load_bootstrap


async def main(stop: Stop) -> None:
    """Read the bootstrap settings beside this file, and run."""
    path = Path(__file__).with_name("bootstrap.yml")
    await run_gateway(load_bootstrap(path, arguments=sys.argv[1:]), stop)


if __name__ == "__main__":
    sys.exit(run_program(main))
