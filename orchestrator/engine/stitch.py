"""Putting answers together. Pure: answers and gaps in, one text out; what seam work changes can be shown and undone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from orchestrator.engine.join_source import Frame, frames_of
from orchestrator.engine.render import Known, stitch_values
from orchestrator.engine.seams.edits import Joined, Part
from orchestrator.plan.model import StitchFormat
from orchestrator.plan.seams import rules_on
from orchestrator.plan.values import Gap
from orchestrator.plan.workload import Workload

SEPARATOR = "\n\n"
"""Between two answers: one blank line, nothing before the first, nothing after the last."""

EXTENSIONS = {"markdown": "md", "text": "txt", "json": "json", "jsonl": "jsonl"}
"""File name extension of each format."""

_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*)\n```\s*\Z", re.DOTALL)


Members = Callable[[str], tuple[str, ...] | None]
"""Gives the chunks of a group in order, None for what is no group or not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """The result. `data` is the JSON value (a list for jsonl), None for texts; `gaps` the ids without an answer.

    `joined` says of a text without a template what stands where, and what seam work did.
    """

    text: str
    data: Any
    gaps: tuple[str, ...]
    joined: Joined | None = None


def stitch(workload: Workload, known: Known) -> Stitched:
    """One result from the answers of `workload.stitch_chunks`, by the plan's template or by its format alone."""
    template = workload.stitch_template
    if template is None:
        names, result_format = workload.stitch_chunks, workload.stitch_format
        seams = seams_of(workload)
        plain = stitch_plainly(
            names, result_format, answers=known.answers, gaps=known.gaps, members=known.members, seams=seams
        )
        by_source = workload.plan.stitch.join == "source"
        return replace(plain, text=stitch_ids(workload, known, flat_ids(names, known.members))) if by_source else plain
    wanted = [each.key for each in template.references if each.namespace == "chunks"]
    ids = flat_ids(tuple(dict.fromkeys((*workload.stitch_chunks, *wanted))), known.members)
    text = template.render(stitch_values(workload, known))
    missing = tuple(chunk_id for chunk_id in ids if chunk_id not in known.answers)
    return Stitched(text=text, data=_parse(text) if workload.stitch_format == "json" else None, gaps=missing)


def stitch_plainly(
    names: Sequence[str],
    result_format: StitchFormat,
    *,
    answers: Mapping[str, str],
    gaps: Mapping[str, str],
    members: Members,
    seams: Collection[str] = (),
) -> Stitched:
    """One result from the answers that `names` of chunks and groups stand for.

    Text and markdown are joined by one blank line, then the rules of `seams` are applied. JSON is one object by the
    plan's ids, with a list for a group; JSONL one value a line (an array's elements a line each). An answer that is not
    JSON becomes a string there, a gap `{"missing": id, "reason": reason}`.
    """
    ids = flat_ids(names, members)
    missing = tuple(chunk_id for chunk_id in ids if chunk_id not in answers)
    if result_format in ("markdown", "text"):
        joined = _join(ids, answers=answers, gaps=gaps, seams=seams, markdown=result_format == "markdown")
        return Stitched(text=joined.text, data=None, gaps=missing, joined=joined)

    def value(chunk_id: str) -> Any:
        if chunk_id in answers:
            return _parse(answers[chunk_id])
        return {"missing": chunk_id, "reason": gaps.get(chunk_id, "no answer")}

    if result_format == "json":
        groups = {name: members(name) for name in names}
        by_id = {
            name: value(name) if group is None else [value(each) for each in group] for name, group in groups.items()
        }
        return Stitched(text=json.dumps(by_id, ensure_ascii=False, indent=2) + "\n", data=by_id, gaps=missing)
    rows: list[Any] = []
    for each in map(value, ids):
        rows += cast("list[Any]", each) if isinstance(each, list) else [each]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return Stitched(text=lines, data=rows, gaps=missing)


def seams_of(workload: Workload) -> tuple[str, ...]:
    """The rules of seam work for a result that is joined, in their order; none where its source says how."""
    is_text = workload.stitch_format in ("markdown", "text") and workload.plan.stitch.join != "source"
    return rules_on(workload.plan.stitch.seams, markdown=workload.stitch_format == "markdown") if is_text else ()


def _join(
    ids: Sequence[str], *, answers: Mapping[str, str], gaps: Mapping[str, str], seams: Collection[str], markdown: bool
) -> Joined:
    parts: list[Part] = []
    for chunk_id in ids:
        if parts:
            parts.append(Part("separator", "", SEPARATOR))
        kind = "answer" if chunk_id in answers else "gap"
        parts.append(Part(kind, chunk_id, _shown(chunk_id, answers=answers, gaps=gaps)))
    if not seams:
        return Joined(tuple(parts), tuple(() for _ in parts))
    # Reading Markdown takes a library that nothing else needs, and that takes a tenth of a second to load.
    from orchestrator.engine.seams.work import work_seams

    return work_seams(parts, seams, markdown=markdown)


def flat_ids(names: Sequence[str], members: Members) -> tuple[str, ...]:
    """The chunks that these names stand for, in order; a group whose chunks are not known stays as it is."""
    groups = ((name, members(name)) for name in names)
    return tuple(each for name, group in groups for each in ((name,) if group is None else group))


def stitch_ids(workload: Workload, known: Known, ids: Sequence[str]) -> str:
    """The answers and gaps of `ids` as text, joined in the way that the plan says."""
    return join_prefix(ids, answers=known.answers, gaps=known.gaps, frames=stitch_frames(workload, known, ids))


def stitch_frames(workload: Workload, known: Known, ids: Sequence[str]) -> Mapping[str, Frame]:
    """What stands around each answer with `join: source`; nothing, for a blank line between, in any other case."""
    return frames_of(ids, known.chunks, known.groups) if workload.plan.stitch.join == "source" else {}


def join_prefix(
    ids: Sequence[str],
    *,
    answers: Mapping[str, str],
    gaps: Mapping[str, str],
    frames: Mapping[str, Frame] | None = None,
) -> str:
    """The answers and gaps of `ids` as text: each in its frame, else as it came with one blank line between."""
    if frames:
        return "".join(
            frames[each].around(answers[each])
            if each in answers
            else frames[each].around_gap(str(Gap(each, gaps.get(each, "no answer"))))
            for each in ids
        )
    return SEPARATOR.join(_shown(chunk_id, answers=answers, gaps=gaps) for chunk_id in ids)


def _shown(chunk_id: str, *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> str:
    return answers[chunk_id] if chunk_id in answers else str(Gap(chunk_id, gaps.get(chunk_id, "no answer")))


def _parse(text: str) -> Any:
    fenced = _FENCE.match(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
