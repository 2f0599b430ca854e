"""The smallest value that fits a JSON Schema, for answers that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

WORD = "simulated"
"""What stands where any text will do."""

MAX_DEPTH = 32


def smallest_instance(schema: Mapping[str, Any], *, depth: int = 0) -> Any:
    """A value with only what `schema` requires: the first choice of an `enum`, lists as short as allowed.

    Always the same for the same schema. It reads `const`, `default`, `enum`, `anyOf`, `oneOf`, `type`, `properties`,
    `required`, `items`, `minItems`, `minLength` and `minimum`; other keywords are not looked at, and nothing is
    followed deeper than `MAX_DEPTH`.
    """
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "anyOf", "oneOf"):
        choices = cast("Sequence[Any]", schema.get(key) or ())
        if choices:
            return choices[0] if key == "enum" else smallest_instance(choices[0], depth=depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if depth > MAX_DEPTH:
        return None
    if kind == "object":
        properties = cast("Mapping[str, Any]", schema.get("properties") or {})
        names = cast("Sequence[str]", schema.get("required") or ())
        return {name: smallest_instance(properties.get(name, {}), depth=depth + 1) for name in names}
    if kind == "array":
        one = smallest_instance(schema.get("items") or {}, depth=depth + 1)
        return [one] * int(schema.get("minItems", 0))
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind, WORD.ljust(int(schema.get("minLength", 0)), "."))
