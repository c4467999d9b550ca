"""The endpoint env: every property with the source that gave it, the strongest source first.

Source: Spring Boot 3.5, "Actuator REST API: Environment".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nacos_boot.actuator.endpoint import Answer, Call, CallError, Endpoint, Operation
from nacos_boot.actuator.shown import show
from nacos_boot.documents.keys import without_index
from nacos_boot.logs.masking import MASK, is_secret_name
from nacos_boot.settings.configuration import Configuration
from nacos_boot.settings.environment import environment_names, from_environment, from_json_variable
from nacos_boot.settings.relaxed import canonical
from nacos_boot.settings.sources import PropertySource, flat, leaves, put
from nacos_boot.start.bootstrap import Bootstrap

_ENVIRONMENT = "systemEnvironment"
_ARGUMENTS = "commandLineArgs"
_JSON = "spring.application.json"
_REPEAT = re.compile(r"[*+?{]")
_MAX_REPEATS = 2
_REPEATED_GROUP = re.compile(r"\)[*+?{]")


@dataclass(frozen=True, slots=True)
class _Source:
    """A named source with what is shown of it: by key, a value and its origin."""

    name: str
    properties: Mapping[str, Mapping[str, Any]]


class Environment:
    """All property sources of a program at one moment."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        configuration: Configuration[Any],
    ) -> None:
        self._bootstrap = bootstrap
        self._merged = configuration.bound.merged
        # They tell which environment variables are settings.
        self._models: list[type[BaseModel]] = [
            type(configuration.bound.settings),
            type(configuration.framework.settings),
        ]
        self._values = flat(self._merged.tree)
        in_nacos = {source.name for source in configuration.documents.values()}
        documents = reversed(configuration.bound.sources)
        above = ((bootstrap.arguments, _ARGUMENTS), (from_json_variable(bootstrap.environ), _JSON))
        self.sources = [
            *(self._document(source, name) for source, name in above if source and source.tree),
            self._environment(),
            *(
                self._document(source, f"Nacos: {source.name}" if source.name in in_nacos else "")
                for source in documents
            ),
        ]

    def spelled(self, key: str) -> str:
        """Give a key in the spelling of the settings: `shop.maxItems` is `shop.max-items`."""
        tree: dict[str, Any] = {}
        put(tree, [key], None)
        for model in self._models:
            tree = canonical(tree, model)
        return next((".".join(path) for path, _ in leaves(tree)), key)

    def _document(self, source: PropertySource, name: str) -> _Source:
        name = name or source.name
        properties = {}
        for key, written in flat(source.tree).items():
            leaf = without_index(key)
            in_force = self._merged.origins.get(leaf) == source.name
            # Of a value in force the placeholders are resolved; of another one they stand there.
            value = self._values.get(key, written) if in_force else written
            line = source.lines.get(key) or source.lines.get(leaf)
            origin = f"{name}:{line}" if line else name
            shown = show(key, value, written)
            properties[key] = {"value": shown, "origin": origin}
        return _Source(name, properties)

    def _environment(self) -> _Source:
        """Every variable by name; of their values only those that are settings, and no secrets."""
        environ = self._bootstrap.environ
        properties = {
            name: {"value": MASK, "origin": f'System Environment Property "{name}"'}
            for name in sorted(environ)
        }
        for model in self._models:
            pinned = from_environment(environ, model, self._merged.tree)
            for key, value in flat(pinned.tree).items():
                for name in environment_names(key.replace("[", ".").replace("]", "").split(".")):
                    if name in environ and not is_secret_name(name):
                        shown = show(key, value)
                        properties[name] = {**properties[name], "value": shown}
        return _Source(_ENVIRONMENT, properties)


def env_endpoint(bootstrap: Bootstrap, in_force: Callable[[], Configuration[Any]]) -> Endpoint:
    """`/actuator/env`, also with `?pattern=`, and `/actuator/env/{toMatch}`."""
    profiles = {"activeProfiles": list(bootstrap.profiles), "defaultProfiles": ["default"]}

    def everything(call: Call) -> Answer:
        matches = _pattern(call.query.get("pattern", ()))
        sources = [
            {
                "name": source.name,
                "properties": {key: one for key, one in source.properties.items() if matches(key)},
            }
            for source in Environment(bootstrap, in_force()).sources
        ]
        return Answer({**profiles, "propertySources": sources})

    def one(call: Call) -> Answer:
        environment = Environment(bootstrap, in_force())
        key = environment.spelled(call.rest)
        asked = {call.rest, key, *environment_names(key.split("."))}
        holders: list[dict[str, Any]] = []
        found: dict[str, Any] | None = None
        for source in environment.sources:
            names = asked if source.name == _ENVIRONMENT else {call.rest, key}
            entry = next(
                (source.properties[name] for name in names if name in source.properties), None
            )
            holders.append({"name": source.name} | ({"property": entry} if entry else {}))
            if entry and found is None:
                found = {"source": source.name, "value": entry["value"]}
        if found is None:
            return Answer({**profiles, "propertySources": holders}, 404)
        return Answer({"property": found, **profiles, "propertySources": holders})

    return Endpoint("env", [Operation("GET", everything), Operation("GET", one, below="toMatch")])


def _pattern(asked: Sequence[str]) -> Callable[[str], object]:
    if not asked:
        return lambda _: True
    [pattern, *_] = asked
    if len(_REPEAT.findall(pattern)) > _MAX_REPEATS:
        # More of them can take Python's engine minutes, in which the program would do nothing else.
        raise CallError(f"expected a pattern with at most {_MAX_REPEATS} of the signs * + ? {{")
    if _REPEATED_GROUP.search(pattern):
        # `(.+)+x` alone takes years.
        raise CallError("expected a pattern that repeats no group: none of * + ? { after a )")
    try:
        return re.compile(pattern, re.IGNORECASE).search
    except re.error as error:
        raise CallError(f"expected a regular expression as the pattern: {error}") from error
