"""JSON Schemas that a plan gives: whether they are any, and whether a value fits. The home of `jsonschema`.

Schemas are read as the CLI reads them (2.1.330: draft 7 and `$defs`, unknown keywords refused), since one that it
refuses would fail every call. Nothing is fetched: references stay inside the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from orchestrator.plan.fields import SchemaProblem
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.split.patterns import finds, problem_of
from orchestrator.plan.split.pieces import SplitError
from orchestrator.plan.yaml_source import YamlPath

_ONE = ("additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
_LISTS = ("allOf", "anyOf", "items", "oneOf")
_MAPS = ("$defs", "definitions", "dependencies", "patternProperties", "properties")
_OTHERS = (
    *("$comment", "$id", "$ref", "$schema", "const", "contentEncoding", "contentMediaType", "default", "deprecated"),
    *("description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength"),
    *("maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern"),
    *("readOnly", "required", "title", "type", "uniqueItems", "writeOnly"),
)
KEYWORDS = frozenset((*_ONE, *_LISTS, *_MAPS, *_OTHERS))
"""Every keyword that a schema may have."""

ENDLESS = "the schema refers to itself without end"
"""What is told of a value that a circle of references keeps from being judged."""

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_SHOWN_CHARS = 80
_PATH_CHARS = 120


def schema_problems(schema: Mapping[str, Any]) -> list[SchemaProblem]:
    """All that is wrong with a schema, each at its path inside it."""
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return [SchemaProblem((), f"this is no JSON: {error}", "a schema is made of what JSON has")]
    if "\\u0000" in text or re.search("[\ud800-\udfff]", text):
        return [SchemaProblem((), "a NUL character or half a character in the schema", "remove it")]
    found = list(_unknown_keywords(schema, ()))
    known = {problem.path for problem in found}
    found += [problem for problem in _form_problems(schema) if problem.path not in known]
    return found or list(_dead_ends(schema)) or list(_circles(schema))


def _form_problems(schema: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    from jsonschema import Draft7Validator

    for found in _errors(schema, Draft7Validator.META_SCHEMA):
        error = _innermost(found)
        path = tuple(error.absolute_path)
        keyword = next((step for step in reversed(path) if isinstance(step, str)), "the schema")
        if path and path[-1] == "type":
            near = did_you_mean(str(error.instance), _TYPES)
            yield SchemaProblem(path, "`type` is no type of JSON Schema", near or f"there are {', '.join(_TYPES)}")
        else:
            yield SchemaProblem(path, f"`{keyword}` {_reason(error)}")


def _innermost(error: Any) -> Any:
    """Of the ways in which none of several forms fits, the one that came furthest."""
    deepest = max(error.context, key=lambda each: len(each.absolute_path), default=error)
    return error if len(deepest.absolute_path) <= len(error.absolute_path) else _innermost(deepest)


def _unknown_keywords(schema: object, path: YamlPath) -> Iterator[SchemaProblem]:
    for part, here in _subschemas(schema, path):
        for name in part:
            if name not in KEYWORDS:
                near = did_you_mean(str(name), KEYWORDS) or "the CLI takes the keywords of JSON Schema draft 7"
                yield SchemaProblem((*here, name), f"unknown keyword `{name}`", near, key=True)


def _dead_ends(schema: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    """References and patterns that lead nowhere, or elsewhere."""
    for part, path in _subschemas(schema, ()):
        reference, pattern = part.get("$ref"), part.get("pattern")
        if isinstance(reference, str) and not _resolves(schema, reference):
            yield SchemaProblem((*path, "$ref"), f"`$ref: {reference}` leads nowhere", "write `#/$defs/NAME`")
        named = cast("Mapping[str, Any]", part.get("patternProperties") or {})
        for each, here in [(pattern, "pattern"), *((name, "patternProperties") for name in named)]:
            problem = problem_of(each) if isinstance(each, str) else ""
            if problem:
                yield SchemaProblem((*path, here), f"the pattern cannot be read: {problem}", "mend it")
        for name in ("$id", "$schema"):
            if path and name in part:
                told = f"`{name}` stands at the top of a schema alone"
                yield SchemaProblem((*path, name), told, "leave it out", key=True)


def _circles(schema: Mapping[str, Any]) -> Iterator[SchemaProblem]:
    if misfit({}, schema) == ENDLESS:
        yield SchemaProblem((), ENDLESS, "let each `$ref` lead further in")


def _resolves(schema: Mapping[str, Any], reference: str) -> bool:
    if not re.fullmatch(r"#(/.*)?", reference):
        return False
    value: Any = schema
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = cast("Mapping[str, Any]", value)[name]
    return isinstance(value, Mapping | bool)


def _subschemas(schema: object, path: YamlPath) -> Iterator[tuple[Mapping[str, Any], YamlPath]]:
    """The schema and all schemas in it, each with its path."""
    if not isinstance(schema, Mapping):
        return
    part = cast("Mapping[str, Any]", schema)
    yield part, path
    for name, value in part.items():
        if name in _MAPS and isinstance(value, Mapping):
            for key, each in cast("Mapping[str, Any]", value).items():
                yield from _subschemas(each, (*path, name, key))
        elif name in _LISTS and isinstance(value, list | tuple):
            for at, each in enumerate(cast("list[Any]", value)):
                yield from _subschemas(each, (*path, name, at))
        elif name in _ONE:
            yield from _subschemas(value, (*path, name))


def local_references(schema: Mapping[str, Any]) -> Iterator[tuple[YamlPath, str]]:
    """Every `$ref` with its path."""
    for part, path in _subschemas(schema, ()):
        if isinstance(part.get("$ref"), str):
            yield (*path, "$ref"), part["$ref"]


def misfit(value: Any, schema: Mapping[str, Any]) -> str:
    """Where and why a value does not fit a schema that has no problems, in words without anything of the value; "" when
    it fits. Of several faults the first in the value is told. A pattern of the schema has 5 s for one text.
    """
    try:
        error = min(_errors(value, schema), key=lambda each: list(each.absolute_path), default=None)
    except RecursionError:
        return ENDLESS
    except OverflowError:
        return "it has a number that is too large to be judged"
    except SplitError as problem:
        return f"cannot be judged: {problem.message}"
    return "" if error is None else f"{_shown_path(error.absolute_path)} {_reason(error)}"


def _errors(value: Any, schema: Any) -> Iterator[Any]:
    from referencing import Registry

    return _validator_class()(dict(schema), registry=cast("Any", Registry)()).iter_errors(value)


@cache
def _validator_class() -> Any:
    """The validator of draft 7, with patterns that may not try for ever."""
    from jsonschema import Draft7Validator, validators

    bounded = {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional}
    return cast("Any", validators).extend(Draft7Validator, bounded)


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not finds(pattern, value):
        yield ValidationError("")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(value, "object"):
        for pattern, part in patterns.items():
            for name, each in value.items():
                if finds(pattern, name):
                    yield from validator.descend(each, part, path=name, schema_path=pattern)


def _additional(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [name for name in value if name not in known and not any(finds(each, name) for each in patterns)]
    if validator.is_type(wanted, "object"):
        for name in others:
            yield from validator.descend(value[name], wanted, path=name)
    elif not wanted and others:
        yield ValidationError("")


def _shown_path(path: Any) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return f"`{text[:_PATH_CHARS]}`" if text else "it"


def _reason(error: Any) -> str:
    """What is wrong, from the rule that was broken alone: an answer may hold what does not belong in a message."""
    rule, wanted, value = error.validator, error.validator_value, error.instance
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        return f"is {_kind(value)}, not {' or '.join(kinds)}"
    if rule == "enum":
        return f"is none of {_short(', '.join(map(str, wanted)))}"
    if rule == "required":
        return f"lacks {', '.join(f'`{name}`' for name in wanted if name not in value)}"
    if rule == "additionalProperties":
        return "has a property that the schema does not name"
    if rule in ("minItems", "maxItems"):
        return f"has {len(value)} elements, not at {'least' if rule == 'minItems' else 'most'} {wanted}"
    return f"does not fit `{rule}: {_short(json.dumps(wanted, ensure_ascii=False, default=str))}`"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "number")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
