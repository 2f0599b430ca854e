"""The rows of a table, from CSV or JSON lines; what is not a table is an error with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.paths import MAX_TEXT_BYTES, PathError, decode_text
from orchestrator.plan.split.pieces import SplitError, raise_all
from orchestrator.plan.workload import Cell

MAX_ERRORS = 200
"""Wrong rows that are told at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the name that its key column gives (else its number), its cells by column, and all of it as JSON.

    Cells of CSV are texts, those of JSON lines what JSON has, a list or an object as its JSON. The JSON of a JSON
    line is the line as it is written.
    """

    key: str
    cells: Mapping[str, Cell]
    text: str


def read_rows(content: bytes, *, format: str, key: str | None) -> tuple[Row, ...]:  # noqa: A002 - the plan's own word
    """The rows of a file of `format` `csv` or `jsonl`, in order; no rows for a table with a header alone.

    Raises `SplitError` with the line for what is not UTF-8, a header with empty or equal names, rows with more or
    fewer values than the header, lines that are no JSON object, and a `key` that is missing, empty or not unique; it
    holds up to `MAX_ERRORS` of them.
    """
    try:
        text = decode_text(content, Path(), named="the table").text
    except PathError as problem:
        raise SplitError(problem.message, hint=problem.hint) from None
    if format not in ("csv", "jsonl"):
        raise SplitError(f"rows come from .csv or .jsonl, not from .{format}", hint="save the table as CSV")
    errors: list[SplitError] = []
    found: list[_Record] = []
    for each in _from_csv(text) if format == "csv" else _from_jsonl(text):
        if not isinstance(each, SplitError):
            found.append(each)
        elif len(errors) < MAX_ERRORS:
            errors.append(each)
    raise_all(errors)
    return _keyed(found, key)


@dataclass(frozen=True, slots=True)
class _Record:
    """A row that has no name yet, and the line it begins in."""

    line: int
    values: Mapping[str, object]
    cells: Mapping[str, Cell]
    text: str


def _from_csv(text: str) -> Iterator[_Record | SplitError]:
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
                if len(record) == len(header):
                    values = dict(zip(header, record, strict=True))
                    yield _Record(line, values, values, write_json(values))
                else:
                    hint = "a value that holds a comma or a line end stands in double quotes"
                    yield SplitError(f"{_values(len(record))} under {len(header)} columns", line=line, hint=hint)
            line = records.line_num + 1
    except csv.Error as error:
        yield SplitError(f"this is no CSV: {error}", line=line, hint='a quote inside a value is doubled: ""')
        return
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


def _from_jsonl(text: str) -> Iterator[_Record | SplitError]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                values = _json_object(line)
                yield _Record(number, values, {name: _cell(each) for name, each in values.items()}, line.strip())
            except SplitError as error:
                error.line = number
                yield error


def _json_object(line: str) -> dict[str, object]:
    """The values of a line. Raises `SplitError` without the line's number."""
    try:
        value: object = read_json(line, names_once=True)
    except json.JSONDecodeError as error:
        message = f"this is no JSON: {error.msg} at column {error.colno}"
        raise SplitError(message, hint="each line is one JSON object") from None
    except ValueError as error:
        raise SplitError(f"this cannot be read: {error}", hint="each line is one JSON object") from None
    if not isinstance(value, dict):
        raise SplitError("this is no JSON object", hint='each line is one, such as {"id": 1}')
    return cast("dict[str, object]", value)


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else write_json(value)


def _keyed(found: Sequence[_Record], key: str | None) -> tuple[Row, ...]:
    if key is None:
        return tuple(Row(str(number), each.cells, each.text) for number, each in enumerate(found, 1))
    first: dict[str, int] = {}
    rows: list[Row] = []
    errors: list[SplitError] = []
    for each in found:
        name = _name_of(each, key)
        if isinstance(name, str) and name in first:
            again = f"{key!r} is {name!r} again, as in line {first[name]}"
            name = SplitError(again, line=each.line, hint="a key names one row")
        if isinstance(name, SplitError):
            errors.append(name)
        else:
            first[name] = each.line
            rows.append(Row(name, each.cells, each.text))
        if len(errors) >= MAX_ERRORS:
            break
    raise_all(errors)
    return tuple(rows)


def _name_of(record: _Record, key: str) -> str | SplitError:
    if key not in record.values:
        hint = did_you_mean(key, record.values) or f"it has {', '.join(list(record.values)[:9])}"
        return SplitError(f"there is no {key!r}", line=record.line, hint=hint)
    value = record.values[key]
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return name or SplitError(
        f"{key!r} is empty or no name", line=record.line, hint="each row needs a text or whole number"
    )
