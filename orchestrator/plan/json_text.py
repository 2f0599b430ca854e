"""JSON in and out without a change to its numbers. Pure.

Python would write 1.10 as 1.1 and 1e400 as Infinity. A number with a fraction or an exponent is read as a `float` that
remembers how it was written; whole numbers are exact anyway, but for -0 and those too long for Python to read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

MAX_DEPTH = 200
"""Lists and objects inside each other; no answer needs as many, and reading or writing more would end in a crash."""

_MOST_DIGITS = 4_000
"""Of a whole number; Python itself reads none of more than 4,300."""

_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*)\n```\s*\Z", re.DOTALL)


class WrittenNumber(float):
    """A number that is written again as it was read."""

    __slots__ = ("written",)

    written: str

    def __new__(cls, written: str) -> WrittenNumber:
        """The number that this text stands for."""
        number = super().__new__(cls, written)
        number.written = written
        return number

    def __repr__(self) -> str:
        """As it was read."""
        return self.written

    def __reduce__(self) -> tuple[type[WrittenNumber], tuple[str]]:
        """Copies and pickles remember it too."""
        return WrittenNumber, (self.written,)


def read_json(text: str, *, fenced: bool = False, names_once: bool = False) -> Any:
    """The value of a JSON text; with `fenced` it may stand in a code fence.

    Raises `ValueError` for what is no JSON (NaN and Infinity are none) and for more than `MAX_DEPTH` levels; with
    `names_once` also for an object in which a name stands twice, of which else the last counts.
    """
    found = _FENCE.match(text) if fenced else None
    try:
        value: Any = json.loads(
            found[1] if found else text,
            object_pairs_hook=_with_names_once if names_once else None,
            parse_int=_whole,
            parse_float=WrittenNumber,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None
    if not _fits(value):
        raise ValueError("the value is nested too deeply")
    return value


def _with_names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ValueError(f"{twice!r} stands there twice")
    return values


def _whole(text: str) -> int | WrittenNumber:
    return WrittenNumber(text) if text == "-0" or len(text) > _MOST_DIGITS else int(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _fits(value: Any) -> bool:
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, dict | list):
            if depth >= MAX_DEPTH:
                return False
            inner = cast("dict[str, Any]", each).values() if isinstance(each, dict) else cast("list[Any]", each)
            waiting.extend((part, depth + 1) for part in inner)
    return True


def write_json(value: Any, *, indent: int | None = None, compact: bool = False) -> str:
    """The value as JSON text on one line, or on lines with `indent` blanks for each level.

    `compact` leaves out the blank after commas and colons. Written like `json.dumps`, but for the numbers.
    """
    comma, colon = (",", ":") if compact else (", ", ": ")
    return "".join(_parts(value, "" if indent is None else " " * indent, 0, comma=comma, colon=colon))


def _parts(value: Any, step: str, depth: int, *, comma: str, colon: str) -> list[str]:
    if isinstance(value, WrittenNumber):
        return [value.written]
    if not isinstance(value, Mapping | list | tuple):
        return [json.dumps(value, ensure_ascii=False, allow_nan=False)]
    is_object = isinstance(value, Mapping)
    opening, closing = "{}" if is_object else "[]"
    names: list[str] = []
    if is_object:
        named = cast("Mapping[str, Any]", value)
        names = [json.dumps(name, ensure_ascii=False) + colon for name in named]
        inner = list(named.values())
    else:
        inner = list(cast("list[Any]", value))
    if not inner:
        return [opening + closing]
    parts = [opening]
    for at, each in enumerate(inner):
        parts.append(comma.rstrip(" ") if step and at else comma if at else "")
        if step:
            parts.append("\n" + step * (depth + 1))
        if names:
            parts.append(names[at])
        parts += _parts(each, step, depth + 1, comma=comma, colon=colon)
    return [*parts, *(["\n" + step * depth] if step else []), closing]
