"""What can be told about the container files without an engine; a part of every test run."""

import base64
import importlib.util
import re
import shutil
import subprocess
import tomllib
from datetime import timedelta
from typing import Any

import pytest
import yaml

from devtools.compose import compose_environment
from devtools.paths import ROOT
from devtools.ports import LOOPBACK, Ports
from gateway_lb.settings import GatewaySettings
from service.settings import NodeSettings
from tests.compose.stack import PROGRAMS
from tests.compose.standins.images import STAGES

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = FILE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ONE_SHOT = "config"

# Tried with 1.29.2 and 2.26.1; a new key is tried with both before it is added here.
TOP_KEYS = {"services", "volumes", "x-program", "x-ready"}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck",
    "hostname", "image", "init", "ports", "read_only", "security_opt", "stop_grace_period",
    "tmpfs", "volumes",
}  # fmt: skip


@pytest.mark.parametrize("command", [("docker-compose",), ("docker", "compose")])
def test_a_compose_command_reads_the_file(command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None or not works(*command, "version"):
        pytest.skip(f"no {' '.join(command)} here; the other tests read the file themselves")
    assert works(*command, "config", "-q")


def works(*argv: str) -> bool:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def test_only_keys_that_both_generations_of_compose_read() -> None:
    assert set(FILE) <= TOP_KEYS
    for service in SERVICES.values():
        assert set(service) <= SERVICE_KEYS


def test_the_services_and_their_images() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    ours = dict.fromkeys(PROGRAMS, "websocket-cluster")
    assert images == {
        **ours,
        "nacos": "nacos/nacos-server:v3.1.0",
        "redis": "redis:7",
        "rabbitmq": "rabbitmq:3.13",
    }
    assert {name for name, service in SERVICES.items() if "build" in service} == PROGRAMS
    official = set(images.values()) - set(ours.values()) | set(base_images())
    assert official == set(STAGES), "each official image has one stand-in"


def base_images() -> list[str]:
    return re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)


def test_everything_is_published_on_loopback_only_and_on_the_ports_of_the_design() -> None:
    published = {
        int(inner): outer
        for service in SERVICES.values()
        for address, outer, inner in map(split_port, service.get("ports", []))
        if address == LOOPBACK
    }
    assert sum(len(service.get("ports", [])) for service in SERVICES.values()) == len(published)
    usual = Ports.with_offset(0)
    first, last = map(int, published.pop(8081).split("-"))
    assert first == usual.nodes[0]
    assert last - first + 1 >= 5, "--scale node=5 needs five"
    assert published == {
        8000: str(usual.gateway),
        8080: str(usual.nacos_console),
        8848: str(usual.nacos),
        9848: str(usual.nacos_grpc),
        6379: str(usual.redis),
        5672: str(usual.rabbitmq),
    }
    assert not set(range(first, last + 1)) & set(map(int, published.values()))


def split_port(text: str) -> list[str]:
    plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    return plain.split(":")


def test_each_port_is_a_variable_with_a_default_and_dev_sets_them_all() -> None:
    variables = re.findall(r"\$\{(\w+)(:-[^}]+)?\}", TEXT)
    assert TEXT.count("$") == len(variables)
    assert all(default for _, default in variables)
    shifted = compose_environment(Ports.with_offset(100))
    assert {name for name, _ in variables} == set(shifted) - {"COMPOSE_PROJECT_NAME"}
    usual = compose_environment(Ports.with_offset(0))
    assert {name: default.removeprefix(":-") for name, default in variables} == usual


def test_services_wait_for_what_they_need() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other == ONE_SHOT else "service_healthy"
            assert how == {"condition": expected}, (name, other)
    assert set(SERVICES[ONE_SHOT]["depends_on"]) == {"nacos"}
    for name in PROGRAMS - {ONE_SHOT}:
        assert set(SERVICES[name]["depends_on"]) == {ONE_SHOT, "redis", "rabbitmq"}


def test_every_service_that_stays_has_a_healthcheck() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) == (name != ONE_SHOT)
    for name, port in (("node", "8081"), ("gateway", "8000")):
        *python, code, argument = SERVICES[name]["healthcheck"]["test"]
        assert (python, argument) == (["CMD", "python", "-c"], port)
        compile(code, name, "exec")


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in FILE["volumes"] or (ROOT / source).exists()
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert used == set(FILE["volumes"])


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_our_programs_are_locked_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    environment = service["environment"]
    assert environment["SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR"] in service["tmpfs"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - a mount
    # Or all nodes would be registered under one address.
    assert not [key for key in environment if "DISCOVERY" in key]
    python, dash_m, module, *_ = service["command"]
    assert (python, dash_m) == ("python", "-m")
    assert importlib.util.find_spec(f"{module}.__main__")


def test_the_engine_waits_for_the_drain() -> None:
    node, gateway = NodeSettings().websocket.drain, GatewaySettings().gateway.drain
    longest = max(drain.notice + drain.window for drain in (node, gateway))
    for name in PROGRAMS:
        grace = timedelta(seconds=int(SERVICES[name]["stop_grace_period"].removesuffix("s")))
        assert grace >= longest + timedelta(seconds=15)


def test_the_servers_get_what_they_need_and_the_programs_the_accounts() -> None:
    environment = SERVICES["nacos"]["environment"]
    assert environment["MODE"] == "standalone"
    assert environment["NACOS_AUTH_ENABLE"] == "true"
    assert environment["NACOS_AUTH_IDENTITY_KEY"]
    assert environment["NACOS_AUTH_IDENTITY_VALUE"]
    assert len(base64.b64decode(environment["NACOS_AUTH_TOKEN"], validate=True)) >= 32
    ours = SERVICES[ONE_SHOT]["environment"]
    server = SERVICES["rabbitmq"]["environment"]
    assert ours["RABBITMQ_USERNAME"] == server["RABBITMQ_DEFAULT_USER"]
    assert ours["RABBITMQ_PASSWORD"] == server["RABBITMQ_DEFAULT_PASS"]
    assert ours["NACOS_USERNAME"] == "nacos", "the first user of a Nacos server"


def test_no_published_document_holds_a_password() -> None:
    for path in (ROOT / "nacos-config").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        accounts = re.findall(r"^ *(?:username|password): *(.*)$", text, re.MULTILINE)
        assert all(re.fullmatch(r"\$\{\w+:\}", value) for value in accounts), path.name


def test_the_image_holds_the_packages_as_another_user_than_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    assert users == ["10001:10001"]
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    rules = [line for line in text.splitlines() if not line.startswith("#")]
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert rules[0] == "*", "what is not named stays outside"
    assert allowed == {*packages, "nacos-config", "requirements.lock"}
    assert all((ROOT / name).exists() for name in allowed)
