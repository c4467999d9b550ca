"""The endpoint configprops: the settings as the program has them, and what each was made of.

Source: Spring Boot 3.5, "Actuator REST API: Configuration Properties".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from nacos_boot.actuator.endpoint import Answer, Call, Endpoint, Operation
from nacos_boot.actuator.shown import show
from nacos_boot.documents.keys import without_index
from nacos_boot.settings.bind import Bound
from nacos_boot.settings.configuration import Configuration
from nacos_boot.settings.relaxed import key_of
from nacos_boot.settings.sources import flat

_SPRINGS_OWN = "spring"


def configprops_endpoint(application: str, in_force: Callable[[], Configuration[Any]]) -> Endpoint:
    """`/actuator/configprops` and `/actuator/configprops/{prefix}`."""

    def everything(_: Call) -> Answer:
        return answer("")

    def below(call: Call) -> Answer:
        return answer(call.rest)

    def answer(prefix: str) -> Answer:
        configuration = in_force()
        in_nacos = {source.name for source in configuration.documents.values()}
        beans: dict[str, Any] = {}
        seen: set[str] = set()
        for bound in (configuration.bound, configuration.framework):
            writer = _Writer(bound, in_nacos)
            for key, section in _beans(bound.settings):
                if key in seen or not key.startswith(prefix):
                    continue
                seen.add(key)
                kind = type(section)
                properties, inputs = writer.write(section, key)
                beans[f"{key}-{kind.__module__}.{kind.__qualname__}"] = {
                    "prefix": key,
                    "properties": properties,
                    "inputs": inputs,
                }
        body = {"contexts": {application: {"beans": beans}}}
        return Answer(body, 200 if beans or not prefix else 404)

    return Endpoint(
        "configprops",
        [Operation("GET", everything), Operation("GET", below, below="prefix")],
    )


def _beans(section: BaseModel, key: str = "") -> Iterator[tuple[str, BaseModel]]:
    """Yield the sections at the top; below `spring`, those that hold values themselves."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if not isinstance(value, BaseModel):
            continue
        path = f"{key}.{key_of(name, field)}" if key else key_of(name, field)
        inner = [getattr(value, below) for below in type(value).model_fields]
        only_sections = all(isinstance(item, BaseModel) for item in inner)
        if path.split(".", 1)[0] == _SPRINGS_OWN and only_sections:
            yield from _beans(value, path)
        else:
            yield path, value


class _Writer:
    """Writes sections twice: their values, and the input that each value was made of."""

    def __init__(self, bound: Bound[Any], in_nacos: set[str]) -> None:
        self._merged = bound.merged
        self._in_nacos = in_nacos
        self._written = {
            key: value
            for source in bound.sources
            for key, value in flat(source.tree).items()
            if bound.merged.origins.get(without_index(key)) == source.name
        }

    def write(self, value: Any, key: str) -> tuple[Any, Any]:
        if isinstance(value, BaseModel):
            # Spring shows the names of Java's properties.
            pairs = {
                _camel_case(name): self.write(getattr(value, name), f"{key}.{key_of(name, field)}")
                for name, field in type(value).model_fields.items()
            }
        elif isinstance(value, Mapping):
            pairs = {str(name): self.write(item, f"{key}.{name}") for name, item in value.items()}
        elif isinstance(value, list | tuple | set | frozenset):
            items = [self.write(item, f"{key}[{index}]") for index, item in enumerate(value)]
            return [shown for shown, _ in items], [source for _, source in items]
        else:
            shown = show(key, value, self._written.get(key))
            return shown, self._input(key, shown)
        return (
            {name: shown for name, (shown, _) in pairs.items()},
            {name: source for name, (_, source) in pairs.items()},
        )

    def _input(self, key: str, shown: Any) -> dict[str, Any]:
        source = self._merged.origins.get(without_index(key))
        if source is None:
            return {}
        name = f"Nacos: {source}" if source in self._in_nacos else source
        line = self._merged.line_of(key)
        return {"value": shown, "origin": f"{name}:{line}" if line else name}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
