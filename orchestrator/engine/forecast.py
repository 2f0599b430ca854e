"""What a run will reuse and what it has to ask, as far as that can be known before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from orchestrator.engine.render import Known, fingerprint, input_values, render_prompt, system_prompt
from orchestrator.engine.reuse import ReuseRules, oldest_allowed
from orchestrator.plan.values import RenderTooLarge
from orchestrator.plan.workload import Chunk, ForEach, Workload
from orchestrator.store import AnswerRecord, ChunkRecord, Connection
from orchestrator.store.reads import answer as read_answer
from orchestrator.store.reads import find_answer
from orchestrator.store.thread import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A chunk whose prompt is known already; `answer_id` is that of the stored answer that will stand in, if any."""

    fingerprint: str
    answer_id: int | None

    @property
    def reusable(self) -> bool:
        """Whether nothing has to be paid."""
        return self.answer_id is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`prospects` has the chunks whose prompts are known; all others wait for answers that are not there yet.

    `earlier` holds the chunks of the latest earlier run of the plan (of this run itself when it is resumed).
    """

    prospects: Mapping[str, Prospect]
    earlier: Mapping[str, ChunkRecord]

    @property
    def reusable(self) -> frozenset[str]:
        """The chunks that nothing has to be paid for."""
        return frozenset(chunk_id for chunk_id, prospect in self.prospects.items() if prospect.reusable)


def find_reusable(chunk: Chunk, *, fingerprint: str, own: ChunkRecord | None, refusal: str, now_s: float) -> Work:
    """The store's answer for a chunk, as a job: what this run has from before, else what the rules allow."""

    def look(connection: Connection) -> AnswerRecord | None:
        if own is not None and own.answer_id is not None and own.fingerprint == fingerprint:
            return read_answer(connection, own.answer_id)
        if refusal:
            return None
        return find_answer(connection, fingerprint, not_before=oldest_allowed(chunk, now_s=now_s))

    return look


def forecast(
    connection: Connection,
    workload: Workload,
    *,
    runner: str,
    rules: ReuseRules,
    own: Mapping[str, ChunkRecord],
    earlier: Mapping[str, ChunkRecord],
    now_s: float,
) -> Forecast:
    """Walk the plan along its dependencies as far as stored answers carry. `own` are this run's chunks, if resumed."""
    context = system_prompt(workload)
    inputs = input_values(workload)
    answers: dict[str, str] = {}
    prospects: dict[str, Prospect] = {}
    static = {group.id: group.members for group in workload.groups.values() if isinstance(group, ForEach)}
    known = Known(
        answers=answers,
        gaps={},
        chunks=workload.chunks,
        groups=workload.groups,
        members=static.get,
    )
    before = {chunk.id: _needed(chunk, static) for chunk in workload.chunks.values()}
    order = TopologicalSorter({name: needs for name, needs in before.items() if needs is not None}).static_order()
    for chunk in (workload.chunks[chunk_id] for chunk_id in order if chunk_id in workload.chunks):
        needs = before[chunk.id]
        if needs is None or any(each not in answers for each in needs):
            continue
        try:
            prompt = render_prompt(chunk, workload, inputs=inputs, known=known)
        except RenderTooLarge:
            continue
        digest = fingerprint(chunk, prompt=prompt, context=context, runner=runner)
        refusal = rules.refusal(chunk)
        look = find_reusable(chunk, fingerprint=digest, own=own.get(chunk.id), refusal=refusal, now_s=now_s)
        found = look(connection)
        prospects[chunk.id] = Prospect(fingerprint=digest, answer_id=found.answer_id if found is not None else None)
        if found is not None:
            answers[chunk.id] = found.text
    return Forecast(prospects=prospects, earlier=earlier)


def _needed(chunk: Chunk, static: Mapping[str, tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """The chunks whose answers the prompt waits for; None when some of them are not known before the run."""
    if chunk.merges:
        return None
    needed: list[str] = []
    carried = (chunk.carry.previous,) if chunk.carry is not None and chunk.carry.previous else ()
    for name in (*chunk.upstream, *carried):
        members = static.get(name, (name,))
        if members is None:
            return None
        needed += members
    return tuple(needed)
