"""`./dev down`: stop what this checkout started."""

import os

from devtools.compose import find_compose
from devtools.paths import DEV, state_dir, state_dirs
from devtools.ports import OFFSET_VARIABLE, Ports
from devtools.records import stop_all
from devtools.report import say


def down() -> int:
    """Stop the cluster of DEV_PORT_OFFSET, or every one of this checkout when that is unset.

    Returns the exit code; nothing running is no error. Raises PortError.
    """
    ports = Ports.from_environment()
    folders = [state_dir(ports)] if OFFSET_VARIABLE in os.environ else state_dirs(DEV)
    stopped = [name for folder in folders for name in stop_all(folder, say)]
    compose = find_compose(ports)
    if compose is not None and compose.running():
        compose.down()
        stopped.append("compose")
    say("stopped" if stopped else "nothing was running")
    return 0
