"""The smallest value that fits a JSON Schema, for answers that are made up."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

WORD = "simulated"
"""What stands where any text will do."""

MAX_DEPTH = 32


def smallest_instance(schema: Mapping[str, Any], *, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """A value with only what `schema` requires: the first choice of an `enum`, lists as short as allowed.

    Always the same for the same schema. It reads `const`, `default`, `enum`, `anyOf`, `oneOf`, `$ref` (inside `root`,
    the whole schema), `type`, `properties`, `required`, `items` and the bounds of lengths and numbers; other keywords
    are not looked at, and nothing is followed deeper than `MAX_DEPTH`.
    """
    root = schema if root is None else root
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if depth > MAX_DEPTH:
        return None
    if "$ref" in schema:
        return smallest_instance(_found(root, schema["$ref"]), root=root, depth=depth + 1)
    for key in ("enum", "anyOf", "oneOf"):
        choices = cast("Sequence[Any]", schema.get(key) or ())
        if choices:
            return choices[0] if key == "enum" else smallest_instance(choices[0], root=root, depth=depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        properties = cast("Mapping[str, Any]", schema.get("properties") or {})
        names = cast("Sequence[str]", schema.get("required") or ())
        return {name: smallest_instance(properties.get(name, {}), root=root, depth=depth + 1) for name in names}
    if kind == "array":
        one = smallest_instance(_items(schema), root=root, depth=depth + 1)
        return [copy.deepcopy(one) for _ in range(int(schema.get("minItems", 0)))]
    if kind in ("integer", "number"):
        return _number(schema)
    text = WORD.ljust(int(schema.get("minLength", 0)), ".")[: schema.get("maxLength")]
    return {"boolean": False, "null": None}.get(kind, text)


def _found(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    value: Any = root
    for step in reference.split("/")[1:]:
        value = value[step.replace("~1", "/").replace("~0", "~")]
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _items(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    items = schema.get("items")
    return cast("Mapping[str, Any]", items) if isinstance(items, Mapping) else {}


def _number(schema: Mapping[str, Any]) -> float:
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    return schema.get("minimum", min(0, schema.get("maximum", 0)))
