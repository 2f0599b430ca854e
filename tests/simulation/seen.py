"""What was seen of one process from outside: its events, what its runner was asked, and what its store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.engine.outage import FEWEST_RETRIES
from orchestrator.engine.policy import OVERLOADS, PROVES_OPEN
from orchestrator.engine.result import RunResult
from orchestrator.events import (
    ChunkCancelled,
    ChunkFailed,
    ChunkRetryScheduled,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    Event,
    RunContinued,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
)
from orchestrator.plan.estimate import ChunkEstimate
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.runners.base import Failure, FailureClass
from tests.simulation.faults import STOPPING, FaultyRunner, Span
from tests.simulation.virtual import EPOCH_S, MemoryStore, VirtualLoop

_ENDS = (ChunkSucceeded, ChunkReused, ChunkFailed, ChunkSkipped, ChunkCancelled)


@dataclass(slots=True)
class Pause:
    """A pause that was told. `until_s` is None for one that was told without an end, `end_s` while it goes on."""

    start_s: float
    until_s: float | None
    end_s: float | None = None


@dataclass(kw_only=True)
class Seen:
    """Kept up with `heard`, `attempt_started` and `attempt_ended`. Times are seconds of virtual time."""

    run_id: str
    workload: Workload
    store: MemoryStore
    runner: FaultyRunner
    loop: VirtualLoop
    next_seq: int
    max_concurrency: int
    max_cost_usd: float | None
    max_wall_s: float | None
    max_same_failure: int
    pause_left_s: float | None
    fresh: bool
    waits_for_limits: bool
    is_to_prove: bool
    """Whether an earlier process met a limit, so that the first call of this one may go alone."""

    def __post_init__(self) -> None:
        self.events: list[Event] = []
        self.known: set[str] = set()
        self.ended: dict[str, Event] = {}
        self.answers: dict[str, str] = {}
        self.not_before: dict[str, float] = {}
        self.split: set[str] = set()
        self.twins = {each.id for each in self.workload.chunks.values() if each.template.source.startswith("Say ")}
        self.own_spans: list[Span] = []
        self.spans_of: dict[str, list[Span]] = {}
        self.started: dict[str, Span | None] = {}
        self.canary = self.finished = False
        self.pauses: list[Pause] = []
        self.overloads = 0
        self.counted_overloads: Counter[str] = Counter()
        self.same_failures = self.most_same_failures = 0
        self.last_failure = ""
        self.began_s = self.continued_s = 0.0
        self.proved_s = -1.0
        self.executing = False
        self.stop_s: float | None = None
        self.stop_asked = False
        self.store_failed = False
        self.result: RunResult | None = None
        self.estimates: Mapping[str, ChunkEstimate] = {}
        stored = "SELECT coalesce(sum(cost_usd), 0) FROM chunks WHERE run_id = ?"
        self._before_usd: float = self.store.connection.execute(stored, (self.run_id,)).fetchone()[0]
        self._spent_usd = 0.0
        self._prototypes = {group.id: group.prototype for group in self.workload.groups.values()}

    def chunk(self, chunk_id: str) -> Chunk | None:
        """The chunk of the plan; for a piece that became known later what all pieces of its group share."""
        found = self.workload.chunks.get(chunk_id)
        return found if found is not None else self._prototypes.get(chunk_id.partition("[")[0])

    def earlier_in_sequence(self, chunk_id: str) -> list[str]:
        """In `mode: sequence` the known chunks before this one in the plan that have not come to their end."""
        chunks = self.workload.chunks
        if self.workload.plan.mode != "sequence" or chunk_id not in chunks:
            return []
        order = chunks[chunk_id].order
        left = [(each, self.chunk(each)) for each in self.known - self.ended.keys()]
        return sorted(name for name, each in left if each is not None and each.order < order)

    def may_reuse(self, chunk_id: str) -> bool:
        """Whether the chunk may take an answer that was stored by another run."""
        chunk = self.chunk(chunk_id)
        return chunk is not None and chunk.reuse == "always" and not self.fresh

    def members(self, name: str) -> list[str]:
        """The chunks that a name stands for: itself, or those of a group that are known."""
        if name in self.known:
            return [name]
        return [each for each in self.known if each.startswith(f"{name}[") and "." not in each]

    def of(self, span: Span) -> list[Span]:
        """The earlier attempts of the same chunk in this process."""
        return [each for each in self.spans_of.get(span.request.chunk_id, ()) if each is not span]

    def spent_usd(self, *, before_s: float, stored_only: bool = False) -> float:
        """What the attempts of this run that ended before this moment told."""
        late = sum(
            each.outcome.cost_usd
            for each in self.own_spans[-2 * self.max_concurrency :]
            if each.outcome is not None and each.ended_s is not None and each.ended_s >= before_s
        )
        return self._spent_usd - late + (0.0 if stored_only else self._before_usd)

    def least_usd(self, chunk_id: str) -> float:
        """The lowest estimate of one attempt of the chunk; 0 when it was not estimated by itself."""
        estimate = self.estimates.get(chunk_id)
        return estimate.cost_usd_low if estimate is not None else 0.0

    def paused_s(self) -> float:
        """How long this process was paused so far."""
        now_s = self.loop.time()
        return sum((now_s if each.end_s is None else each.end_s) - each.start_s for each in self.pauses if each.until_s)

    @property
    def paused(self) -> bool:
        """Whether the run was told to be paused, for whatever reason."""
        return any(each.end_s is None for each in self.pauses)

    def stored_answer(self, chunk_id: str) -> str | None:
        """The text of the chunk's stored answer."""
        row = self.store.connection.execute(
            "SELECT text FROM chunks JOIN answers USING (answer_id) WHERE chunks.run_id = ? AND chunks.chunk_id = ?",
            (self.run_id, chunk_id),
        ).fetchone()
        return row[0] if row else None

    def still_running(self, at_s: float) -> set[str]:
        """The chunks that were told as started since the last pause and whose attempts went on after this moment."""
        return {
            chunk_id
            for chunk_id, span in self.started.items()
            if span is not None
            and span.started_s > self.continued_s - 0.001
            and (span.ended_s is None or span.ended_s > at_s + 0.001)
        }

    def ending_pause(self, at_s: float) -> Pause:
        """The pause that ends at this moment: one that was to end by now, else one without an end."""
        going = [each for each in self.pauses if each.end_s is None]
        due = [each for each in going if each.until_s is not None and each.until_s <= at_s + 0.002]
        return (due or [each for each in going if each.until_s is None] or going)[0]

    @property
    def may_be_idle(self) -> bool:
        """Whether there is a reason that nothing starts."""
        stopped = self.stop_s is not None or self.store_failed or self.most_same_failures >= self.max_same_failure
        out_of_time = self.max_wall_s is not None
        busy = self.store.writer is None or not self.store.writer.idle
        proves = self.is_to_prove and self.proved_s < 0
        held = self.paused or self.canary or proves or self.max_cost_usd is not None
        return stopped or out_of_time or busy or held or not self.executing

    def stop(self) -> None:
        """From now on nothing may start."""
        if self.stop_s is None:
            self.stop_s = self.loop.time()

    def attempt_started(self, span: Span) -> None:
        """The runner was asked."""
        self.own_spans.append(span)
        self.spans_of.setdefault(span.request.chunk_id, []).append(span)

    def attempt_ended(self, span: Span) -> None:
        """The runner gave its answer back."""
        outcome = span.outcome
        if outcome is None:
            return
        self._spent_usd += outcome.cost_usd
        if not isinstance(outcome, Failure) or outcome.error_type in PROVES_OPEN:
            self.proved_s = max(self.proved_s, span.started_s)
            self.canary &= span.started_s < self.continued_s - 0.001
        if isinstance(outcome, Failure):
            limited = outcome.error_type is FailureClass.USAGE_LIMIT and not self.waits_for_limits
            if outcome.error_type in STOPPING or limited:
                self.stop()
            if outcome.error_type in OVERLOADS:
                self.overloads += 1
                if self.overloads <= FEWEST_RETRIES:
                    self.counted_overloads[span.request.chunk_id] += 1

    def heard(self, event: Event) -> None:
        """An observer was told."""
        self.events.append(event)
        self.next_seq = event.seq + 1
        match event:
            case RunStarted() | RunResumed():
                self.known.update(event.chunk_ids)
            case ChunksAdded():
                self.known.update(event.chunk_ids)
                self.split.update(f"{each.rpartition('.')[0]}]" for each in event.chunk_ids if "." in each)
            case ChunkStarted():
                # The runner may have been asked a turn later than the event was numbered, never than it was told.
                spans = self.spans_of.get(event.chunk_id)
                self.started[event.chunk_id] = spans[-1] if spans else None
            case ChunkRetryScheduled():
                self.not_before[event.chunk_id] = seconds_of(event.at) + event.wait_s
                self.started.pop(event.chunk_id, None)
            case RunPaused():
                self._paused(seconds_of(event.at), seconds_of(event.until) if event.until else None)
            case RunContinued():
                ended = self.ending_pause(seconds_of(event.at))
                ended.end_s = seconds_of(event.at)
                if ended.until_s is not None:
                    self.canary, self.continued_s = self.proved_s < ended.end_s - 0.001, ended.end_s
            case RunFinished():
                self.finished = True
            case _:
                pass
        if isinstance(event, _ENDS):
            self._end(event)

    def _paused(self, at_s: float, until_s: float | None) -> None:
        going = [each for each in self.pauses if each.end_s is None and each.until_s is not None]
        self.canary &= until_s is None
        if until_s is not None and going:
            going[0].until_s = until_s
        else:
            self.pauses.append(Pause(at_s, until_s))

    def _end(self, event: ChunkSucceeded | ChunkReused | ChunkFailed | ChunkSkipped | ChunkCancelled) -> None:
        self.ended[event.chunk_id] = event
        self.started.pop(event.chunk_id, None)
        if isinstance(event, ChunkSucceeded):
            self.same_failures, self.last_failure = 0, ""
        if isinstance(event, ChunkSucceeded | ChunkReused):
            self.answers[event.chunk_id] = self.stored_answer(event.chunk_id) or ""
        if isinstance(event, ChunkFailed):
            same = event.error_type == self.last_failure
            self.same_failures = self.same_failures + 1 if same else 1
            self.most_same_failures = max(self.most_same_failures, self.same_failures)
            self.last_failure = event.error_type


def seconds_of(moment: str) -> float:
    """Virtual seconds of a time that an event tells."""
    return datetime.fromisoformat(moment).timestamp() - EPOCH_S
