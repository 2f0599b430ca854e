"""Putting answers together. Pure: answers and gaps in, one text out; an answer is never altered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.render import answer_values, input_values, template_values
from orchestrator.plan.values import Answer, Gap, Value
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


def stitch(workload: Workload, *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> Stitched:
    """One result from the answers of `workload.stitch_chunks`; `gaps` maps ids without an answer to the reason.

    Text and markdown are joined by one blank line. JSON is one object by chunk id, JSONL one value a line (an array's
    elements a line each); an answer that is not JSON becomes a string, a gap `{"missing": id, "reason": reason}`.
    """
    ids = workload.stitch_chunks
    missing = tuple(chunk_id for chunk_id in ids if chunk_id not in answers)
    if workload.stitch_template is not None:
        wanted = tuple(each.name for each in workload.stitch_template.references if each.namespace == "chunks")
        missing = tuple(dict.fromkeys((*missing, *(each for each in wanted if each not in answers))))
        chunks = answer_values((*ids, *wanted), answers=answers, gaps=gaps)
        values = template_values(workload, inputs=input_values(workload), chunks=_without_marks(chunks))
        text = workload.stitch_template.render(values)
        return Stitched(text=text, data=_parse(text) if workload.stitch_format == "json" else None, gaps=missing)
    if workload.stitch_format in ("markdown", "text"):
        return Stitched(text=join_prefix(ids, answers=answers, gaps=gaps), data=None, gaps=missing)
    by_id = {chunk_id: _value(chunk_id, answers, gaps) for chunk_id in ids}
    if workload.stitch_format == "json":
        return Stitched(text=json.dumps(by_id, ensure_ascii=False, indent=2) + "\n", data=by_id, gaps=missing)
    rows = [row for value in by_id.values() for row in (value if isinstance(value, list) else [value])]  # pyright: ignore[reportUnknownVariableType]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)  # pyright: ignore[reportUnknownVariableType]
    return Stitched(text=lines, data=rows, gaps=missing)


def join_prefix(ids: Sequence[str], *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> str:
    """The answers and gaps of `ids` as text, byte for byte as they came, one blank line between."""
    return SEPARATOR.join(
        answers[chunk_id] if chunk_id in answers else str(Gap(chunk_id, gaps.get(chunk_id, "no answer")))
        for chunk_id in ids
    )


def _without_marks(chunks: Mapping[str, Value]) -> dict[str, Value]:
    """A result is for people: marks are for prompts."""
    return {chunk_id: value.text if isinstance(value, Answer) else value for chunk_id, value in chunks.items()}


def _value(chunk_id: str, answers: Mapping[str, str], gaps: Mapping[str, str]) -> Any:
    if chunk_id in answers:
        return _parse(answers[chunk_id])
    return {"missing": chunk_id, "reason": gaps.get(chunk_id, "no answer")}


def _parse(text: str) -> Any:
    fenced = _FENCE.match(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
