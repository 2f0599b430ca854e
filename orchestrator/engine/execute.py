"""Running the chunks: each starts the moment its own inputs are there, as far as slots, money and limits allow.

Everything that happens (an attempt ended, a wait is over, a stop was asked for) comes through one mailbox and is
handled in one place, one at a time; no handler waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.engine.budget import Budget
from orchestrator.engine.clock import Clock, to_iso
from orchestrator.engine.control import RunControl, StopLevel
from orchestrator.engine.journal import Journal
from orchestrator.engine.ledger import AttemptEnd, Ledger
from orchestrator.engine.policy import TIMEOUTS, GiveUp, Pause, Retry, StopClass, StopRun, react
from orchestrator.engine.progress import ProgressMeter
from orchestrator.engine.render import answer_values, fingerprint, input_values, system_prompt, template_values
from orchestrator.engine.reuse import ReuseRules, oldest_allowed, reason_to_run
from orchestrator.engine.schedule import Schedule
from orchestrator.errors import StoreError
from orchestrator.events import ChunkProgressed, RunContinued, RunPaused
from orchestrator.plan.template import TemplateProblem
from orchestrator.plan.workload import Workload
from orchestrator.runners.base import Failure, FailureClass, Reply, Request, Runner
from orchestrator.store import AnswerRecord, ChunkRecord
from orchestrator.store.reads import answer as read_answer
from orchestrator.store.reads import find_answer

PROGRESS_INTERVAL_S = 0.5
"""At most one progress event for a chunk in this time: the eye needs no more."""

_UNTOLD_COST = frozenset(
    {FailureClass.CRASH, FailureClass.PROTOCOL, FailureClass.CANCELLED, *TIMEOUTS},
)
"""Attempts that may have cost something without telling: charged what was reserved for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run must keep to. `wait_for_limits` pauses for a usage limit; otherwise the run stops there."""

    max_wall_s: float | None
    max_same_failure: int
    wait_for_limits: bool
    paused_until_s: float | None = None


@dataclass(slots=True)
class _Progressing:
    """One chunk on its way."""

    fingerprint: str = ""
    why: str = ""
    attempts_used: int = 0
    throttled_waits: int = 0
    timeouts: int = 0
    started_s: float = 0.0
    told_s: float = 0.0
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Flight:
    """A prompt under way; chunks with the same fingerprint wait for its answer."""

    leader: str
    followers: list[str] = field(default_factory=list[str])


class Executor:
    """Runs one workload to its end, or until it is stopped. Use `run()` once."""

    def __init__(
        self,
        workload: Workload,
        *,
        schedule: Schedule,
        ledger: Ledger,
        journal: Journal,
        runner: Runner,
        budget: Budget,
        bounds: Bounds,
        rules: ReuseRules,
        earlier: Mapping[str, ChunkRecord],
        control: RunControl,
        clock: Clock,
        meter: ProgressMeter,
        on_finished: Callable[[], None],
    ) -> None:
        self._workload = workload
        self._schedule = schedule
        self._ledger = ledger
        self._journal = journal
        self._runner = runner
        self._budget = budget
        self._bounds = bounds
        self._rules = rules
        self._earlier = earlier
        self._control = control
        self._clock = clock
        self._meter = meter
        self._on_finished = on_finished
        self._context = system_prompt(workload)
        self._inputs = input_values(workload)
        self._mailbox: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        self._state: dict[str, _Progressing] = {}
        self._flights: dict[str, _Flight] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._pending = 0
        self._paused = False
        self._canary = False
        self._same_failure = ("", 0)
        self._store_error: StoreError | None = None
        self.stop_class: StopClass = ""
        self.stop_reason = ""

    async def run(self) -> None:
        """Returns when every chunk has its end, or when nothing more may start and nothing is under way.

        `stop_class` and `stop_reason` then tell which. Raises `StoreError` when answers can no longer be kept.
        """
        self._control.subscribe(lambda level: self._post(partial(self._on_stop_asked, level)))
        if self._control.level:
            self._on_stop_asked(self._control.level)
        if self._bounds.max_wall_s is not None:
            self._after(self._bounds.max_wall_s, partial(self._stop, "stopped", "the wall time limit is reached"))
        if self._bounds.paused_until_s is not None and self._bounds.paused_until_s > self._clock.epoch_s():
            self._pause(self._bounds.paused_until_s, "usage limit")
        self._heartbeat()
        try:
            self._advance()
            while not self._over():
                action = await self._mailbox.get()
                action()
                self._advance()
            if self._store_error:
                raise self._store_error
        finally:
            for timer in self._timers:
                timer.cancel()
            await self._end_attempts()
        for chunk_id in self._schedule.unfinished:
            self._ledger.cancelled(chunk_id)

    def store_failed(self, error: StoreError) -> None:
        """Answers can no longer be kept: end what is under way and give up."""
        self._store_error = error
        self._post(partial(self._cancel_attempts))

    def _over(self) -> bool:
        if self._store_error:
            return True
        if self._schedule.done:
            return True
        return bool(self.stop_class) and not self._pending

    async def _end_attempts(self) -> None:
        tasks = [state.task for state in self._state.values() if state.task and not state.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _post(self, action: Callable[[], None]) -> None:
        self._mailbox.put_nowait(action)

    def _after(self, wait_s: float, action: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            self._post(action)

        timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), due)
        self._timers.add(timer)

    def _heartbeat(self) -> None:
        self._tell_progress()
        self._after(self._meter.heartbeat_s, self._heartbeat)

    def _tell_progress(self) -> None:
        now = self._clock.monotonic_s()
        running = {
            chunk_id: round(now - state.started_s, 1)
            for chunk_id, state in self._state.items()
            if state.task and not state.task.done()
        }
        self._meter.tell(self._journal, done=self._schedule.done_count, running=running)

    # What can go on now

    def _advance(self) -> None:
        if self.stop_class or self._store_error:
            return
        while ready := self._schedule.take_ready():
            for chunk_id in ready:
                self._resolve(chunk_id)
        while (chunk_id := self._schedule.next_startable()) is not None and self._may_start(chunk_id):
            self._start(self._schedule.start())

    def _may_start(self, chunk_id: str) -> bool:
        if self.stop_class or self._paused or (self._canary and self._schedule.running_count):
            return False
        if self._budget.may_start(chunk_id):
            return True
        if not self._schedule.running_count:
            limit = self._budget.max_cost_usd
            self._stop("stopped", f"the cost limit of ${limit:.2f} is reached; raise it with --max-cost")
        return False

    def _prompt(self, chunk_id: str) -> str:
        chunk = self._workload.chunks[chunk_id]
        chunks = answer_values(chunk.references, answers=self._ledger.answers, gaps=self._ledger.gaps)
        return chunk.template.render(template_values(self._workload, inputs=self._inputs, chunks=chunks))

    def _resolve(self, chunk_id: str) -> None:
        """All inputs are there: find a stored answer, or queue the chunk."""
        chunk = self._workload.chunks[chunk_id]
        state = self._state[chunk_id] = _Progressing()
        try:
            prompt = self._prompt(chunk_id)
        except TemplateProblem as problem:
            self._fail(chunk_id, FailureClass.INVALID_REQUEST.value, str(problem))
            return
        state.fingerprint = fingerprint(chunk, prompt=prompt, context=self._context, runner=self._runner.kind)
        own = self._ledger.records[chunk_id]
        self._pending += 1
        if own.answer_id is not None and own.fingerprint == state.fingerprint:
            answer_id = own.answer_id
            self._journal.do(
                lambda connection: read_answer(connection, answer_id), partial(self._looked_up, chunk_id, "not stored")
            )
            return
        refusal = self._rules.refusal(chunk)
        oldest = oldest_allowed(chunk, now_s=self._clock.epoch_s())
        self._journal.do(
            lambda connection: None if refusal else find_answer(connection, state.fingerprint, not_before=oldest),
            partial(self._looked_up, chunk_id, refusal),
        )

    def _looked_up(self, chunk_id: str, refusal: str, answer: AnswerRecord | None) -> None:
        self._post(partial(self._on_looked_up, chunk_id, refusal, answer))

    def _on_looked_up(self, chunk_id: str, refusal: str, answer: AnswerRecord | None) -> None:
        self._pending -= 1
        state = self._state[chunk_id]
        if answer is not None:
            self._ledger.reused(chunk_id, answer, fingerprint=state.fingerprint)
            self._finish(chunk_id, "succeeded")
            return
        changed = [each for each in self._workload.chunks[chunk_id].upstream if self._is_new(each)]
        state.why = refusal or reason_to_run(
            self._workload.chunks[chunk_id],
            fingerprint=state.fingerprint,
            earlier=self._earlier.get(chunk_id),
            changed_upstream=changed,
        )
        flight = self._flights.get(state.fingerprint)
        if flight is not None and self._workload.chunks[chunk_id].reuse != "never":
            flight.followers.append(chunk_id)
            return
        self._flights[state.fingerprint] = _Flight(chunk_id)
        self._schedule.enqueue(chunk_id)

    def _is_new(self, chunk_id: str) -> bool:
        """Whether the chunk got another answer than the latest earlier run gave it."""
        earlier = self._earlier.get(chunk_id)
        return earlier is None or earlier.answer_id != self._ledger.records[chunk_id].answer_id

    # One attempt

    def _start(self, chunk_id: str) -> None:
        chunk = self._workload.chunks[chunk_id]
        state = self._state[chunk_id]
        state.attempts_used += 1
        state.started_s = self._clock.monotonic_s()
        request = Request(
            chunk_id=chunk_id,
            attempt=state.attempts_used,
            prompt=self._prompt(chunk_id),
            context=self._context,
            model=chunk.model,
            fallback_model=chunk.fallback_model,
            effort=chunk.effort,
            timeout_s=chunk.timeout_s * 2**state.timeouts,
        )
        self._budget.reserve(chunk_id)
        self._ledger.started(
            chunk_id,
            attempt=state.attempts_used,
            timeout_s=request.timeout_s,
            fingerprint=state.fingerprint,
            why=state.why,
        )
        self._pending += 1
        state.task = asyncio.create_task(self._attempt(request), name=f"orchestrate {chunk_id}")

    async def _attempt(self, request: Request) -> None:
        outcome: Reply | Failure | BaseException
        try:
            outcome = await self._runner.run(request, on_progress=partial(self._progressed, request.chunk_id))
        except asyncio.CancelledError:
            outcome = Failure(error_type=FailureClass.CANCELLED, message="ended on request")
        except BaseException as error:
            outcome = error
        self._post(partial(self._on_attempt_ended, request, outcome))

    def _progressed(self, chunk_id: str, output_chars: int) -> None:
        state = self._state[chunk_id]
        now = self._clock.monotonic_s()
        if now - state.told_s >= PROGRESS_INTERVAL_S:
            state.told_s = now
            self._journal.append(ChunkProgressed, chunk_id=chunk_id, output_chars=output_chars)

    def _on_attempt_ended(self, request: Request, outcome: Reply | Failure | BaseException) -> None:
        if isinstance(outcome, BaseException):
            raise outcome
        chunk_id = request.chunk_id
        self._schedule.release(chunk_id)
        elapsed_s = self._clock.monotonic_s() - self._state[chunk_id].started_s
        if isinstance(outcome, Reply) and not outcome.text.strip():
            outcome = Failure(error_type=FailureClass.EMPTY, message="the answer is empty", cost_usd=outcome.cost_usd)
        told = isinstance(outcome, Reply) or outcome.error_type not in _UNTOLD_COST or outcome.cost_usd > 0
        charge = self._budget.settle(chunk_id, cost_usd=outcome.cost_usd if told else None)
        end = AttemptEnd(attempt=request.attempt, elapsed_s=elapsed_s, charge_usd=charge)
        if isinstance(outcome, Reply):
            self._same_failure = ("", 0)
            self._canary = False
            self._meter.measured(chunk_id, elapsed_s)
            # The slot is free already; dependants wait until the answer is safe.
            self._ledger.succeeded(chunk_id, outcome, end, then=partial(self._post, partial(self._on_stored, chunk_id)))
            return
        self._pending -= 1
        self._on_failure(chunk_id, outcome, end)

    def _on_stored(self, chunk_id: str) -> None:
        self._pending -= 1
        self._finish(chunk_id, "succeeded")
        flight = self._flights.pop(self._state[chunk_id].fingerprint, None)
        for follower in flight.followers if flight else ():
            self._pending += 1
            answer_id = self._ledger.records[chunk_id].answer_id or 0
            self._journal.do(partial(read_answer, answer_id=answer_id), partial(self._looked_up, follower, ""))

    def _on_failure(self, chunk_id: str, failure: Failure, end: AttemptEnd) -> None:
        self._ledger.attempt_failed(chunk_id, failure, end)
        if failure.error_type is FailureClass.CANCELLED:
            self._stop("interrupted", "interrupted")
            return
        state = self._state[chunk_id]
        state.timeouts += failure.error_type in TIMEOUTS
        reaction = react(
            failure,
            attempts_used=state.attempts_used,
            max_attempts=self._workload.chunks[chunk_id].max_attempts,
            throttled_waits=state.throttled_waits,
            now_s=self._clock.epoch_s(),
            chance=self._clock.chance,
        )
        match reaction:
            case Retry(wait_s=wait_s, free=free):
                self._ledger.retry_scheduled(chunk_id, attempt=end.attempt, wait_s=wait_s)
                state.attempts_used -= free
                state.throttled_waits += free
                self._after(wait_s, partial(self._schedule.enqueue, chunk_id))
            case Pause(until_s=until_s):
                state.attempts_used -= 1
                self._schedule.enqueue(chunk_id)
                self._on_usage_limit(until_s, failure.message)
            case StopRun():
                self._stop("environment", failure.message)
            case GiveUp():
                self._canary = False
                self._fail(chunk_id, failure.error_type.value, failure.message)

    def _fail(self, chunk_id: str, error_type: str, message: str) -> None:
        self._ledger.failed(chunk_id, error_type=error_type, message=message)
        kind, count = self._same_failure
        self._same_failure = (error_type, count + 1 if kind == error_type else 1)
        self._finish(chunk_id, "failed")
        flight = self._flights.pop(self._state[chunk_id].fingerprint, None)
        if flight and flight.followers:
            leader, *rest = flight.followers
            self._flights[self._state[chunk_id].fingerprint] = _Flight(leader, rest)
            self._schedule.enqueue(leader)
        if self._same_failure[1] >= self._bounds.max_same_failure and not self._schedule.done:
            self._stop("stopped", f"{self._same_failure[1]} chunks in a row failed for the same reason: {message}")

    def _finish(self, chunk_id: str, status: str) -> None:
        for skip in self._schedule.finish(chunk_id, "succeeded" if status == "succeeded" else "failed"):
            self._ledger.skipped(skip)
        self._on_finished()
        self._tell_progress()

    # Stops and pauses

    def _on_usage_limit(self, until_s: float, message: str) -> None:
        if not self._bounds.wait_for_limits:
            self._stop("stopped", message)
        elif not self._paused:
            self._pause(until_s, message)

    def _pause(self, until_s: float, reason: str) -> None:
        self._paused = True
        self._journal.append(RunPaused, reason=reason, until=to_iso(until_s))
        self._after(until_s - self._clock.epoch_s(), self._on_pause_over)

    def _on_pause_over(self) -> None:
        self._paused = False
        # One call goes first: if the limit still holds, only one more attempt has met it.
        self._canary = True
        self._journal.append(RunContinued)

    def _on_stop_asked(self, level: StopLevel) -> None:
        self._stop("interrupted", "interrupted")
        if level >= StopLevel.TERMINATE:
            self._cancel_attempts()

    def _cancel_attempts(self) -> None:
        for state in self._state.values():
            if state.task and not state.task.done():
                state.task.cancel()

    def _stop(self, stop_class: StopClass, reason: str) -> None:
        order: tuple[StopClass, ...] = ("", "stopped", "environment", "interrupted")
        if order.index(stop_class) > order.index(self.stop_class):
            self.stop_class, self.stop_reason = stop_class, reason
