"""A real RabbitMQ on loopback as the current user, with an epmd of its own."""

import os
import shutil
import subprocess
from pathlib import Path

from devtools.ports import LOOPBACK, Ports
from devtools.probes import accepts, answers
from devtools.processes import Child
from devtools.records import RANK_HELPER, RANK_SERVER
from devtools.waiting import Progress, StartError, silent

START_LIMIT = 60.0
USER = "guest"
PASSWORD = "guest"  # noqa: S105  # RabbitMQ's own default, valid on loopback only

# The program behind Debian's /usr/sbin wrapper, which insists on root or the user rabbitmq
# and changes to the latter.
SERVER_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL_SCRIPT = SERVER_SCRIPT.with_name("rabbitmqctl")

_NODE = "rabbit@localhost"
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
# AMQP 0-9-1, 2.3.5: a method frame (1) on channel 0 is Connection.Start here.
_METHOD_FRAME = b"\x01\x00\x00"


class RabbitServer(Child):
    """`start()` and `stop()` may be repeated; durable queues stay in the state folder.

    `name` tells several under one state folder apart.
    """

    def __init__(self, state_dir: Path, ports: Ports, name: str = "rabbitmq") -> None:
        super().__init__(name, state_dir, rank=RANK_SERVER, stop_limit=30)
        self.port = ports.rabbitmq
        self._ports = ports
        self._epmd = Child(
            f"epmd-of-{name}" if name != "rabbitmq" else "epmd",
            state_dir,
            rank=RANK_HELPER,
            stop_limit=5,
        )
        self._home = state_dir / "data" / name

    def start(self, progress: Progress = silent) -> None:
        """Start epmd and the broker, wait for an AMQP handshake. Raises StartError."""
        if not SERVER_SCRIPT.exists():
            raise StartError(f"{SERVER_SCRIPT} is not there (Debian package rabbitmq-server)")
        self._write_settings()
        env = self._environment()
        self._start_epmd(env)
        self.spawn([str(SERVER_SCRIPT)], env=env, cwd=self._home)
        took = self.wait_ready(self.ready, START_LIMIT)
        progress(f"RabbitMQ is ready on {LOOPBACK}:{self.port} ({took:.1f} s)")

    def stop(self) -> None:
        """Stop the broker, then epmd."""
        super().stop()
        self._epmd.stop()

    def ready(self) -> bool:
        """Whether it answers an AMQP protocol header."""
        return answers(self.port, _AMQP_HEADER, _METHOD_FRAME)

    def control(self, *command: str) -> str:
        """Run `rabbitmqctl` on the running broker and give what it says. Raises StartError."""
        argv = [str(CONTROL_SCRIPT), "-q", "-n", _NODE, *command]
        done = subprocess.run(
            argv,
            env=self._environment(),
            cwd=self._home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StartError(f"rabbitmqctl {command[0]} failed: {done.stderr or done.stdout}")
        return done.stdout

    def _start_epmd(self, env: dict[str, str]) -> None:
        # Started by the broker it would become a daemon nobody knows how to stop.
        if self._epmd.alive:
            return
        program = shutil.which("epmd")
        if program is None:
            raise StartError("epmd is not installed (Debian package erlang-base)")
        argv = [program, "-address", LOOPBACK, "-port", str(self._ports.epmd)]
        self._epmd.spawn(argv, env=env, cwd=self._home)
        self._epmd.wait_ready(lambda: accepts(self._ports.epmd), 10, interval=0.02)

    def _write_settings(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {LOOPBACK}:{self.port}\n"
            # The log goes to standard output, hence into the child's log file.
            "log.console = true\n"
            "log.console.level = info\n"
            "log.file = false\n"
        )
        (self._home / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        """Give the environment of broker and epmd.

        Source: RabbitMQ's "File and Directory Locations" and "Networking" guides.
        """
        home = self._home
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            # The Erlang cookie is written here.
            "HOME": str(home),
            # Makes the script replace itself by the Erlang VM, so that the recorded pid is
            # the broker's; otherwise a shell waits in between.
            "detached": "true",
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_DIST_PORT": str(self._ports.rabbitmq_distribution),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "rabbitmq.pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._ports.epmd),
        }
