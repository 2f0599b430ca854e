"""What a run will reuse and what it has to ask, as far as that can be known before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from orchestrator.engine.drafts import Rejected
from orchestrator.engine.groups import Groups
from orchestrator.engine.render import fingerprint, input_values, render_prompt, system_prompt
from orchestrator.engine.reuse import ReuseRules, oldest_allowed
from orchestrator.engine.reviewing.judging import answer_shortfalls
from orchestrator.engine.schedule import Schedule
from orchestrator.plan.values import RenderTooLarge
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.store import AnswerRecord, ChunkRecord, Connection, PastRun
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


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`prospects` has the chunks whose prompts are known; all others wait for answers that are not there yet.

    `earlier` is the latest earlier run of the plan (this run itself as it was when it is resumed). `ahead` is
    the workload with the pieces and merges that stored answers lead to; with `complete` nothing has to be asked.
    """

    prospects: Mapping[str, Prospect]
    earlier: PastRun
    ahead: Workload
    complete: bool

    @cached_property
    def reusable(self) -> frozenset[str]:
        """The chunks that nothing has to be paid for."""
        return frozenset(chunk_id for chunk_id, prospect in self.prospects.items() if prospect.reusable)


def find_reusable(chunk: Chunk, *, fingerprint: str, own: ChunkRecord | None, refusal: str, now_s: float) -> Work:
    """The store's answer for a chunk, as a job: what this run has from before, else what the rules allow.

    It is judged as a new one would be, since the plan may expect more now: the job returns an `AnswerRecord`, a
    `Rejected`, or None.
    """

    def look(connection: Connection) -> AnswerRecord | Rejected | None:
        found: AnswerRecord | None = None
        if own is not None and own.answer_id is not None and own.fingerprint == fingerprint:
            found = read_answer(connection, own.answer_id)
        elif not refusal:
            found = find_answer(connection, fingerprint, not_before=oldest_allowed(chunk, now_s=now_s))
        problems = answer_shortfalls(chunk, found.text) if found is not None else ()
        return Rejected(found.text, problems) if found is not None and problems else found

    return look


def forecast(
    connection: Connection,
    workload: Workload,
    *,
    runner: str,
    rules: ReuseRules,
    own: Mapping[str, ChunkRecord],
    earlier: PastRun,
    now_s: float,
) -> Forecast:
    """Walk the plan along its dependencies as far as stored answers carry. `own` are this run's chunks, if resumed."""
    context, inputs = system_prompt(workload), input_values(workload)
    prospects: dict[str, Prospect] = {}
    seen = _Seen()
    groups = Groups(workload, ledger=seen)
    schedule = Schedule(groups.first_nodes(duration_s={}), max_concurrency=1)
    while ready := schedule.take_ready():
        for node_id in ready:
            if groups.is_virtual(node_id):
                _unfold(node_id, groups, schedule)
                continue
            chunk = groups.known.chunks[node_id]
            try:
                prompt = render_prompt(chunk, workload, inputs=inputs, known=groups.known)
            except RenderTooLarge:
                continue
            digest = fingerprint(chunk, prompt=prompt, context=context, runner=runner)
            refusal = rules.refusal(chunk)
            look = find_reusable(chunk, fingerprint=digest, own=own.get(chunk.id), refusal=refusal, now_s=now_s)
            found = look(connection)
            usable = isinstance(found, AnswerRecord)
            prospects[chunk.id] = Prospect(fingerprint=digest, answer_id=found.answer_id if usable else None)
            if usable:
                seen.answers[chunk.id] = found.text
                schedule.finish(chunk.id, "succeeded")
    return Forecast(prospects=prospects, earlier=earlier, ahead=groups.ahead(workload), complete=schedule.done)


@dataclass(slots=True)
class _Seen:
    """The stored answers found so far."""

    answers: dict[str, str] = field(default_factory=dict[str, str])
    gaps: dict[str, str] = field(default_factory=dict[str, str])


def _unfold(node_id: str, groups: Groups, schedule: Schedule) -> None:
    """Take in what the run will take in at this point; a merge that cannot be made stays as it is."""
    step = groups.step(node_id)
    schedule.add([*(groups.node(chunk) for chunk in step.chunks), *step.virtual])
    for waiting, upstream in step.extend.items():
        schedule.extend(waiting, upstream)
    if not step.failures:
        schedule.finish(node_id, step.status)
