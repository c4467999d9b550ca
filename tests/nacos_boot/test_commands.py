"""`nacos_boot check` and `schema`, as they are called."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devtools.paths import ROOT
from nacos_boot.__main__ import main
from nacos_boot.http.api_keys import KeyHolder, KeyRing, hash_of
from nacos_boot.tools.find_model import find_model
from tests.nacos_boot.tools.test_check import BOOTSTRAP

SHOP = "tests.nacos_boot.shop:ShopSettings"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bootstrap.yml").write_text(BOOTSTRAP)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return run(capsys, "check", SHOP, "--bootstrap", "bootstrap.yml", *arguments)


def test_a_fault_is_one_line_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "shop.yml").write_text("shop:\n  mode: ajar\n")
    code, out, _ = check(capsys, "sub/shop.yml")
    assert code == 1
    first, last = out.splitlines()
    assert first.startswith("sub/shop.yml:2: shop.mode = 'ajar': ")
    assert last == "1 checked: 1 error"


def test_warnings_count_only_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.yml").write_text("shop:\n  mode: open\nshpo: 1\n")
    code, out, _ = check(capsys, "shop.yml")
    assert code == 0
    assert out.splitlines()[0].startswith("shop.yml:3: warning: shpo: not read")
    assert check(capsys, "--strict", "shop.yml")[0] == 1


def test_nothing_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.yml").write_text("shop: {mode: open}\n")
    assert check(capsys, "shop.yml") == (0, "1 checked: nothing to complain of\n", "")


def test_standard_input_is_the_programs_own_document(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"shop:\n  mode: ajar\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    code, out, _ = check(capsys, "-")
    assert code == 1
    assert out.startswith("<stdin>:2: shop.mode = 'ajar'")


def test_profiles_and_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "shop-prod.yml").write_text("shop: {mode: '${SHOP_OPEN}'}\n")
    monkeypatch.setenv("SHOP_OPEN", "ajar")
    code, out, _ = check(capsys, "--profile", "prod", "shop-prod.yml")
    assert code == 0
    assert "${SHOP_OPEN} has no value here" in out
    code, out, _ = check(capsys, "--profile", "prod", "--environment", "shop-prod.yml")
    assert code == 1
    assert "shop.mode = 'ajar'" in out


def test_for_a_program_it_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.yml").write_text("shop:\n  mode: ajar\n")
    code, out, _ = check(capsys, "--json", "shop.yml")
    body = json.loads(out)
    assert code == 1
    assert body["ok"] is False
    (finding,) = body["findings"]
    assert finding["message"]
    assert {**finding, "message": ""} == {
        "level": "error",
        "file": "shop.yml",
        "dataId": "shop.yml",
        "line": 2,
        "key": "shop.mode",
        "value": "'ajar'",
        "message": "",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "shop.yml"], "no module nowhere.settings"),
        ([SHOP, "absent.yml"], "absent.yml"),
        ([SHOP, "latin.yml"], "decode"),
        ([SHOP, "shop.yml", "./shop.yml"], "the same data id, shop.yml"),
        ([SHOP, "--bootstrap", "absent.yml", "shop.yml"], "absent.yml does not exist"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (folder / "shop.yml").write_text("shop: {mode: open}\n")
    (folder / "latin.yml").write_bytes(b"shop: \xff")
    code, out, err = run(capsys, "check", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("cannot check: ")
    assert len(err.splitlines()) == 1
    assert words in err


def test_the_documents_of_this_repository_pass(capsys: pytest.CaptureFixture[str]) -> None:
    config = ROOT / "nacos-config"
    for program, own in (("service", "websocket-service"), ("gateway_lb", "websocket-gateway")):
        files = [str(config / "common.yml"), str(config / f"{own}.yml")]
        code, out, _ = run(capsys, "check", program, "--strict", *files)
        assert code == 0, out


def test_the_schema_is_printed_in_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema", "service")
    assert code == 0
    assert yaml.safe_load(out)["websocket"]["push"]["mode"] == "fanout"
    _, out, _ = run(capsys, "schema", "service", "--format", "json")
    assert json.loads(out)["$schema"].endswith("2020-12/schema")
    _, out, _ = run(capsys, "schema", "service", "--format", "markdown")
    assert out.startswith("| key | default |")
    code, out, err = run(capsys, "schema", "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("cannot print the settings: there is no module")


def test_a_new_api_key_is_shown_once_and_its_entry_fits_the_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "api-key", "--name", "shop", "--scopes", "push, read")
    assert code == 0
    key = err.splitlines()[-1]
    [entry] = yaml.safe_load(out)
    assert entry == {"name": "shop", "hash": hash_of(key), "scopes": ["push", "read"]}
    assert key not in out
    settings = find_model("service").model.model_validate({"websocket": {"api": {"keys": [entry]}}})
    holder = KeyRing.of(settings.websocket.api.keys).holder(key.encode())  # type: ignore[attr-defined]
    assert holder == KeyHolder("shop", frozenset({"push", "read"}))
    code, out, err = run(capsys, "api-key", "--name", "two words")
    assert (code, out) == (2, "")
    assert "'two words'" in err


@pytest.mark.parametrize("program", ["service", "gateway_lb"])
def test_the_printed_document_passes_the_check(program: str) -> None:
    """In processes of their own, as in a shell: schema | check -."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nacos_boot"]
    printed = subprocess.run(
        [*command, "schema", program], cwd=ROOT, env=env, capture_output=True, check=True
    )
    checked = subprocess.run(
        [*command, "check", program, "--strict", "-"],
        cwd=ROOT,
        env=env,
        input=printed.stdout,
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, b""), checked.stdout
