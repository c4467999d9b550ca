"""Write every setting of a program as a Markdown table."""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from nacos_boot.settings.written import yaml_value
from nacos_boot.tools.setting_list import REQUIRED, Described, settings_of

_HEAD = ("| key | default | meaning | a change |", "| --- | --- | --- | --- |")


def table_of_settings(*models: type[BaseModel], without: Iterable[str] = ()) -> str:
    """Give one table of the settings of models; keys that start with one of `without` are left."""
    left = tuple(without)
    rows = [
        _row(one) for model in models for one in settings_of(model) if not one.key.startswith(left)
    ]
    return "".join(f"{line}\n" for line in (*_HEAD, *rows))


def _row(one: Described) -> str:
    return f"| `{one.key}` | {_default(one)} | {_meaning(one)} | {_effect(one)} |"


def _default(one: Described) -> str:
    if one.default is REQUIRED:
        return "required"
    text = "" if one.default in (None, "") else yaml_value(one.default)
    if isinstance(one.default, list | tuple) and all(isinstance(each, str) for each in one.default):
        # As it may be written, too, and reads best.
        text = ", ".join(one.default)
    if text in {"''", "[]", "{}", ""}:
        return ""
    return f"`{_cell(text)}` {one.unit}".rstrip()


def _meaning(one: Described) -> str:
    allowed = one.allowed[:1].upper() + one.allowed[1:]
    return _cell(" ".join(_sentences((one.meaning, allowed))))


def _effect(one: Described) -> str:
    if not one.effect.live:
        return str(one.effect)
    return _cell(f"is {one.effect}")


def _sentences(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if part:
            yield part if part.endswith(".") else f"{part}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
