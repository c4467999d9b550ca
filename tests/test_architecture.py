"""What the import contracts cannot say."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

from devtools.paths import ROOT

UVICORNS_NAME = "handle_websocket_upgrade"


def test_nacos_boot_could_be_lifted_out_for_any_quart_service() -> None:
    for module in (ROOT / "nacos_boot").rglob("*.py"):
        text = module.read_text(encoding="utf-8").replace(UVICORNS_NAME, "")
        assert not re.search("websocket", text, re.IGNORECASE), module.name


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("nacos_boot", "service", "gateway_lb", "devtools")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long


def test_an_example_needs_nothing_but_quart_and_nacos_boot() -> None:
    for module in (ROOT / "examples").rglob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        names = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert names - sys.stdlib_module_names <= {"quart", "nacos_boot"}, module.name


def test_the_installed_commands_lead_somewhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for entry in project["scripts"].values():
        module, _, function = entry.partition(":")
        assert callable(getattr(import_module(module), function))


def test_nothing_that_is_generated_is_kept_in_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    kept = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not kept
