"""A validator for the keywords of JSON Schema that `nacos_boot schema` uses; others fail a test."""

import re
from typing import Any

_ABOUT = {"$schema", "title", "description", "default", "format", "writeOnly"}
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": type(None),
}


def faults(schema: Any, value: Any, where: str = "") -> list[str]:
    """Give what is wrong with a value, each fault with its place; draft 2020-12."""
    if isinstance(schema, bool):
        return [] if schema else [f"{where}: not allowed"]
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword in _ABOUT or keyword.startswith("x-"):
            continue
        found += _broken(keyword, rule, value, where, schema)
    return found


# One case for each keyword is what a validator is.
def _broken(  # noqa: C901, PLR0911, PLR0912
    keyword: str, rule: Any, value: Any, where: str, schema: Any
) -> list[str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    wrong = f"{where}: {value!r} against {keyword} {rule}"
    match keyword:
        case "type":
            kinds = [rule] if isinstance(rule, str) else rule
            return [] if any(_is(value, kind) for kind in kinds) else [wrong]
        case "anyOf":
            return [] if any(not faults(each, value, where) for each in rule) else [wrong]
        case "enum":
            return [] if value in rule else [wrong]
        case "pattern":
            fits = not isinstance(value, str) or re.search(rule, value)
            return [] if fits else [wrong]
        case "minLength":
            return [wrong] if isinstance(value, str) and len(value) < rule else []
        case "minItems":
            return [wrong] if isinstance(value, list) and len(value) < rule else []
        case "minimum":
            return [wrong] if is_number and value < rule else []
        case "maximum":
            return [wrong] if is_number and value > rule else []
        case "exclusiveMaximum":
            return [wrong] if is_number and value >= rule else []
        case "required":
            missing = [name for name in rule if isinstance(value, dict) and name not in value]
            return [f"{where}: {name} is missing" for name in missing]
        case "items":
            items = value if isinstance(value, list) else []
            return [f for i, item in enumerate(items) for f in faults(rule, item, f"{where}[{i}]")]
        case "properties":
            children = value.items() if isinstance(value, dict) else ()
            return [f for k, v in children if k in rule for f in faults(rule[k], v, f"{where}.{k}")]
        case "additionalProperties":
            known = schema.get("properties", {})
            children = value.items() if isinstance(value, dict) else ()
            return [
                f for k, v in children if k not in known for f in faults(rule, v, f"{where}.{k}")
            ]
    raise AssertionError(f"the schema uses {keyword}, which this validator does not know")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
