"""Runs the Nacos server on loopback and creates its first user."""

import os
import shutil
from pathlib import Path

from devtools.nacos.build import CACHE, jars
from devtools.ports import LOOPBACK, Ports
from devtools.probes import Answer, accepts, http
from devtools.processes import Child
from devtools.records import RANK_SERVER
from devtools.waiting import Progress, every, silent

START_LIMIT = 180.0
# The first stop writes the class archive, which takes some seconds.
STOP_LIMIT = 60.0

USER = "nacos"
PASSWORD = "nacos"  # noqa: S105  # of a server on loopback, fixed and documented

# For a server on loopback that holds nothing secret; Nacos refuses to start without them.
_IDENTITY = "local-dev"
_TOKEN_KEY = "bG9jYWwtZGV2ZWxvcG1lbnQtb25seS10b2tlbi1rZXktMzItYnl0ZXM="  # noqa: S105  # as above


class NacosServer(Child):
    """`start()` and `stop()` may be repeated; configs stay in the state folder."""

    def __init__(self, state_dir: Path, ports: Ports, cache: Path = CACHE) -> None:
        super().__init__("nacos", state_dir, rank=RANK_SERVER, stop_limit=STOP_LIMIT)
        self._ports = ports
        self._cache = cache
        self.home = state_dir / "data" / "nacos"

    @property
    def address(self) -> str:
        """host:port of the API, as NACOS_SERVER_ADDR takes it."""
        return f"{LOOPBACK}:{self._ports.nacos}"

    @property
    def url(self) -> str:
        """Base of the HTTP API, up to /nacos."""
        return f"http://{self.address}/nacos"

    @property
    def console_url(self) -> str:
        """The console's first page."""
        return f"http://{LOOPBACK}:{self._ports.nacos_console}/"

    def start(self, progress: Progress = silent) -> None:
        """Build when needed, start, create the user when new, wait until login and gRPC work.

        Raises StartError.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        built = jars(progress, self.log.parent, self._cache)
        self._write_settings()
        archive = built.class_archive
        training = archive.with_name(f"{archive.name}.{os.getpid()}")
        if archive.exists():
            sharing, leaves = f"-XX:SharedArchiveFile={archive}", None
        else:
            sharing, leaves = f"-XX:ArchiveClassesAtExit={training}", (training, archive)
        argv = [
            str(built.java),
            "-Xmx512m",
            "-XX:+UseSerialGC",
            # The quick compiler alone: a short-lived server never earns back the slow one.
            "-XX:TieredStopAtLevel=1",
            sharing,
            "-Xshare:auto",
            "-Dnacos.standalone=true",
            f"-Dnacos.home={self.home}",
            f"-Duser.home={self.home}",
            # Tomcat and RocksDB leave folders and libraries there when they are killed.
            f"-Djava.io.tmpdir={self._empty_folder('tmp')}",
            f"-Dnacos.remote.grpc.listen.ip={LOOPBACK}",
            # Nacos looks here and on the class path only, not in its home folder.
            f"-Dspring.config.additional-location=file:{self.home}/conf/",
            "-cp",
            built.class_path,
            built.main_class,
        ]
        self.spawn(argv, env=os.environ, cwd=self.home, leaves=leaves)
        still = every(10, lambda waited: progress(f"  Nacos is starting, {waited:.0f} s"))
        took = self.wait_ready(self.ready, START_LIMIT, each=still)
        progress(f"Nacos is ready on {self.address}, console {self.console_url} ({took:.1f} s)")

    def ready(self) -> bool:
        """Whether one can log in, clients can connect by gRPC, and the console answers.

        Creates the user on a new server: until then every login fails.
        """
        login = self.login()
        if login.status == 0:
            return False
        if not login.ok:
            # Answered only once in a server's life; later ones change nothing.
            http(f"{self.url}/v3/auth/user/admin", {"password": PASSWORD})
            return False
        return accepts(self._ports.nacos_grpc) and http(self.console_url).ok

    def login(self) -> Answer:
        """Log in; the answer's JSON holds `accessToken`."""
        form = {"username": USER, "password": PASSWORD}
        return http(f"{self.url}/v3/auth/user/login", form)

    def _empty_folder(self, name: str) -> Path:
        folder = self.home / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _write_settings(self) -> None:
        settings = {
            "nacos.deployment.type": "merged",
            "server.address": LOOPBACK,
            "nacos.server.main.port": str(self._ports.nacos),
            "nacos.console.port": str(self._ports.nacos_console),
            "spring.sql.init.platform": "derby",
            "nacos.core.auth.system.type": "nacos",
            "nacos.core.auth.enabled": "true",
            "nacos.core.auth.admin.enabled": "true",
            "nacos.core.auth.console.enabled": "true",
            # With it on, users are read anew every 15 s only, and the first time 5 s after
            # the start: a new server would refuse its own user for so long.
            "nacos.core.auth.caching.enabled": "false",
            "nacos.core.auth.server.identity.key": _IDENTITY,
            "nacos.core.auth.server.identity.value": _IDENTITY,
            "nacos.core.auth.plugin.nacos.token.secret.key": _TOKEN_KEY,
        }
        conf = self.home / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        lines = (f"{key}={value}\n" for key, value in settings.items())
        (conf / "application.properties").write_text("".join(lines))
