"""The review of a result: what is looked for, what is found, and which chunks put it right. Pure.

A round is: what can be checked without a model; then, where the plan has a rubric, a call that judges (`review.1`);
then one repair for each chunk that something was found in (`part[3].repair1`). When nothing is left to repair,
transitions are written where the plan wants them. All of these are ordinary chunks, so they are stored, retried, shown
and paid for like any other, and a second run finds their answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import ChainMap, Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from orchestrator.engine.drafts import repair_prompt
from orchestrator.engine.merging import Sized, pack
from orchestrator.engine.own_chunks import own_chunk
from orchestrator.engine.render import Known, input_values, render_prompt
from orchestrator.engine.reviewing.consistency import inconsistencies
from orchestrator.engine.reviewing.coverage import points_of, uncovered
from orchestrator.engine.reviewing.judging import shortfalls
from orchestrator.engine.stitching.stitch import Stitched, flat_ids
from orchestrator.engine.stitching.transitions import transition_chunks
from orchestrator.plan.expecting import ReviewSpec
from orchestrator.plan.template import compile_template
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.values import Answer
from orchestrator.plan.workload import Chunk, Part, Workload
from orchestrator.prompt_texts import fill, json_text, prompt_text

REVIEWED_TOKENS = 60_000
"""Of the result (`cl100k_base`), what one call judges; a longer result is judged in several."""

_REPAIR = re.compile(r"(.+)\.repair(\d+)")

Check = Literal["expect", "coverage", "consistency", "rubric"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that has to be put right. `chunk_id` is the chunk of the result that it is in, "" for the whole."""

    chunk_id: str
    problem: str
    check: Check


class Review:
    """Asked for the next chunks until there are none; `remaining` then is what was found and not put right."""

    def __init__(self, workload: Workload, known: Known) -> None:
        self._workload = workload
        self._known = known
        self._spec = workload.review or ReviewSpec()
        self._judges: list[str] = []
        self._asked = False
        self.round = 1
        self._bridged = False
        self.remaining: tuple[Finding, ...] = ()
        self.repairs: tuple[str, ...] = ()
        """The chunks that put right what the last `next_chunks` found."""
        self.has_looked = False
        """Whether a look was over with the last `next_chunks`, so that it can be told."""

    def next_chunks(self, stitched: Stitched) -> list[Chunk]:
        """What has to run before the result is as good as it gets; [] when nothing has.

        A result with gaps is not reviewed: it is not complete, whatever else may be said of it.
        """
        self.repairs, self.has_looked = (), False
        if stitched.gaps or self._bridged:
            return []
        chunks = self._look(stitched) if self._workload.review or self._workload.expect else []
        if chunks or self.remaining or not self._workload.transitions:
            return chunks
        self._bridged = True
        return transition_chunks(self._workload.plan, self._parts())

    def _look(self, stitched: Stitched) -> list[Chunk]:
        """Look for what has to be put right, and return the chunks that judge, or that put it right."""
        self.remaining = ()
        if self._workload.rubric and not self._asked:
            self._asked = True
            judges = self._judging()
            self._judges = [chunk.id for chunk in judges]
            return judges
        findings = [*self._checked(stitched), *self._judged()]
        repairs = self._repairs(findings) if self.round <= self._spec.rounds else []
        self.remaining, self.has_looked = tuple(findings), True
        self.repairs = tuple(chunk.id for chunk in repairs)
        if repairs:
            self.round += 1
            self._asked = False
        return repairs

    def told(self) -> tuple[str, ...]:
        """What the last look found, a sentence each; what a model said of a chunk is an answer, and only counted."""
        told = [_told(each.chunk_id, each.problem) for each in self.remaining if each.check != "rubric"]
        judged = Counter(each.chunk_id for each in self.remaining if each.check == "rubric")
        where = f"orchestrate show RUN {self._judges[0]}" if self._judges else ""
        return (*told, *(_told(name, f"{count} found by the rubric ({where})") for name, count in judged.items()))

    def _parts(self) -> dict[str, str]:
        """The answers that the result is made of, by the id of the chunk, repaired where they were."""
        answers = repaired(self._known.answers)
        ids = flat_ids(self._workload.stitch_chunks, self._known.members)
        return {chunk_id: answers[chunk_id] for chunk_id in ids if chunk_id in answers}

    def _checked(self, stitched: Stitched) -> list[Finding]:
        """What can be found without a model."""
        parts, expect, spec = self._parts(), self._workload.expect, self._spec
        found = [Finding(chunk_id="", problem=each, check="expect") for each in _short_of(stitched.text, expect)]
        if spec.coverage is not None:
            outline = str(self._known.value(spec.coverage))
            points = points_of(repaired(self._known.answers).get(spec.coverage, outline))
            others = {name: text for name, text in parts.items() if name != spec.coverage}
            for point, nearest in uncovered(points, others):
                problem = f"no section answers this point of the outline: {_one_line(point)}"
                found.append(Finding(chunk_id=nearest, problem=problem, check="coverage"))
        for chunk_id, problem in inconsistencies(parts, aspects=spec.consistency):
            found.append(Finding(chunk_id=chunk_id, problem=problem, check="consistency"))
        return found

    def _judged(self) -> list[Finding]:
        """What the model found in this round."""
        found: list[Finding] = []
        for judge in self._judges:
            answer = self._known.answers.get(judge)
            read = _read(answer) if answer is not None else None
            if read is None:
                found.append(Finding(chunk_id="", problem=f"{judge} gave no judgement", check="rubric"))
            else:
                found += read
        return found

    def _judging(self) -> list[Chunk]:
        parts = self._parts()
        sized = [Sized(Part(chunk_id=name), count_tokens(text)) for name, text in parts.items()]
        batches = pack(sized, max_tokens=REVIEWED_TOKENS)
        chunks: list[Chunk] = []
        seen = 0
        for at, batch in enumerate(batches, 1):
            places = {"first": str(seen + 1), "last": str(seen + len(batch)), "count": str(len(parts))}
            values = {
                "rubric": self._workload.rubric,
                "request": self._workload.plan.request or self._workload.name,
                "scope": fill(prompt_text("review-scope"), places) if len(batches) > 1 else "",
                "parts": "\n\n".join(str(Answer(part.chunk_id, parts[part.chunk_id])) for part in batch),
            }
            name = f"review.{self.round}" if len(batches) == 1 else f"review.{self.round}[{at}]"
            chunks.append(self._judge(name, fill(prompt_text("review"), values), at))
            seen += len(batch)
        return chunks

    def _judge(self, name: str, prompt: str, at: int) -> Chunk:
        return own_chunk(
            self._workload.plan,
            name,
            prompt,
            complexity="complex",
            order=(len(self._workload.plan.chunks), self.round, at),
            model=self._spec.model,
            output_schema=json.loads(json_text("review-answer")),
        )

    def _repairs(self, findings: Sequence[Finding]) -> list[Chunk]:
        """One chunk for each that something was found in, in the order of the result."""
        parts = self._parts()
        whole = self._spec.repair or (next(iter(parts)) if len(parts) == 1 else "")
        by_chunk: dict[str, list[str]] = {}
        for finding in findings:
            chunk_id = finding.chunk_id if finding.chunk_id in parts else whole
            if chunk_id in parts:
                by_chunk.setdefault(chunk_id, []).append(finding.problem)
        return [self._repair(name, parts[name], by_chunk[name]) for name in parts if name in by_chunk]

    def _repair(self, chunk_id: str, text: str, problems: Sequence[str]) -> Chunk:
        chunk = self._known.chunks[chunk_id]
        asked = render_prompt(chunk, self._workload, inputs=input_values(self._workload), known=self._known)
        prompt = repair_prompt(chunk_id, asked, text, problems)
        return replace(
            chunk,
            id=f"{chunk_id}.repair{self.round}",
            template=compile_template(prompt, literal=True),
            references=(),
            upstream=(),
            after=(),
            on_missing={},
            occurrence=0,
            recipe=_hash(prompt),
            order=(*chunk.order[:2], self.round),
            group="",
            merges=False,
            parts=(),
            carry=None,
        )


def repaired(answers: Mapping[str, str]) -> Mapping[str, str]:
    """The same answers, where a chunk that was repaired has the answer of its latest repair."""
    latest = latest_repair(answers)
    return ChainMap({name: answers[repair] for name, repair in latest.items()}, dict(answers)) if latest else answers


def latest_repair(names: Iterable[str]) -> dict[str, str]:
    """The latest repair among these chunks of each chunk that was repaired."""
    latest: dict[str, int] = {}
    for name in names:
        found = _REPAIR.fullmatch(name)
        if found:
            latest[found[1]] = max(int(found[2]), latest.get(found[1], 0))
    return {name: f"{name}.repair{number}" for name, number in latest.items()}


def _short_of(text: str, expect: Any) -> tuple[str, ...]:
    return shortfalls(text, expect) if expect is not None else ()


def _read(answer: str) -> list[Finding] | None:
    """What the judge found; None when the answer does not have the form that was asked for."""
    try:
        value: Any = json.loads(answer)
        problems = cast("list[dict[str, Any]]", value["problems"])
        found = [Finding(chunk_id=str(each["part"]), problem=str(each["problem"]), check="rubric") for each in problems]
    except (ValueError, KeyError, TypeError):
        return None
    if not found and value.get("verdict") == "fail":
        return [Finding(chunk_id="", problem="the judge found it wanting and did not say where", check="rubric")]
    return found


def _told(chunk_id: str, problem: str) -> str:
    return f"{chunk_id}: {problem}" if chunk_id else problem


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:159]}…"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
