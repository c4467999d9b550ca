"""Write every setting of a program as a commented YAML document that holds the defaults."""

import textwrap
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from nacos_boot.settings.written import yaml_value
from nacos_boot.tools.setting_list import ITEM, REQUIRED, Described, settings_of

_WIDTH = 100


def yaml_of_settings(model: type[BaseModel]) -> str:
    """Give a document with each setting at its default, under a comment that explains it.

    Read back, it sets exactly the defaults. Where a document cannot say the default (nothing at
    all, or a value that must be given), the key is commented out.
    """
    return "".join(f"{line}".rstrip() + "\n" for line in _lines(settings_of(model)))


def _lines(settings: Iterable[Described]) -> Iterator[str]:
    opened: tuple[str, ...] = ()
    for one in settings:
        if ITEM in one.path:
            yield from _item_lines(one)
            continue
        *parents, name = one.path
        common = 0
        while common < min(len(parents), len(opened)) and parents[common] == opened[common]:
            common += 1
        for depth in range(common, len(parents)):
            yield f"{'  ' * depth}{parents[depth]}:"
        opened = tuple(parents)
        indent = "  " * len(parents)
        yield from _comment(one, indent)
        if one.default is REQUIRED or one.default is None:
            yield f"{indent}# {name}:"
        else:
            yield f"{indent}{name}: {yaml_value(one.default)}"


def _item_lines(one: Described) -> Iterator[str]:
    """Show one key of a list's items as a comment below the list."""
    at = one.path.index(ITEM)
    name = ".".join(one.path[at + 1 :])
    value = "" if one.default is REQUIRED or one.default is None else yaml_value(one.default)
    indent = "  " * (at - 1)
    note = "; ".join(part for part in (_facts(one), one.meaning) if part)
    yield f"{indent}#   {name}: {value}  # {note}"


def _comment(one: Described, indent: str) -> Iterator[str]:
    text = f"{one.meaning} [{_facts(one)}]" if one.meaning else f"[{_facts(one)}]"
    for line in textwrap.wrap(
        text, _WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False
    ):
        yield f"{indent}# {line}"


def _facts(one: Described) -> str:
    """Give unit, limits, and what a change does, in a few words."""
    must = "required" if one.default is REQUIRED else ""
    return "; ".join(part for part in (must, one.unit, one.allowed, str(one.effect)) if part)
