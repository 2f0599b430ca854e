"""What is known of each chunk of a run; every change is stored and told as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.engine.clock import Clock
from orchestrator.engine.costs.caching import CacheUse
from orchestrator.engine.journal import Journal
from orchestrator.engine.schedule import Skip
from orchestrator.events import (
    ChunkCancelled,
    ChunkFailed,
    ChunkRetryScheduled,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
)
from orchestrator.plan.workload import Chunk
from orchestrator.runners.base import Failure, Reply, Request
from orchestrator.store import AnswerRecord, AttemptRecord, BeginningRecord, ChunkRecord, Writes
from orchestrator.store.thread import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """One attempt is over. `charge_usd` is what the budget charged for it."""

    attempt: int
    elapsed_s: float
    charge_usd: float


@dataclass(slots=True)
class Counts:
    """Terminal events so far, one for each chunk."""

    succeeded: int = 0
    reused: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0


class Ledger:
    """The state of every chunk, and the answers so far.

    `answers` maps ids to texts, `gaps` ids to the reason why there will be no answer in this process. `unopened` has
    the chunks that an earlier process of the run knew and this one does not know yet, such as the pieces of an answer.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        runner_kind: str,
        records: Mapping[str, ChunkRecord],
        unopened: Mapping[str, ChunkRecord],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._runner_kind = runner_kind
        self.records = dict(records)
        self.unopened = dict(unopened)
        self.answers: dict[str, str] = {}
        self.gaps: dict[str, str] = {}
        self.reused_ids: set[str] = set()
        self.counts = Counts()
        self.work_s = 0.0
        self.cache = CacheUse()

    def _write(self, record: ChunkRecord) -> Work:
        self.records[record.chunk_id] = record
        return Writes.put_chunks(self._journal.run_id, [record])

    @property
    def cost_usd(self) -> float:
        """What the run was charged so far, earlier processes included."""
        return sum(record.cost_usd for record in (*self.records.values(), *self.unopened.values()))

    @property
    def tokens(self) -> int:
        """What the run sent and received so far, earlier processes included, in tokens."""
        records = (*self.records.values(), *self.unopened.values())
        return sum(record.input_tokens + record.output_tokens for record in records)

    def added(self, records: Sequence[ChunkRecord]) -> None:
        """Chunks became known; what an earlier process of the run stored of one of them still holds."""
        records = [self.unopened.pop(record.chunk_id, record) for record in records]
        self.records.update({record.chunk_id: record for record in records})
        put = Writes.put_chunks(self._journal.run_id, records)
        self._journal.append(ChunksAdded, put, chunk_ids=tuple(record.chunk_id for record in records))

    def charge_lost(self, expected_usd: Mapping[str, float]) -> None:
        """Charge the attempts that were under way when an earlier process died what was reserved for them."""
        for record in (*self.records.values(), *self.unopened.values()):
            if record.status == "running":
                self._lost(record.chunk_id, charge_usd=expected_usd.get(record.chunk_id, 0.0))

    def _lost(self, chunk_id: str, *, charge_usd: float) -> None:
        known = self.records if chunk_id in self.records else self.unopened
        before = known[chunk_id]
        known[chunk_id] = replace(before, status="pending", cost_usd=before.cost_usd + charge_usd)
        self._journal.do(Writes.put_chunks(self._journal.run_id, [known[chunk_id]]))
        attempt = AttemptRecord(
            chunk_id=chunk_id,
            attempt=before.attempts,
            at=self._clock.iso(),
            error_type="crash",
            message="the process that ran it died",
            elapsed_s=0.0,
            cost_usd=charge_usd,
        )
        self._journal.do(Writes.add_attempt(self._journal.run_id, attempt))

    def started(self, chunk: Chunk, request: Request, *, fingerprint: str, why: str) -> None:
        """An attempt begins."""
        chunk_id = chunk.id
        record = replace(
            self.records[chunk_id],
            status="running",
            attempts=request.attempt,
            why=why,
            fingerprint=fingerprint,
            error_type="",
            message="",
            because="",
        )
        self._journal.append(
            ChunkStarted,
            self._write(record),
            chunk_id=chunk_id,
            attempt=request.attempt,
            timeout_s=request.timeout_s,
            complexity=chunk.complexity,
            why=why,
            account=request.account,
        )

    def succeeded(self, chunk_id: str, reply: Reply, end: AttemptEnd, *, then: Callable[[], None]) -> None:
        """The answer is there; `then` is called when it is stored and told."""
        before = self.records[chunk_id]
        reply = replace(reply, text=_whole_characters(reply.text))
        self.work_s += end.elapsed_s
        self.cache.add(reply.usage, model=reply.model)
        record = replace(
            before,
            status="succeeded",
            elapsed_s=before.elapsed_s + end.elapsed_s,
            input_tokens=before.input_tokens + reply.usage.total_input_tokens,
            output_tokens=before.output_tokens + reply.usage.output_tokens,
            cost_usd=before.cost_usd + end.charge_usd,
            model=reply.model,
        )
        answer = AnswerRecord(
            fingerprint=record.fingerprint,
            runner=self._runner_kind,
            text=reply.text,
            model=reply.model,
            input_tokens=reply.usage.total_input_tokens,
            output_tokens=reply.usage.output_tokens,
            cost_usd=reply.cost_usd,
            elapsed_s=end.elapsed_s,
            session_id=reply.session_id,
            run_id=self._journal.run_id,
            chunk_id=chunk_id,
            created_at=self._clock.iso(),
        )

        def stored(values: list[int]) -> None:
            self.records[chunk_id] = replace(record, answer_id=values[0])
            self.answers[chunk_id] = reply.text
            self.counts.succeeded += 1
            then()

        self._journal.append(
            ChunkSucceeded,
            Writes.put_answered_chunk(self._journal.run_id, record, answer),
            then=stored,
            chunk_id=chunk_id,
            attempt=end.attempt,
            elapsed_s=round(record.elapsed_s, 3),
            input_tokens=record.input_tokens,
            output_tokens=record.output_tokens,
            cost_usd=record.cost_usd,
        )

    def reused(self, chunk_id: str, answer: AnswerRecord, *, fingerprint: str) -> None:
        """A stored answer stands in."""
        own = answer.run_id == self._journal.run_id and answer.chunk_id == chunk_id
        record = replace(
            self.records[chunk_id],
            status="succeeded",
            why="answered earlier in this run"
            if own
            else f"same prompt and settings as {answer.chunk_id} in run {answer.run_id}",
            fingerprint=fingerprint,
            answer_id=answer.answer_id,
            reused_from="" if own else answer.run_id,
            model=answer.model,
            error_type="",
            message="",
            because="",
        )
        self.answers[chunk_id] = answer.text
        self.reused_ids.add(chunk_id)
        self.counts.reused += 1
        self._journal.append(ChunkReused, self._write(record), chunk_id=chunk_id, from_run=answer.run_id)

    def attempt_failed(self, chunk_id: str, failure: Failure, end: AttemptEnd) -> None:
        """An attempt brought no answer; the chunk may go on."""
        before = self.records[chunk_id]
        self.work_s += end.elapsed_s
        record = replace(
            before,
            status="pending",
            elapsed_s=before.elapsed_s + end.elapsed_s,
            input_tokens=before.input_tokens + failure.usage.total_input_tokens,
            output_tokens=before.output_tokens + failure.usage.output_tokens,
            cost_usd=before.cost_usd + end.charge_usd,
            error_type=failure.error_type.value,
            message=failure.message,
        )
        attempt = AttemptRecord(
            chunk_id=chunk_id,
            attempt=end.attempt,
            at=self._clock.iso(),
            error_type=failure.error_type.value,
            message=failure.message,
            elapsed_s=end.elapsed_s,
            cost_usd=end.charge_usd,
            evidence=dict(failure.evidence),
        )
        self._journal.do(self._write(record))
        self._journal.do(Writes.add_attempt(self._journal.run_id, attempt))

    def retry_scheduled(self, chunk_id: str, *, attempt: int, wait_s: float) -> None:
        """The chunk goes again after a wait."""
        record = replace(self.records[chunk_id], status="pending")
        self._journal.append(
            ChunkRetryScheduled,
            self._write(record),
            chunk_id=chunk_id,
            attempt=attempt,
            wait_s=round(wait_s, 3),
            reason=record.error_type,
        )

    def cut(self, chunk_id: str, *, attempt: int, text: str, cuts: int) -> None:
        """The answer was cut; the chunk goes on from what there is of it, also when this process ends first."""
        beginning = BeginningRecord(
            fingerprint=self.records[chunk_id].fingerprint,
            text=_whole_characters(text),
            cuts=cuts,
            run_id=self._journal.run_id,
            created_at=self._clock.iso(),
        )
        self._journal.do(Writes.put_beginning(beginning))
        self.retry_scheduled(chunk_id, attempt=attempt, wait_s=0.0)

    def begin_anew(self, chunk_id: str) -> None:
        """What there is of an answer that was cut will not be gone on with."""
        self._journal.do(Writes.forget_beginning(self.records[chunk_id].fingerprint))

    def failed(self, chunk_id: str, *, error_type: str, message: str) -> None:
        """The chunk has no answer and goes no more."""
        record = replace(self.records[chunk_id], status="failed", error_type=error_type, message=message)
        self.gaps[chunk_id] = error_type
        self.counts.failed += 1
        self._journal.append(
            ChunkFailed,
            self._write(record),
            chunk_id=chunk_id,
            attempt=record.attempts,
            error_type=error_type,
            message=message,
            cost_usd=record.cost_usd,
        )

    def skipped(self, skip: Skip) -> None:
        """The chunk will not start."""
        record = replace(self.records[skip.chunk_id], status="skipped", because=skip.because)
        self.gaps[skip.chunk_id] = f"skipped since {skip.because} has no answer"
        self.counts.skipped += 1
        self._journal.append(ChunkSkipped, self._write(record), chunk_id=skip.chunk_id, because=skip.because)

    def cancelled(self, chunk_id: str) -> None:
        """The process stops before the chunk had an answer."""
        record = replace(self.records[chunk_id], status="cancelled")
        self.gaps[chunk_id] = "not run yet"
        self.counts.cancelled += 1
        self._journal.append(ChunkCancelled, self._write(record), chunk_id=chunk_id)


def _whole_characters(text: str) -> str:
    """The text without half characters, which can neither be stored nor sent on."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
