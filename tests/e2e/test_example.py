"""examples/greeter, as its README section has it run: published, edited, refused, ended."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from devtools.paths import ROOT
from devtools.ports import LOOPBACK, free_port
from devtools.processes import Child
from devtools.servers import Servers
from tests.cluster import Program
from tests.nacos_admin import NacosAdmin
from tests.waiting import eventually

EXAMPLE = ROOT / "examples" / "greeter"


def publish(servers: Servers, *paths: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nacos_boot", "publish", *map(str, paths)],
        env={**os.environ, **servers.env()},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
async def greeter(servers: Servers, tmp_path: Path) -> AsyncIterator[Program]:
    publish(servers, EXAMPLE)
    child = Child("greeter", servers.state_dir)
    port = free_port()
    child.spawn(
        [sys.executable, str(EXAMPLE / "greeter.py"), f"--server.port={port}"],
        env={
            **os.environ,
            **servers.env(),
            "PYTHONPATH": str(ROOT),
            "SERVER_ADDRESS": LOOPBACK,
            "SPRING_CLOUD_NACOS_DISCOVERY_IP": LOOPBACK,
            "SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR": str(tmp_path / "snapshots"),
            "DRAIN_NOTICE": "100ms",
        },
        cwd=tmp_path,
    )
    async with aiohttp.ClientSession() as session:
        program = Program(child, port, session)
        try:
            await eventually(program.ready, limit=30)
            yield program
        finally:
            await asyncio.to_thread(child.stop)


async def says(program: Program) -> str:
    async with aiohttp.ClientSession() as session, session.get(program.url) as answer:
        return await answer.text()


async def test_the_greeter_is_edited_while_it_runs(greeter: Program, nacos: NacosAdmin) -> None:
    # What lies beside the document in the folder stays where it is.
    assert nacos.document("bootstrap.yml") is None
    published = nacos.document("greeter.yml")
    assert published is not None
    assert (published["type"], "greeter:" in published["content"]) == ("yaml", True)
    assert await says(greeter) == "Hello from Nacos"

    (instance,) = await eventually(lambda: nacos.instances("greeter"))
    assert (instance["ip"], instance["port"]) == (LOOPBACK, greeter.port)
    _, info = await greeter.get("/actuator/info")
    assert info["app"]["name"] == "greeter"

    nacos.publish("greeter.yml", "greeter:\n  text: Good evening\n")

    async def new() -> bool:
        return await says(greeter) == "Good evening"

    await eventually(new)

    nacos.publish("greeter.yml", "greeter:\n  txet: Good night\n")

    async def refusal() -> str:
        _, health = await greeter.get("/actuator/health")
        return str(health["components"]["nacosConfig"]["details"].get("error", ""))

    error = await eventually(refusal)
    for part in ("greeter.yml", "line 2", "greeter.txet", "'Good night'", "not known"):
        assert part in error
    assert await says(greeter) == "Good evening"

    await asyncio.to_thread(greeter.child.stop)
    assert greeter.child.exit_code == 0, greeter.child.output()
    # Nacos makes its list anew a moment after it has answered.
    await eventually(lambda: not nacos.instances("greeter"), limit=5)
    assert "Traceback" not in greeter.child.output()


async def test_other_kinds_of_documents_are_published_as_what_they_are(
    servers: Servers, nacos: NacosAdmin, tmp_path: Path
) -> None:
    (tmp_path / "kind.properties").write_text("a.b=1\n")
    (tmp_path / "kind.json").write_text('{"a": {"b": 1}}\n')
    told = publish(servers, tmp_path)
    assert "kind.json published" in told
    for data_id, kind in (("kind.properties", "properties"), ("kind.json", "json")):
        document = nacos.document(data_id)
        assert document is not None
        assert (document["type"], document["content"]) == (kind, (tmp_path / data_id).read_text())
    assert "kind.json is in Nacos already" in publish(servers, tmp_path / "kind.json")
