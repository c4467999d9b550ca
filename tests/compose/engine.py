"""A Docker engine of the test's own, beside whatever else the machine runs.

It changes nothing on the host: no iptables rules, no forwarding, no bridge but those of its
networks, which go with them. Ports are published by its user-land proxy.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from devtools.guard import Guard
from devtools.processes import Child
from devtools.waiting import Progress

# Debian's package of each command.
PACKAGES = {
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
}
START_LIMIT = 60.0
# It stops its containers first, each in its own time.
STOP_LIMIT = 90.0


class Engine:
    """Runs from `with` to its end; all it keeps is in `folder`, whose path must be short."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self._progress = progress
        self._daemon = Child("dockerd", folder, stop_limit=STOP_LIMIT)
        self.environment = os.environ | {
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            # Not the user's: it may name registries, proxies and plugins.
            "DOCKER_CONFIG": str(folder / "config"),
            "DOCKER_BUILDKIT": "0",
        }

    def __enter__(self) -> Self:
        install_missing(self._progress)
        self._guard = Guard(self.folder)
        argv = [
            "dockerd",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--bridge=none",
            "--log-level=warn",
            f"--host={self.environment['DOCKER_HOST']}",
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/pid",
        ]
        try:
            self._daemon.spawn(argv, env=self.environment, cwd=self.folder)
            took = self._daemon.wait_ready(self._answers, START_LIMIT)
        except BaseException:
            self._guard.release()
            raise
        self._progress(f"the Docker engine is ready ({took:.1f} s)")
        return self

    def __exit__(self, *_error: object) -> None:
        self._daemon.stop()
        self._guard.release()
        unmount_below(self.folder)

    def docker(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run the client, and give what it prints; its errors are in what it raises."""
        return run("docker", *arguments, env=self.environment, stdin=stdin)

    def build(self, tag: str, context: Path, *options: str) -> None:
        """Build an image, with the host's network inside: the engine has no other."""
        self.docker("build", "--network=host", f"--tag={tag}", *options, str(context))

    def _answers(self) -> bool:
        try:
            self.docker("version")
        except CommandError:
            return False
        return True


class CommandError(Exception):
    """A command ended with another code than 0; the text shows the end of its output."""


def run(
    *argv: str,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    limit: float = 600,
) -> str:
    """Run a command, and give its standard output. Raises CommandError."""
    done = subprocess.run(
        argv, env=env, cwd=cwd, input=stdin, capture_output=True, check=False, timeout=limit
    )
    if done.returncode != 0:
        output = (done.stdout + done.stderr).decode(errors="replace")[-4000:]
        raise CommandError(f"{' '.join(argv)} ended with {done.returncode}:\n{output}")
    return done.stdout.decode()


def install_missing(progress: Progress) -> None:
    """Install the Debian packages that are missing, without starting what they contain."""
    missing = [package for command, package in PACKAGES.items() if shutil.which(command) is None]
    if not missing:
        return
    progress(f"installing {', '.join(missing)}")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-o", "DPkg::Lock::Timeout=120")
    try:
        run(*apt, "update", env=env)
        run(*apt, "install", "-y", "--no-install-recommends", *missing, env=env)
    finally:
        if ours:
            policy.unlink()


def unmount_below(folder: Path) -> None:
    """Unmount what a killed engine left, so that the folder can be removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed(mounts):
        if place.startswith(f"{folder}/"):
            run("umount", "--lazy", place)
