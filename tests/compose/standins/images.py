"""Images under the official names, made of Debian's packages: no registry is asked.

They keep to what docker-compose.yml uses of the official ones: ports, environment, folders, and
the commands of the healthchecks.
"""

import ast
import re
import shutil
import sys
import time
from pathlib import Path

from devtools.nacos.build import jars
from devtools.waiting import Progress
from tests.compose.engine import Engine, run

HERE = Path(__file__).parent
SUITE = "bookworm"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
# The stage of the Dockerfile here that stands in for each official image.
STAGES = {
    "python:3.11-slim-bookworm": "python",
    "redis:7": "redis",
    "rabbitmq:3.13": "rabbitmq",
    "nacos/nacos-server:v3.1.0": "nacos",
}


def build_standins(engine: Engine, folder: Path, progress: Progress) -> None:
    """Build every stand-in; `folder` is for files that are needed only now."""
    began = time.monotonic()
    progress("making a Debian base image")
    import_base(engine, folder / "base")
    context = folder / "context"
    shutil.copytree(HERE, context, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(jars(progress, log_dir(folder)).folder, context / "nacos")
    for tag, stage in STAGES.items():
        progress(f"building a stand-in for {tag}")
        engine.build(tag, context, f"--target={stage}")
    progress(f"the stand-ins are built ({time.monotonic() - began:.0f} s)")


def import_base(engine: Engine, root: Path) -> None:
    """Import a minimal Debian that reaches the package registries as this machine does."""
    options = ("--variant=minbase", "--include=ca-certificates")
    run("debootstrap", *options, SUITE, str(root), debian_mirror())
    (root / CERTIFICATES).write_bytes((Path("/") / CERTIFICATES).read_bytes())
    acquire = re.findall(r"^Acquire::(?:http|Check).*$", run("apt-config", "dump"), re.MULTILINE)
    (root / "etc/apt/apt.conf.d/99host").write_text("\n".join([*acquire, ""]))
    (root / "etc/pip.conf").write_text(pip_settings())
    # As in Debian's own images: installing a server does not start it.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    archive = root.with_suffix(".tar")
    run("tar", "-C", str(root), "-cf", str(archive), ".")
    shutil.rmtree(root)
    engine.docker("import", str(archive), "standin-base")
    archive.unlink()


def debian_mirror() -> str:
    """Give the address that this machine's apt has for the suite."""
    output = run("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)")
    for line in output.splitlines():
        release, _, address = line.partition(" ")
        if release == SUITE:
            return address
    raise AssertionError(f"this machine's apt knows no repository of Debian {SUITE}")


def pip_settings() -> str:
    """Give what this machine's pip is told about its index, as a pip.conf."""
    wanted = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout"}
    lines = ["[global]", f"cert = /{CERTIFICATES}"]
    for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, quoted = line.partition("=")
        name = key.rpartition(".")[2]
        if name in wanted:
            lines.append(f"{name} = {ast.literal_eval(quoted)}")
    return "\n".join([*lines, ""])


def log_dir(folder: Path) -> Path:
    """Give a folder for the logs of the build of the Nacos jars."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return logs
