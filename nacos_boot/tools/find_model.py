"""Find a program's settings by name: `shop.settings:ShopSettings`, or just `shop`."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

CONVENTION = "SETTINGS"
"""The name by which a package's `settings` module says which class holds its settings."""


class ModelError(ValueError):
    """There is no such model; the message says what was looked for, and where."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """The class, and the folder of the program, where its `bootstrap.yml` may lie."""

    model: type[BaseModel]
    folder: Path | None


def find_model(name: str) -> FoundModel:
    """Find the class named by `package.module:ClassName`, or by a package.

    Of a package, `settings.py` is read, which must have a line such as `SETTINGS = ShopSettings`.
    Modules of the working folder are found, too. Raises ModelError.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        module_name, attribute = f"{name}.settings", CONVENTION
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ModelError(_not_found(name, module_name))
    _find_in_working_folder()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise ModelError(f"{module_name} cannot be imported: {error}") from error
        raise ModelError(_not_found(name, module_name)) from error
    except Exception as error:
        # Whatever the module does when it is imported.
        raise ModelError(f"{module_name} cannot be imported: {error!r}") from error
    found = getattr(module, attribute, None)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise ModelError(_no_class(module_name, attribute, found))
    file = getattr(module, "__file__", None)
    return FoundModel(found, Path(file).parent if file else None)


def _find_in_working_folder() -> None:
    # `python -m` does so by itself; the installed command begins with its own folder.
    working = str(Path.cwd())
    if working not in sys.path:
        sys.path.insert(0, working)


def _not_found(name: str, module: str) -> str:
    if ":" in name:
        return (
            f"there is no module {module}: expected package.module:ClassName, such as"
            " shop.settings:ShopSettings"
        )
    return (
        f"there is no module {module}: expected a package whose settings.py names its class in"
        f" {CONVENTION}, or package.module:ClassName"
    )


def _no_class(module: str, attribute: str, found: object) -> str:
    if found is not None:
        return f"{module}.{attribute} is {found!r}: expected a class of settings, a pydantic model"
    if attribute == CONVENTION:
        return (
            f"{module} does not say which class holds the settings: expected a line such as"
            f" '{CONVENTION} = ShopSettings' in it; or name the class, {module}:ShopSettings"
        )
    return f"{module} has no class '{attribute}'"
