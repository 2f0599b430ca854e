"""Putting JSON answers together: by chunk id, end to end, key by key, or a line each. Pure; numbers stay as written.

An answer that is no JSON becomes a string, and a gap `{"missing": id, "reason": reason}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.stitching import Combine, Conflicts

SHOWN = 3
"""Conflicts and misfits that are named before they are only counted."""

_PATH_CHARS = 80
_KEPT: dict[Conflicts, str] = {
    "first": "the first was kept",
    "last": "the last was kept",
    "keep_both": "all were kept, as a list",
    "error": "`conflicts` says what to keep",
}

Members = Callable[[str], tuple[str, ...] | None]
"""Gives the chunks of a group in order, None for what is no group or not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combining:
    """How the values of a `json` result become one."""

    combine: Combine = "by_id"
    conflicts: Conflicts = "error"


BY_ID = Combining()
"""One object by chunk id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where lines come from: the field that tells, and for each chunk the name of its source or of its rows."""

    field: str
    names: Mapping[str, tuple[str, ...]]

    def told(self, rows: Sequence[Any], chunk_id: str) -> list[Any]:
        """The rows of an answer with their source first; what is no object stands under `value`."""
        names = self.names[chunk_id]
        each = names if len(names) == len(rows) else (names[0],) * len(rows)
        return [self._one(row, name) for row, name in zip(rows, each, strict=True)]

    def _one(self, row: Any, name: str) -> dict[str, Any]:
        fields = cast("dict[str, Any]", row) if isinstance(row, dict) else {"value": row}
        return {self.field: name} | {key: value for key, value in fields.items() if key != self.field}


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonResult:
    """A value and its text. `problems` say why it is not complete although every answer is there, `notes` what a reader
    should know of it all the same.
    """

    text: str
    data: Any
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    answers: Mapping[str, str]
    gaps: Mapping[str, str]

    def value(self, chunk_id: str) -> Any:
        if chunk_id in self.answers:
            return value_of(self.answers[chunk_id])
        return {"missing": chunk_id, "reason": self.gaps.get(chunk_id, "no answer")}


def value_of(text: str) -> Any:
    """The JSON value that an answer is, fenced or not; the text itself when it is none."""
    try:
        return read_json(text, fenced=True)
    except ValueError:
        return text


def stitch_lines(
    ids: Sequence[str], *, answers: Mapping[str, str], gaps: Mapping[str, str], sources: Sources | None = None
) -> JsonResult:
    """A line for each answer, or for each element of one that is an array."""
    known = _Known(answers, gaps)
    rows: list[Any] = []
    for chunk_id in ids:
        own = _end_to_end([known.value(chunk_id)])
        rows += sources.told(own, chunk_id) if sources is not None and chunk_id in answers else own
    return JsonResult(text="".join(write_json(row) + "\n" for row in rows), data=rows)


def stitch_value(
    names: Sequence[str],
    ids: Sequence[str],
    *,
    answers: Mapping[str, str],
    gaps: Mapping[str, str],
    members: Members,
    rule: Combining,
) -> JsonResult:
    """One JSON value of the answers that `names` of chunks and groups stand for; `ids` are these chunks, in order."""
    known = _Known(answers, gaps)
    if rule.combine == "merge":
        return _merged(ids, known, rule.conflicts)
    if rule.combine == "concat":
        return _result(_end_to_end(known.value(each) for each in ids))
    groups = {name: members(name) for name in names}
    return _result(
        {
            name: known.value(name) if group is None else [known.value(each) for each in group]
            for name, group in groups.items()
        }
    )


def _result(value: Any, *, problems: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> JsonResult:
    return JsonResult(text=write_json(value, indent=2) + "\n", data=value, problems=problems, notes=notes)


def _end_to_end(values: Any) -> list[Any]:
    rows: list[Any] = []
    for each in values:
        rows += cast("list[Any]", each) if isinstance(each, list) else [each]
    return rows


def _merged(ids: Sequence[str], known: _Known, rule: Conflicts) -> JsonResult:
    """The answers key by key; what is missing stands under `missing`, or at the end of a list."""
    present = [chunk_id for chunk_id in ids if chunk_id in known.answers]
    missing = [known.value(chunk_id) for chunk_id in ids if chunk_id not in known.answers]
    merger = _Merger(rule)
    value: Any = known.value(present[0]) if present else []
    for chunk_id in present[1:]:
        value = merger.merge(value, known.value(chunk_id), (), chunk_id)
    if isinstance(value, dict) and missing:
        value = {**cast("dict[str, Any]", value)}
        value.setdefault("missing", missing)
    elif missing:
        value = [*_end_to_end([value]), *missing]
    told = merger.told
    return _result(value, problems=told if rule == "error" else (), notes=told if rule != "error" else ())


@dataclass(slots=True)
class _Merger:
    """Merges value after value into the first, which it changes. `_kept` are the paths where it made a list of two."""

    rule: Conflicts
    conflicts: list[str] = field(default_factory=list[str])
    _kept: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])

    def merge(self, first: Any, other: Any, path: tuple[str, ...], chunk_id: str) -> Any:
        """The two as one. `path` are the keys that lead to them, `chunk_id` is the chunk that `other` comes from."""
        if path in self._kept:
            if not any(_same(each, other) for each in first):
                self._conflict(path, chunk_id)
                first.append(other)
            return first
        if isinstance(first, dict) and isinstance(other, dict):
            merged = cast("dict[str, Any]", first)
            for key, value in cast("dict[str, Any]", other).items():
                merged[key] = self.merge(merged[key], value, (*path, key), chunk_id) if key in merged else value
            return merged
        if isinstance(first, list) and isinstance(other, list):
            cast("list[Any]", first).extend(cast("list[Any]", other))
            return cast("list[Any]", first)
        one: Any = cast("Any", first)
        if _same(one, other):
            return one
        self._conflict(path, chunk_id)
        if self.rule == "keep_both":
            self._kept.add(path)
            return [one, other]
        return other if self.rule == "last" else one

    def _conflict(self, path: tuple[str, ...], chunk_id: str) -> None:
        place = ".".join(path)[:_PATH_CHARS]
        self.conflicts.append(f"`{place}` of {chunk_id}" if path else f"all of {chunk_id}")

    @property
    def told(self) -> tuple[str, ...]:
        """The conflicts in one sentence, if there are any."""
        if not self.conflicts:
            return ()
        count = len(self.conflicts)
        what = "1 value differs" if count == 1 else f"{count:,} values differ"
        return (f"{what} between answers ({listed(self.conflicts)}): {_KEPT[self.rule]}",)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal in JSON, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(names) - SHOWN
    return "; ".join(names[:SHOWN]) + (f"; {more:,} more" if more > 0 else "")


def misfits(data: Any, schema: Mapping[str, Any], *, lines: bool) -> tuple[str, ...]:
    """Why a result does not fit the plan's schema, in one sentence, if it does not; with `lines` each line has to."""
    from orchestrator.plan.schema_check import misfit

    if not lines:
        wrong = misfit(data, schema)
        return (f"the result does not fit `output_schema`: {wrong}",) if wrong else ()
    found = [f"line {at}: {wrong}" for at, row in enumerate(data, 1) if (wrong := misfit(row, schema))]
    return (f"{len(found):,} of {len(data):,} lines do not fit `output_schema`: {listed(found)}",) if found else ()
