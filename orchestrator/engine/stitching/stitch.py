"""Putting answers together. Pure: answers and gaps in, one text out; what seam work changes can be shown and undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.engine.render import Known, stitch_values
from orchestrator.engine.stitching.join_source import Frame, frames_of
from orchestrator.engine.stitching.seams.edits import Edit, Joined, Part
from orchestrator.engine.stitching.stitch_json import (
    BY_ID,
    Combining,
    Members,
    Sources,
    misfits,
    stitch_lines,
    stitch_value,
    value_of,
)
from orchestrator.engine.stitching.transitions import with_transitions
from orchestrator.plan.seams import rules_on
from orchestrator.plan.stitching import StitchFormat
from orchestrator.plan.values import Gap
from orchestrator.plan.workload import Workload

SEPARATOR = "\n\n"
"""Between two answers: one blank line, nothing before the first, nothing after the last."""

EXTENSIONS = {"markdown": "md", "text": "txt", "json": "json", "jsonl": "jsonl"}
"""File name extension of each format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """The result. `data` is the JSON value (a list for jsonl), None for texts; `gaps` the ids without an answer.

    `joined` says of a text without a template what stands where, and what seam work did.
    `problems` say why it is not complete although every answer is there, `notes` what a reader should know of it.
    """

    text: str
    data: Any
    gaps: tuple[str, ...]
    joined: Joined | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def stitch(workload: Workload, known: Known) -> Stitched:
    """One result from the answers of `workload.stitch_chunks`, by the plan's template or by its format alone."""
    made, schema = _stitched(workload, known), workload.stitch_schema
    if schema is None or made.gaps:
        return made
    wrong = misfits(made.data, schema, lines=workload.stitch_format == "jsonl")
    return replace(made, problems=(*made.problems, *wrong))


def combining(workload: Workload) -> Combining:
    """How the plan wants the values of a `json` result to become one."""
    spec = workload.plan.stitch
    return Combining(combine=spec.combine or "by_id", conflicts=spec.conflicts or "error")


def _stitched(workload: Workload, known: Known) -> Stitched:
    template = workload.stitch_template
    if template is None:
        names, result_format, rule = workload.stitch_chunks, workload.stitch_format, combining(workload)
        plain = stitch_plainly(
            names,
            result_format,
            answers=known.answers,
            gaps=known.gaps,
            members=known.members,
            rule=rule,
            sources=_sources(workload, known),
            seams=seams_of(workload),
        )
        ids = flat_ids(names, known.members)
        frames = stitch_frames(workload, known, ids)
        if not frames:
            return plain
        joined = _framed(ids, frames, answers=known.answers, gaps=known.gaps)
        return replace(plain, text=joined.text, joined=joined)
    wanted = [each.key for each in template.references if each.namespace == "chunks"]
    ids = flat_ids(tuple(dict.fromkeys((*workload.stitch_chunks, *wanted))), known.members)
    text = template.render(stitch_values(workload, known))
    missing = tuple(chunk_id for chunk_id in ids if chunk_id not in known.answers)
    return Stitched(text=text, data=_data(text, workload.stitch_format), gaps=missing)


def _sources(workload: Workload, known: Known) -> Sources | None:
    field = workload.plan.stitch.source_field
    items = {chunk_id: chunk.item for chunk_id, chunk in known.chunks.items()}
    names = {
        chunk_id: (chunk_id,) if item is None else item.rows or (item.source or chunk_id,)
        for chunk_id, item in items.items()
    }
    return Sources(field=field, names=names) if field is not None else None


def _data(text: str, result_format: StitchFormat) -> Any:
    """The value of a result that a template made."""
    if result_format == "jsonl":
        return [value_of(line) for line in text.split("\n") if line.strip()]
    return value_of(text) if result_format == "json" else None


def stitch_plainly(
    names: Sequence[str],
    result_format: StitchFormat,
    *,
    answers: Mapping[str, str],
    gaps: Mapping[str, str],
    members: Members,
    rule: Combining = BY_ID,
    sources: Sources | None = None,
    seams: Collection[str] = (),
) -> Stitched:
    """One result from the answers that `names` of chunks and groups stand for.

    Text and markdown are joined by one blank line, then the rules of `seams` are applied; JSON and JSONL are put
    together in `stitch_json.py`, JSON by `rule`.
    """
    ids = flat_ids(names, members)
    missing = tuple(chunk_id for chunk_id in ids if chunk_id not in answers)
    if result_format in ("markdown", "text"):
        joined = _join(
            with_transitions(ids, answers),
            answers=answers,
            gaps=gaps,
            seams=seams,
            markdown=result_format == "markdown",
        )
        return Stitched(text=joined.text, data=None, gaps=missing, joined=joined)

    if result_format == "json":
        made = stitch_value(names, ids, answers=answers, gaps=gaps, members=members, rule=rule)
    else:
        made = stitch_lines(ids, answers=answers, gaps=gaps, sources=sources)
    return Stitched(text=made.text, data=made.data, gaps=missing, problems=made.problems, notes=made.notes)


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
    from orchestrator.engine.stitching.seams.work import work_seams

    return work_seams(parts, seams, markdown=markdown)


def _framed(
    ids: Sequence[str], frames: Mapping[str, Frame], *, answers: Mapping[str, str], gaps: Mapping[str, str]
) -> Joined:
    """The answers in the frames of their pieces, as parts."""
    parts: list[Part] = []
    edits: list[tuple[Edit, ...]] = []
    for chunk_id in ids:
        frame, answer = frames[chunk_id], answers.get(chunk_id)
        shown = _shown(chunk_id, answers=answers, gaps=gaps)
        parts += [
            Part("separator", "", frame.before),
            Part("gap" if answer is None else "answer", chunk_id, shown),
            Part("separator", "", frame.after),
        ]
        edits += [(), () if answer is None else frame.edits(answer), ()]
    return Joined(tuple(parts), tuple(edits))


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
