"""The rows of a table, from CSV or JSON lines; what is not a table is an error with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.paths import MAX_TEXT_BYTES, PathError, decode_text
from orchestrator.plan.split.pieces import SplitError


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the name that its key column gives (else its number), and its values by column.

    Values of CSV are texts; those of JSON lines are whatever JSON has.
    """

    key: str
    values: Mapping[str, Any]


def read_rows(content: bytes, *, format: str, key: str | None) -> tuple[Row, ...]:  # noqa: A002 - the plan's own word
    """The rows of a file of `format` `csv` or `jsonl`, in order; no rows for a table with a header alone.

    Raises `SplitError` with the line for what is not UTF-8, a header with empty or equal names, a row with more or
    fewer values than the header, a line that is no JSON object, and a `key` that is missing, empty or not unique.
    """
    try:
        text = decode_text(content, Path(), named="the table").text
    except PathError as problem:
        raise SplitError(problem.message, hint=problem.hint) from None
    if format not in ("csv", "jsonl"):
        raise SplitError(f"rows come from .csv or .jsonl, not from .{format}", hint="save the table as CSV")
    found = list(_from_csv(text) if format == "csv" else _from_jsonl(text))
    return tuple(_keyed(found, key))


def _from_csv(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if len(text) > csv.field_size_limit():
        csv.field_size_limit(MAX_TEXT_BYTES)
    records = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for record in records:
            if record and header is None:
                header = record
                _check_header(header, line)
            elif record and header is not None:
                if len(record) != len(header):
                    raise SplitError(
                        f"{_values(len(record))} under {len(header)} columns",
                        line=line,
                        hint="a value that holds a comma or a line end stands in double quotes",
                    )
                yield line, dict(zip(header, record, strict=True))
            line = records.line_num + 1
    except csv.Error as error:
        raise SplitError(f"this is no CSV: {error}", line=line, hint='a quote inside a value is doubled: ""') from None
    if header is None:
        raise SplitError("the table is empty", hint="its first line names the columns")


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _check_header(header: Sequence[str], line: int) -> None:
    for at, name in enumerate(header, 1):
        if not name.strip():
            raise SplitError(f"column {at} has no name", line=line, hint="the first line names every column")
        if name in header[: at - 1]:
            raise SplitError(f"two columns are called {name!r}", line=line, hint="rename one of them")
    if len(header) == 1 and ";" in header[0]:
        raise SplitError("the columns are parted by `;`", line=line, hint="save it with commas")


def _from_jsonl(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line, object_pairs_hook=_object, parse_constant=_no_number)
        except RecursionError:
            raise SplitError("the value is nested too deeply", line=number) from None
        except ValueError as error:
            raise SplitError(f"this is no JSON: {error}", line=number, hint="each line is one JSON object") from None
        if not isinstance(value, dict):
            raise SplitError("this is no JSON object", line=number, hint='each line is one, such as {"id": 1}')
        yield number, cast("dict[str, Any]", value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} stands there twice")
    return dict(pairs)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _keyed(found: Sequence[tuple[int, dict[str, Any]]], key: str | None) -> Iterator[Row]:
    first: dict[str, int] = {}
    for number, (line, values) in enumerate(found, 1):
        if key is None:
            yield Row(str(number), values)
            continue
        if key not in values:
            hint = did_you_mean(key, values) or f"it has {', '.join(list(values)[:9])}"
            raise SplitError(f"there is no {key!r}", line=line, hint=hint)
        value = values[key]
        name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not name:
            raise SplitError(f"{key!r} is empty or no name", line=line, hint="each row needs a text or whole number")
        if name in first:
            raise SplitError(
                f"{key!r} is {name!r} again, as in line {first[name]}", line=line, hint="a key names one row"
            )
        first[name] = line
        yield Row(name, values)
