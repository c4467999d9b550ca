"""Gets the server's jars with Maven and compiles the launcher, once per content of both."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from devtools.paths import DEV
from devtools.processes import Child
from devtools.waiting import Progress, StartError, every

HERE = Path(__file__).resolve().parent
CACHE = DEV / "nacos-server"

MAVEN_LIMIT = 1200.0
_PROGRESS_EVERY = 10.0
_SOURCES = (HERE / "pom.xml", HERE / "Launcher.java")


@dataclass(frozen=True)
class Jars:
    """A built server: `java` runs `main_class` with `class_path`."""

    folder: Path
    java: Path

    main_class = "Launcher"

    @property
    def class_path(self) -> str:
        """The launcher, hessian 4, then everything else.

        hessian 3 and 4 both arrive: the server needs 4 first to start at all, and 3 for
        what 4 lacks, or every push to clients dies silently.
        """
        lib = self.folder / "lib"
        return f"{self.folder}/launcher.jar:{lib}/hessian-4.0.63.jar:{lib}/*"

    @property
    def class_archive(self) -> Path:
        """Where the JVM keeps parsed classes (JEP 350); one per Java build, as it must match."""
        release = self.java.parent.parent / "release"
        text = release.read_bytes() if release.exists() else str(self.java).encode()
        return self.folder / f"classes-{hashlib.sha256(text).hexdigest()[:12]}.jsa"


def jars(progress: Progress, log_dir: Path, cache: Path = CACHE) -> Jars:
    """Give the server's jars, built when `cache` has none for the present sources.

    Raises StartError when Java, Maven or the download fails.
    """
    java_home = find_jdk()
    built = Jars(cache / _sources_hash(), java_home / "bin" / "java")
    if built.folder.is_dir():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Two runs at once, say tests and ./dev up, build once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.folder.is_dir():
            _build(built.folder, java_home, progress, log_dir)
    return built


def find_jdk() -> Path:
    """Find the home of a JDK 17: Debian's, JAVA_HOME, or the one on PATH. Raises StartError."""
    candidates = sorted(Path("/usr/lib/jvm").glob("java-17-openjdk*"))
    if os.environ.get("JAVA_HOME"):
        candidates.append(Path(os.environ["JAVA_HOME"]))
    on_path = shutil.which("javac")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent.parent)
    for home in candidates:
        if (home / "bin" / "javac").exists() and (home / "bin" / "java").exists():
            return home
    raise StartError("no JDK 17 found (Debian package openjdk-17-jdk-headless)")


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _build(folder: Path, java_home: Path, progress: Progress, log_dir: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError("mvn is not installed (Debian package maven)")
    began = time.monotonic()
    progress("getting the Nacos server from Maven Central (about 190 MB, once)")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    lib = unfinished / "lib"
    lib.mkdir(parents=True)

    copying = Child("maven", log_dir.parent)

    def still(waited: float) -> None:
        files = copying.output().count("Downloaded from")
        progress(f"  still getting it: {waited:.0f} s, {files} files downloaded")

    copying.spawn(
        [
            maven, "-B", "--strict-checksums", "-Dstyle.color=never",
            "-f", str(HERE / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={lib}", "-DincludeScope=runtime",
        ],
        env=os.environ | {"JAVA_HOME": str(java_home)},
        cwd=unfinished,
    )  # fmt: skip
    copying.wait_end(MAVEN_LIMIT, each=every(_PROGRESS_EVERY, still))
    _compile(unfinished, java_home, log_dir)
    unfinished.replace(folder)
    progress(f"the Nacos server is built ({time.monotonic() - began:.0f} s)")


def _compile(folder: Path, java_home: Path, log_dir: Path) -> None:
    # javac and jar come with the JDK; Maven would download three more plugins for this.
    classes = folder / "classes"
    compiler = [str(java_home / "bin" / "javac"), "-cp", f"{folder}/lib/*", "-d", str(classes)]
    packer = [str(java_home / "bin" / "jar"), "cf", str(folder / "launcher.jar")]
    for argv in (
        [*compiler, str(HERE / "Launcher.java")],
        [*packer, "-C", str(classes), "."],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        (log_dir / "javac.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StartError(f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
