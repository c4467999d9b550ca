from pathlib import Path

import pytest

from nacos_boot.tools.find_model import ModelError, find_model
from service.settings import NodeSettings
from tests.nacos_boot.shop import ShopSettings


def test_a_class_is_named_with_its_module() -> None:
    found = find_model("tests.nacos_boot.shop:ShopSettings")
    assert found.model is ShopSettings
    assert found.folder == Path(__file__).parents[1]


def test_a_package_names_its_class_in_its_settings_module() -> None:
    assert find_model("service").model is NodeSettings


def test_modules_of_the_working_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "stall"
    package.mkdir()
    (package / "settings.py").write_text(
        "from nacos_boot.settings.section import OpenSection\n\n\n"
        "class StallSettings(OpenSection):\n    open: bool = True\n\n\nSETTINGS = StallSettings\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/elsewhere"])
    found = find_model("stall")
    assert found.model.__name__ == "StallSettings"
    assert found.folder == package


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "no module nowhere.settings: expected a package whose settings.py names its"),
        ("nowhere.at:All", "no module nowhere.at: expected package.module:ClassName"),
        ("tests.nacos_boot.shop:Nobody", "tests.nacos_boot.shop has no class 'Nobody'"),
        ("tests.nacos_boot.shop:NOT_A_CLASS", "is 'text': expected a class of settings"),
        ("nacos_boot", "nacos_boot.settings does not say which class holds the settings"),
        ("", "expected a package"),
        (":Name", "expected package.module:ClassName"),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words.replace(".", r"\.")):
        find_model(name)


def test_a_module_that_fails_is_told_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "lacking.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="broken cannot be imported: ZeroDivisionError"):
        find_model("broken:Settings")
    with pytest.raises(ModelError, match="lacking cannot be imported: No module named 'no_such"):
        find_model("lacking:Settings")
