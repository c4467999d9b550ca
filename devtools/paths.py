"""Where the tooling keeps things in a checkout."""

from pathlib import Path

from devtools.ports import Ports

ROOT = Path(__file__).resolve().parent.parent
DEV = ROOT / ".dev"
USUAL = Ports.with_offset(0)


def state_dir(ports: Ports, dev: Path = DEV) -> Path:
    """Give the state folder of the cluster on `ports`.

    Clusters on shifted ports live beside the usual one, each with its own data and logs.
    """
    offset = ports.gateway - USUAL.gateway
    return dev if offset == 0 else dev / f"offset-{offset}"


def state_dirs(dev: Path = DEV) -> list[Path]:
    """Give the state folders of every cluster that was ever started from this checkout."""
    return [dev, *sorted(dev.glob("offset-*"))]
