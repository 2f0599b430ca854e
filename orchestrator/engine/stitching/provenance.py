"""Where each stretch of a result came from: the chunk, the attempt, and what it cost. Pure but for `origins_of`.

The map holds enough to take seam work back: `rebuild_answers` gives the answers from a result and its map alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.engine.reviewing.review import latest_repair
from orchestrator.engine.stitching.seams.edits import Joined
from orchestrator.engine.stitching.stitch import Stitched
from orchestrator.store import AnswerOrigin, ChunkRecord, Connection
from orchestrator.store.reads import answer_origins

MAP_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The call that a chunk's answer in a result came from.

    `answered_by` is the chunk that was asked: in another run when the answer was reused, a repair (`part[3].repair1`)
    when it was repaired. `cost_usd` is what that call was told to cost; `attempt` counts from 1.
    """

    answered_by: str
    run_id: str
    attempt: int
    session_id: str
    model: str
    cost_usd: float
    fingerprint: str


def origins_of(connection: Connection, records: Iterable[ChunkRecord]) -> dict[str, Origin]:
    """The origin of every chunk that has an answer, by its id; where it was repaired that of its latest repair."""
    found = {record.chunk_id: record.answer_id for record in records if record.answer_id is not None}
    repairs = latest_repair(found)
    known = {each.answer_id: each for each in answer_origins(connection, set(found.values()))}
    answers = {name: known.get(found[repairs.get(name, name)]) for name in found}
    return {name: _origin(answer) for name, answer in answers.items() if answer is not None}


def _origin(answer: AnswerOrigin) -> Origin:
    return Origin(
        answered_by=answer.chunk_id,
        run_id=answer.run_id,
        attempt=answer.attempt,
        session_id=answer.session_id,
        model=answer.model,
        cost_usd=answer.cost_usd,
        fingerprint=answer.fingerprint,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Characters of a result, from `start` to `end`, that are of one kind and from one chunk.

    Of an answer they are its characters from `from_` to `to`; with a `rule` of seam work these were `removed` (the
    empty text for something that was put in). `part` numbers what the result is made of; a separator has no chunk.
    """

    start: int
    end: int
    part: int
    kind: str
    chunk_id: str
    from_: int
    to: int
    rule: str = ""
    removed: str = ""


def stretches(stitched: Stitched, *, answers: Mapping[str, str]) -> list[Stretch]:
    """What the text of a result is made of, in order.

    All of it where answers are joined. Where a template puts them together, each answer that stands there whole; of a
    JSON result nothing, since its values are written anew.
    """
    if stitched.joined is not None:
        return list(_joined(stitched.joined))
    return list(_located(stitched.text, answers)) if stitched.data is None else []


def _joined(joined: Joined) -> Iterator[Stretch]:
    for span in joined.spans():
        part = joined.parts[span.part]
        yield Stretch(
            start=span.out_start,
            end=span.out_end,
            part=span.part,
            kind=part.kind,
            chunk_id=part.chunk_id,
            from_=span.start,
            to=span.end,
            rule=span.rule,
            removed=span.removed,
        )


def _located(text: str, answers: Mapping[str, str]) -> Iterator[Stretch]:
    found = [(text.find(answer), name, answer) for name, answer in answers.items() if answer.strip()]
    end = 0
    for part, (at, name, answer) in enumerate(sorted(each for each in found if each[0] >= 0)):
        if at >= end:
            end = at + len(answer)
            yield Stretch(start=at, end=end, part=part, kind="answer", chunk_id=name, from_=0, to=len(answer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wrote a part of a line: a chunk, with the `lines` of its own answer, a rule of seam work, or nobody.

    `kind` is answer, gap or separator. `origin` is None for what no call wrote.
    """

    kind: str
    chunk_id: str
    rule: str
    first_line: int
    last_line: int
    origin: Origin | None


def writers_of_line(
    stitched: Stitched, line: int, *, answers: Mapping[str, str], origins: Mapping[str, Origin]
) -> list[Writer]:
    """Who wrote the line (from 1) of a result, in order; [] when the map of the result does not cover it.

    Raises `IndexError` when the result has no such line.
    """
    lines = stitched.text.splitlines(keepends=True)
    if not 1 <= line <= len(lines):
        raise IndexError(line)
    start = sum(map(len, lines[: line - 1]))
    # The end of a line belongs to it only where nothing else does.
    end = start + max(1, len(lines[line - 1].rstrip("\r\n")))
    found: list[Writer] = []
    for each in stretches(stitched, answers=answers):
        if each.start < end and each.end > start:
            answer = answers.get(each.chunk_id, "")
            first = each.from_ + max(0, start - each.start) if not each.rule else each.from_
            last = each.from_ + min(each.end, end) - each.start if not each.rule else each.to
            found.append(
                Writer(
                    kind=each.kind,
                    chunk_id=each.chunk_id,
                    rule=each.rule,
                    first_line=answer.count("\n", 0, first) + 1,
                    last_line=answer.count("\n", 0, max(first, last - 1)) + 1,
                    origin=origins.get(each.chunk_id) if each.kind == "answer" else None,
                )
            )
    return found


def result_map(
    stitched: Stitched, *, answers: Mapping[str, str], origins: Mapping[str, Origin], gaps: Mapping[str, str]
) -> dict[str, Any]:
    """The map of a result as plain JSON values: `chunks` by id, and `spans` in characters of the text, in order."""
    spans = stretches(stitched, answers=answers)
    shown = {each.chunk_id for each in spans if each.chunk_id} or set(answers)
    return {
        "version": MAP_VERSION,
        "chunks": {name: asdict(origin) for name, origin in origins.items() if name in shown},
        "gaps": {name: gaps.get(name, "no answer") for name in stitched.gaps},
        "spans": [_plain(each) for each in spans],
    }


def _plain(stretch: Stretch) -> dict[str, Any]:
    told: dict[str, Any] = {"start": stretch.start, "end": stretch.end, "part": stretch.part, "kind": stretch.kind}
    if stretch.chunk_id:
        told |= {"chunk_id": stretch.chunk_id}
    told |= {"from": stretch.from_, "to": stretch.to}
    return told | ({"rule": stretch.rule, "removed": stretch.removed} if stretch.rule else {})


def rebuild_answers(text: str, spans: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The answers as they came, by chunk id, from a result and the `spans` of its map."""
    found: dict[str, list[str]] = {}
    for span in spans:
        if span["kind"] == "answer":
            original = span["removed"] if "rule" in span else text[span["start"] : span["end"]]
            found.setdefault(span["chunk_id"], []).append(original)
    return {name: "".join(pieces) for name, pieces in found.items()}
