"""`fields`, the short form of a JSON Schema: `{customer: string, severity: [low, high], note?: string}`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, cast

from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.yaml_source import YamlPath

TYPES = ("string", "number", "integer", "boolean")

MAX_LEVELS = 16
"""Objects and lists inside each other."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What the API takes as the name of a property."""

FORMS = f"one of {', '.join(TYPES)}, a list of choices, [TYPE] for a list, or a mapping of more fields"

FIELD_SCHEMA: dict[str, Any] = {
    "anyOf": [{"enum": list(TYPES)}, {"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]
}
"""What an editor is told of the value of a field; what is inside lists and mappings is checked here alone."""


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """What is wrong at a path inside a schema or a short form; with `key` it is the name that is wrong."""

    path: YamlPath
    message: str
    hint: str = ""
    key: bool = False


@dataclass(slots=True)
class _Reader:
    problems: list[SchemaProblem] = field(default_factory=list[SchemaProblem])

    def object(self, fields: dict[Any, Any], path: YamlPath) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required: list[str] = []
        for written, value in fields.items():
            name = str(written).removesuffix("?")
            here = (*path, written)
            if not isinstance(written, str) or not _NAME.fullmatch(name):
                hint = "letters, digits, `_`, `.` and `-`, 64 at most; a final `?` says that it may be left out"
                self.problems.append(SchemaProblem(here, f"{written!r} is no name of a field", hint, key=True))
            elif name in properties:
                self.problems.append(SchemaProblem(here, f"`{name}` stands there twice", "keep one", key=True))
            properties[name] = self.value(value, here)
            if name == written:
                required.append(name)
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        return schema | ({"required": required} if required else {}) | {"additionalProperties": False}

    def value(self, value: Any, path: YamlPath) -> dict[str, Any]:
        if len(path) > MAX_LEVELS:
            self.problems.append(SchemaProblem(path, f"more than {MAX_LEVELS} levels", "write an `output_schema`"))
        elif isinstance(value, str) and value in TYPES:
            return {"type": value}
        elif isinstance(value, dict) and value:
            return self.object(cast("dict[Any, Any]", value), path)
        elif isinstance(value, list | tuple) and value:
            return self.list(cast("list[Any]", value), path)
        else:
            self.problems.append(SchemaProblem(path, f"the type of a field is {FORMS}", _meant(cast("object", value))))
        return {}

    def list(self, values: list[Any], path: YamlPath) -> dict[str, Any]:
        """One element is what the list holds; several are texts to choose from."""
        if len(values) == 1:
            return {"type": "array", "items": self.value(values[0], (*path, 0))}
        for at, each in enumerate(values):
            if not isinstance(each, str):
                hint = "write boolean" if isinstance(each, bool) else f"write '{each}'" if _is_number(each) else ""
                self.problems.append(SchemaProblem((*path, at), "a choice is among texts", hint))
            elif each in values[:at]:
                self.problems.append(SchemaProblem((*path, at), f"the choice `{each}` stands there twice", "keep one"))
        return {"type": "string", "enum": list(values)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _meant(value: object) -> str:
    aliases = {"str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean"}
    if not isinstance(value, str):
        return ""
    name = value.removesuffix("?")
    if name in TYPES:
        return "a `?` after the name, as in `note?: string`, says that it may be left out"
    return f"did you mean {aliases[name]}?" if name in aliases else did_you_mean(value, TYPES)


def schema_of_fields(fields: dict[Any, Any]) -> tuple[dict[str, Any], list[SchemaProblem]]:
    """The JSON Schema of an object with these fields and no others, and all that is wrong with them."""
    reader = _Reader()
    if not fields:
        return {}, [SchemaProblem((), "`fields` is empty", "such as {customer: string, severity: [low, high]}")]
    return reader.object(fields, ()), reader.problems
