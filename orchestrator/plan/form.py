"""The form of a plan: pydantic judges, and what it finds is said in words, at the place, with what to write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from pydantic import ValidationError

from orchestrator.plan.model import REUSE_PATTERN, Plan
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.part import ID_PATTERN, MODEL_PATTERN
from orchestrator.plan.report import MAX_PROBLEMS, Report
from orchestrator.plan.yaml_source import YamlPath

_PATTERNS = {
    ID_PATTERN: "a name of small letters, digits and _, beginning with a letter, at most 64 long",
    MODEL_PATTERN: "the name of a model, such as sonnet",
    REUSE_PATTERN: "always, never, or an age such as 24h",
}
_NAMED = ("missing", "extra_forbidden", "key", "invalid_key")
"""Kinds of error that speak of a key, not of a value."""
_TEXT_DEPTH = 6
"""Levels in which a plan of right form holds texts."""
_BLANK = "the request is blank: say in it what is wanted, and the model makes the chunks"
_ASK_PLANNER = "`orchestrate plan FILE` lets the model make them from the request"
_SMALLEST = "the smallest plan is `chunks: [{id: greeting, prompt: Say hello.}]`"


def check_form(raw: object, report: Report) -> Plan | None:
    """The plan that `raw` is, or None when its form is wrong; every problem goes into `report`."""
    if not isinstance(raw, dict):
        message = "the plan is empty" if raw is None else f"a plan is a mapping, not {_shown(raw)}"
        report.at((), message, "put the list under `chunks:`" if isinstance(raw, list) else _SMALLEST)
        return None
    plain = cast("dict[str, Any]", raw)
    before = len(report.problems)
    for path in _texts_that_are_none(plain):
        report.at(path, "a NUL character or half a character in a text", "remove it")
    try:
        plan = Plan.model_validate(plain)
    except ValidationError as error:
        _report_all(error, plain, report)
        return None
    return plan if len(report.problems) == before else None


def _texts_that_are_none(raw: dict[str, Any]) -> Iterator[YamlPath]:
    """Paths of texts that cannot be sent as UTF-8; a plan given as a dict may hold anything."""
    waiting: list[tuple[YamlPath, Any, int]] = [((), raw, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if isinstance(value, str):
            if "\0" in value or re.search("[\ud800-\udfff]", value):
                yield path
        elif depth < _TEXT_DEPTH:
            waiting.extend(((*path, step), each, depth + 1) for step, each in _steps(value))


def _steps(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).items()
    return enumerate(cast("list[Any]", value)) if isinstance(value, list | tuple) else ()


def _report_all(error: ValidationError, raw: dict[str, Any], report: Report) -> None:
    """One problem for each place: a union makes pydantic complain once for each of its members."""
    places: dict[YamlPath, list[tuple[str, str]]] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        kind = "key" if each["loc"][-1:] == ("[key]",) else each["type"]
        name = str(each["loc"][-1]) if each["loc"] else ""
        places.setdefault(_real_path(raw, each["loc"]), []).append((kind, name))
    inner = {path[:length] for path in places for length in range(len(path))}
    for path, found in places.items():
        if len(report.problems) > 2 * MAX_PROBLEMS:
            return
        named = [(kind, name) for kind, name in found if kind in _NAMED]
        for kind, name in named:
            _report_named(kind, name, path, raw, report)
        if not named and not (path in inner and isinstance(_value(raw, path), dict | list | tuple)):
            _report_value(path, raw, report)


def _real_path(raw: object, location: tuple[str | int, ...]) -> YamlPath:
    """The path in the plan as written: pydantic's steps without those into a union or a short form."""
    path: list[str | int] = []
    value: Any = raw
    for step in location:
        if isinstance(value, dict):
            inside = step in value
        else:
            inside = isinstance(value, list | tuple) and isinstance(step, int) and step < len(cast("list[Any]", value))
        if inside:
            path.append(step)
            value = cast("dict[Any, Any]", value)[step]
    return tuple(path)


def _value(raw: object, path: YamlPath) -> Any:
    value: Any = raw
    for step in path:
        value = value[step]
    return value


def _report_named(kind: str, name: str, path: YamlPath, raw: dict[str, Any], report: Report) -> None:
    if kind == "missing":
        if path == () and name == "chunks":
            blank = "request" in raw and not str(raw["request"] or "").strip()
            hint = _BLANK if blank else _ASK_PLANNER if raw.get("request") else _SMALLEST
            report.at((), "a plan needs `chunks:`", hint)
        elif not any(did_you_mean(str(key), _properties(path)) == f"did you mean {name}?" for key in _value(raw, path)):
            report.at(path, f"`{name}` is missing", f"`{name}` is {_expectation((*path, name))}")
    elif kind == "invalid_key":
        report.at(path, f"a key must be a text, not {name}", "write the key as a text")
    elif kind == "key":
        report.at(path, f"{path[-1]!r} must be {_PATTERNS[ID_PATTERN]}", _suggest_name(str(path[-1])), key=True)
    else:
        known = list(_properties(path[:-1]))
        near = did_you_mean(str(path[-1]), known) or f"there are {', '.join(known)}"
        report.at(path, f"unknown key `{path[-1]}`", near, key=True)


def _report_value(path: YamlPath, raw: dict[str, Any], report: Report) -> None:
    value = _value(raw, path)
    name = next((step for step in reversed(path) if isinstance(step, str)), "the plan")
    if path and isinstance(path[-1], int):
        name = f"{name}[{path[-1]}]"
    node = _schema_at(path)
    hint = ""
    if isinstance(value, str):
        hint = did_you_mean(value, _choices(node))
        if any(each.get("pattern") == ID_PATTERN for each in _alternatives(node)):
            hint = _suggest_name(value)
        if any(each.get("type") == "array" for each in _alternatives(node)):
            hint = f"write [{value}]" if len(value) < 60 else "write it as a list"
    report.at(path, f"`{name}` must be {_expectation(path)}, not {_shown(value)}", hint)


def _suggest_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_0123456789")[:64]
    return f"did you mean {name}?" if name else ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "an empty list" if not value else "a list"
    text = repr(cast("object", value))
    return text if len(text) <= 60 else f"{text[:56]}…{text[-1]}"


@cache
def _schema() -> dict[str, Any]:
    return Plan.model_json_schema()


def _alternatives(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The schema's alternatives without null, references followed."""
    if "$ref" in node:
        return _alternatives(_schema()["$defs"][node["$ref"].rpartition("/")[2]])
    for union in ("anyOf", "oneOf"):
        if union in node:
            return [inner for each in node[union] for inner in _alternatives(each)]
    return [] if node.get("type") == "null" else [dict(node)]


def _schema_at(path: YamlPath) -> dict[str, Any]:
    node: dict[str, Any] = _schema()
    for step in path:
        inner = (_inner(each, step) for each in _alternatives(node))
        node = next((found for found in inner if found is not None), dict[str, Any]())
    return node


def _inner(node: dict[str, Any], step: str | int) -> dict[str, Any] | None:
    if isinstance(step, int):
        return node.get("items")
    if step in node.get("properties", {}):
        return node["properties"][step]
    for named in node.get("patternProperties", {}).values():
        return named
    return None


def _properties(path: YamlPath) -> Iterator[str]:
    for each in _alternatives(_schema_at(path)):
        yield from each.get("properties", ())


def _choices(node: dict[str, Any]) -> list[str]:
    return [str(choice) for each in _alternatives(node) for choice in each.get("enum", ())]


def _expectation(path: YamlPath) -> str:
    words = [_words(each) for each in _alternatives(_schema_at(path))]
    return " or ".join(dict.fromkeys(words)) or "something else"


def _words(node: dict[str, Any]) -> str:
    if "const" in node:
        return str(node["const"]).lower()
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    if "pattern" in node:
        return _PATTERNS.get(node["pattern"], "a name of at most 100 characters, without / and \\")
    kind = node.get("type")
    if kind in ("integer", "number"):
        return _number_words("a whole number" if kind == "integer" else "a number", node)
    if kind == "string":
        return "a text that is not empty" if node.get("minLength") else "a text"
    if kind == "array":
        return "a list that is not empty" if node.get("minItems") else "a list"
    if kind == "object":
        required = node.get("required", [])
        return (
            f"{{{', '.join(f'{name}: …' for name in required)}}}" if required in (["file"], ["task"]) else "a mapping"
        )
    return "true or false" if kind == "boolean" else "something else"


def _number_words(noun: str, node: dict[str, Any]) -> str:
    low, high, above = node.get("minimum"), node.get("maximum"), node.get("exclusiveMinimum")
    start = f"from {low}" if low is not None else f"above {above}" if above is not None else ""
    if high is not None:
        return f"{noun} {start}{' to' if low is not None else ' and at most'} {high:g}"
    return f"{noun} {start.replace('from', 'of at least')}".rstrip()
