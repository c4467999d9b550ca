"""Write a program's settings as a JSON Schema (draft 2020-12) that an editor of YAML can use.

It knows the usual spelling, kebab-case keys in nested sections; relaxed binding accepts more.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from nacos_boot.settings.written import as_written
from nacos_boot.tools.setting_list import REQUIRED, Described, settings_of

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DURATION = (
    r"^(\d+(\.\d+)?\s*(ns|us|ms|s|m|h|d)?"
    r"|P(?=[\dT])(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)$"
)
_PLACEHOLDER = {"type": "string", "pattern": r"\$\{.*\}"}
_CONSTRAINED = ("enum", "const", "pattern", "minLength")


def schema_of_settings(model: type[BaseModel]) -> dict[str, Any]:
    """Give the schema. `x-live`, `x-when` and `x-unit` tell what `setting()` was told.

    Wherever a value may be a placeholder (`${PORT:8080}`), the schema takes one.
    """
    raw = model.model_json_schema(schema_generator=_Generator)
    body = _Inlining(raw.pop("$defs", {}), settings_of(model)).node(raw, "")
    return {"$schema": _DIALECT, **body}


class _Generator(GenerateJsonSchema):
    """pydantic's own, with durations and numbers for texts as YAML documents have them."""

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's signature
        return {"type": ["string", "integer"], "pattern": _DURATION}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        result = super().str_schema(schema)
        if self._config.coerce_numbers_to_str:
            result["type"] = ["string", "number"]
        return result

    def encode_default(self, dft: Any) -> Any:
        return as_written(dft)


class _Inlining:
    """Puts each definition where it is used, with what is known of the setting at that place."""

    def __init__(self, definitions: Mapping[str, Any], settings: list[Described]) -> None:
        self._definitions = definitions
        self._settings = {one.key: one for one in settings}
        self._open: list[str] = []

    def node(self, schema: Mapping[str, Any], key: str) -> dict[str, Any]:
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if name in self._open:
            # A section within itself would never end.
            return {"type": "object"}
        if name:
            beside = {part: value for part, value in schema.items() if part != "$ref"}
            self._open.append(name)
            try:
                return self.node({**self._definitions[name], **beside}, key)
            finally:
                self._open.pop()
        result = dict(schema)
        if "properties" in schema:
            result["properties"] = {
                child: self.node(value, f"{key}.{child}".removeprefix("."))
                for child, value in schema["properties"].items()
            }
            # A section may be left empty, its defaults stand with its settings, and what must be
            # given may be given by another document.
            result["type"] = ["object", "null"]
            result.pop("default", None)
            if "[]" not in key:
                result.pop("required", None)
        for part, below in (("items", "[]"), ("additionalProperties", ".*")):
            if isinstance(schema.get(part), Mapping):
                result[part] = self.node(schema[part], f"{key}{below}")
        for part in ("anyOf", "oneOf", "allOf"):
            if part in schema:
                result[part] = [self.node(each, "") for each in schema[part]]
        if schema.get("format") == "password":
            result["type"] = ["string", "number"]
        return self._explained(_or_placeholder(result), key)

    def _explained(self, schema: dict[str, Any], key: str) -> dict[str, Any]:
        schema.pop("title", None)
        if one := self._settings.get(key):
            facts = "; ".join(part for part in (one.unit, str(one.effect)) if part)
            schema["description"] = f"{one.meaning} [{facts}]".strip()
            if one.default is not REQUIRED:
                schema["default"] = as_written(one.default)
        return {"title": key, **schema} if key else schema


def _or_placeholder(schema: dict[str, Any]) -> dict[str, Any]:
    """Accept `${…}` for a value that is not any text anyway; sections are never placeholders."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    free_text = "string" in kinds and not any(part in schema for part in _CONSTRAINED)
    if free_text or "object" in kinds or not (kinds or "enum" in schema or "const" in schema):
        return schema
    about = {
        part: schema.pop(part)
        for part in list(schema)
        if part in {"description", "default", "title"} or part.startswith("x-")
    }
    return {**about, "anyOf": [schema, dict(_PLACEHOLDER)]}
