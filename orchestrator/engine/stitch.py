"""Putting answers together. Pure: answers and gaps in, one text out; an answer is never altered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from orchestrator.engine.render import Known, stitch_values
from orchestrator.plan.values import Gap
from orchestrator.plan.workload import Workload

SEPARATOR = "\n\n"
"""Between two answers: one blank line, nothing before the first, nothing after the last."""

EXTENSIONS = {"markdown": "md", "text": "txt", "json": "json", "jsonl": "jsonl"}
"""File name extension of each format."""

_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*)\n```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """The result. `data` is the JSON value (a list for jsonl), None for texts; `gaps` the ids without an answer."""

    text: str
    data: Any
    gaps: tuple[str, ...]


def stitch(workload: Workload, known: Known) -> Stitched:
    """One result from the answers of `workload.stitch_chunks`.

    Text and markdown are joined by one blank line. JSON is one object by the plan's ids, with a list for a group;
    JSONL one value a line (an array's elements a line each). An answer that is not JSON becomes a string there, a gap
    `{"missing": id, "reason": reason}`.
    """
    ids = flat_ids(workload.stitch_chunks, known)
    template = workload.stitch_template
    if template is not None:
        wanted = tuple(dict.fromkeys(each.key for each in template.references if each.namespace == "chunks"))
        ids = tuple(dict.fromkeys((*ids, *flat_ids(wanted, known))))
    missing = tuple(chunk_id for chunk_id in ids if chunk_id not in known.answers)
    if template is not None:
        text = template.render(stitch_values(workload, known))
        return Stitched(text=text, data=_parse(text) if workload.stitch_format == "json" else None, gaps=missing)
    if workload.stitch_format in ("markdown", "text"):
        return Stitched(text=join_prefix(ids, answers=known.answers, gaps=known.gaps), data=None, gaps=missing)
    by_id = {name: _value(name, known) for name in workload.stitch_chunks}
    if workload.stitch_format == "json":
        return Stitched(text=json.dumps(by_id, ensure_ascii=False, indent=2) + "\n", data=by_id, gaps=missing)
    rows: list[Any] = []
    for value in (_one_value(chunk_id, known) for chunk_id in ids):
        rows += cast("list[Any]", value) if isinstance(value, list) else [value]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return Stitched(text=lines, data=rows, gaps=missing)


def flat_ids(names: Sequence[str], known: Known) -> tuple[str, ...]:
    """The chunks that these names stand for, in order; a group whose chunks are not known stays as it is."""
    return tuple(each for name in names for each in (known.members(name) or (name,)))


def join_prefix(ids: Sequence[str], *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> str:
    """The answers and gaps of `ids` as text, byte for byte as they came, one blank line between."""
    return SEPARATOR.join(
        answers[chunk_id] if chunk_id in answers else str(Gap(chunk_id, gaps.get(chunk_id, "no answer")))
        for chunk_id in ids
    )


def _value(name: str, known: Known) -> Any:
    members = known.members(name)
    return [_one_value(each, known) for each in members] if members else _one_value(name, known)


def _one_value(chunk_id: str, known: Known) -> Any:
    if chunk_id in known.answers:
        return _parse(known.answers[chunk_id])
    return {"missing": chunk_id, "reason": known.gaps.get(chunk_id, "no answer")}


def _parse(text: str) -> Any:
    fenced = _FENCE.match(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
