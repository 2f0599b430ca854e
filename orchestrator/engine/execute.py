"""Running the chunks: each starts the moment its own inputs are there, as far as slots, money and limits allow.

Everything that happens (an attempt ended, a wait is over, a stop was asked for) comes through one mailbox and is
handled in one place, one at a time; no handler waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from orchestrator.engine.admission import Admission, Claims
from orchestrator.engine.attempts import Attempts, Outcome
from orchestrator.engine.brake import Brake
from orchestrator.engine.clock import Clock
from orchestrator.engine.control import RunControl, StopLevel
from orchestrator.engine.costs.allowance import Allowances
from orchestrator.engine.costs.budgets import Budgets
from orchestrator.engine.costs.forecast import Forecast
from orchestrator.engine.costs.measuring import Measuring
from orchestrator.engine.drafts import Drafts
from orchestrator.engine.foresight import Foresight
from orchestrator.engine.gate import Bounds, Gate
from orchestrator.engine.groups import Groups
from orchestrator.engine.journal import Journal
from orchestrator.engine.ledger import AttemptEnd, Ledger
from orchestrator.engine.lookup import Lookup
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.policy import TIMEOUTS, GiveUp, Leave, Pause, Retry, StopClass, StopRun, react
from orchestrator.engine.progress import ProgressMeter
from orchestrator.engine.reuse import ReuseRules
from orchestrator.engine.schedule import FinalStatus, Schedule, Skip
from orchestrator.engine.unfolding import Unfolding
from orchestrator.errors import StoreError
from orchestrator.plan.values import RenderTooLarge
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.runners.base import Failure, FailureClass, Reply, Request, Runner


class Executor:
    """Runs one workload to its end, or until it is stopped; after `add()`, `run()` goes on with what was added.

    `on_finished` is called after each chunk that came to its end.
    """

    _store_error: StoreError | None = None

    def __init__(
        self,
        workload: Workload,
        *,
        groups: Groups,
        schedule: Schedule,
        ledger: Ledger,
        journal: Journal,
        runner: Runner,
        budgets: Budgets,
        bounds: Bounds,
        rules: ReuseRules,
        forecast: Forecast,
        measuring: Measuring,
        allowances: Allowances,
        control: RunControl,
        clock: Clock,
        meter: ProgressMeter,
        on_finished: Callable[[], None],
        claims: Claims,
    ) -> None:
        self._chunks = groups.known.chunks
        self._unfolding = Unfolding(groups, schedule=schedule, ledger=ledger, meter=meter)
        self._schedule, self._ledger, self._journal, self._budgets = schedule, ledger, journal, budgets
        self._measuring, self._meter, self._clock = measuring, meter, clock
        self._on_finished = on_finished
        self._mailbox, self._drafts = Mailbox(), Drafts()
        self._gate = Gate(bounds, budgets=budgets, journal=journal, mailbox=self._mailbox, clock=clock)
        self._lookup = Lookup(
            workload,
            known=groups.known,
            ledger=ledger,
            journal=journal,
            mailbox=self._mailbox,
            rules=rules,
            forecast=forecast,
            clock=clock,
            runner_kind=runner.kind,
            on_found=lambda chunk_id: self._finish(chunk_id, "succeeded"),
            on_draft=self._drafts.found,
            on_missing=schedule.enqueue,
        )
        self._allowances = allowances
        self._brake = Brake(bounds, most=schedule.max_concurrency, journal=journal, mailbox=self._mailbox, clock=clock)
        self._admission = self._make_admission(claims)
        self._attempts = Attempts(
            runner,
            journal=journal,
            mailbox=self._mailbox,
            clock=clock,
            judge=lambda chunk_id, reply: self._drafts.whole(self._chunks[chunk_id], reply),
            bounds=bounds.calls,
            on_answering=(allowances.heard, self._admission.answering),
            on_ended=self._on_attempt_ended,
        )
        self._foresight = Foresight(runner, schedule, self._gate, chunks=self._chunks, context=self._lookup.context)
        self._unsettled = 0
        control.subscribe(lambda level: self._mailbox.post(partial(self._on_stop_asked, level)))

    def _make_admission(self, claims: Claims) -> Admission:
        known = (self._schedule, self._mailbox, self._lookup)
        return Admission(
            *known, gate=self._gate, brake=self._brake, claims=claims, clock=self._clock, start=self._start
        )

    @property
    def stop(self) -> tuple[StopClass, str]:
        """Why the run stopped before all was done: its class and the reason in words; empty when it did not."""
        return self._gate.stop_class, self._gate.stop_reason

    async def run(self, *, stopped: tuple[StopClass, str] = ("", "")) -> None:
        """Returns when every chunk came to its end, or when nothing more may start and nothing is under way.

        With `stopped` nothing starts at all. Raises `StoreError` when answers can no longer be kept.
        """
        self._gate.stop(*stopped)
        self._mailbox.handle_posted()
        self._gate.begin()
        self._heartbeat()
        try:
            self._advance()
            while not self._over():
                await self._mailbox.handle_next()
                self._advance()
        except asyncio.CancelledError:
            self._gate.stop("interrupted", "cancelled")
            raise
        finally:
            await self._settle()
            self._admission.let_go_of_all()
        if self._store_error:
            raise self._store_error
        if self._schedule.done:
            self._gate.lift()

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Have these run too. They are told as added, and run with the next `run()`."""
        self._unfolding.add(chunks)

    def store_failed(self, error: StoreError) -> None:
        """Answers can no longer be kept: end what is under way and give up."""
        self._store_error = error
        self._attempts.cancel()
        # Whoever waits for the mailbox has to look up.
        self._mailbox.post(lambda: None)

    def _over(self) -> bool:
        if self._store_error or self._schedule.done:
            return True
        return bool(self._gate.stop_class) and not self._unsettled and not self._lookup.pending

    async def _settle(self) -> None:
        """End what is under way, keep what was answered meanwhile, and give the rest its last event."""
        self._mailbox.cancel_timers()
        if tasks := self._attempts.cancel():
            await asyncio.wait(tasks)
        if self._store_error:
            return
        self._mailbox.handle_posted()
        await self._journal.flush()
        self._mailbox.handle_posted()
        for chunk_id in self._schedule.unfinished:
            self._ledger.cancelled(chunk_id)

    def _heartbeat(self) -> None:
        self._tell_progress()
        self._mailbox.post_after(self._meter.heartbeat_s, self._heartbeat)

    def _tell_progress(self) -> None:
        self._meter.tell(self._journal, done=self._schedule.done_count, running_s=self._attempts.running_s)

    def _advance(self) -> None:
        """Start all that can go on now, and have the runner get ready for what starts next."""
        self._foresight.look(more=not self._gate.stop_class and not self._store_error and self._start_ready())

    def _start_ready(self) -> bool:
        """Look up and start all that can go on now; whether more may start as soon as there is room."""
        while ready := self._schedule.take_ready():
            for node_id in ready:
                self._go_on(node_id)
        return self._admission.admit(settled=not self._unsettled)

    def _go_on(self, node_id: str) -> None:
        """All that a node waited for is there."""
        if self._unfolding.is_virtual(node_id):
            for chunk_id, reason in self._unfolding.open(node_id).items():
                self._fail(chunk_id, FailureClass.TOO_LONG.value, reason)
        elif self._unfolding.is_split(node_id):
            self._join(node_id)
        elif because := self._unfolding.nothing_to_keep(node_id):
            self._ledger.skipped(Skip(node_id, because))
            self._finish(node_id, "skipped")
        else:
            try:
                self._lookup.begin(node_id)
            except RenderTooLarge as problem:
                self._fail(node_id, FailureClass.TOO_LONG.value, str(problem))

    def _join(self, chunk_id: str) -> None:
        joined = self._unfolding.joined(chunk_id)
        if isinstance(joined, str):
            self._fail(chunk_id, FailureClass.TOO_LONG.value, f"its part {joined} has no answer")
            return
        self._unsettled += 1
        end = AttemptEnd(attempt=self._attempts.of[chunk_id].number, elapsed_s=0.0, charge_usd=0.0)
        self._store(joined, end, chunk_id)

    def _store(self, reply: Reply, end: AttemptEnd, chunk_id: str) -> None:
        """Keep an answer; what depends on it waits until it is safe."""
        stored = partial(self._mailbox.post, partial(self._on_stored, chunk_id))
        self._ledger.succeeded(chunk_id, reply, end, then=stored)

    def _start(self, chunk_id: str) -> None:
        chunk = self._chunks[chunk_id]
        self._brake.started(chunk_id)
        self._unsettled += 1
        request = self._attempts.start(
            chunk,
            account=self._gate.started(chunk_id, chunk.accounts),
            prompt=self._drafts.prompt(chunk_id, self._lookup.prompt(chunk_id)),
            context=self._lookup.context,
            earlier=self._ledger.records[chunk_id].attempts,
        )
        fingerprint, why = self._lookup.fingerprint(chunk_id), self._lookup.why(chunk_id)
        self._ledger.started(chunk, request, fingerprint=fingerprint, why=why)

    def _on_attempt_ended(self, request: Request, outcome: Outcome, elapsed_s: float) -> None:
        chunk_id = request.chunk_id
        self._schedule.release(chunk_id)
        self._admission.ended(chunk_id, answered=isinstance(outcome, Reply))
        charge = self._budgets.settle(chunk_id, outcome)
        self._allowances.ended(chunk_id, outcome.windows, cost_usd=charge, account=request.account)
        end = AttemptEnd(attempt=request.attempt, elapsed_s=elapsed_s, charge_usd=charge)
        if isinstance(outcome, Reply):
            self._gate.answered()
            self._brake.answered(held_mb=outcome.held_mb)
            self._meter.measured(chunk_id, elapsed_s)
            self._store(outcome, end, chunk_id)
            self._measuring.answered(request, outcome, elapsed_s=elapsed_s)
        else:
            self._unsettled -= 1
            self._admission.let_go(chunk_id)
            self._on_failure(chunk_id, outcome, end)
        self._gate.ended(chunk_id, outcome)

    def _on_stored(self, chunk_id: str) -> None:
        self._unsettled -= 1
        self._admission.let_go(chunk_id)
        self._finish(chunk_id, "succeeded")
        self._lookup.answered(chunk_id)

    def _on_failure(self, chunk_id: str, failure: Failure, end: AttemptEnd) -> None:
        self._ledger.attempt_failed(chunk_id, failure, end)
        if failure.error_type is FailureClass.CANCELLED:
            self._gate.stop("interrupted", "interrupted")
            return
        held = self._brake.failed(chunk_id, failure)
        if self._unfolding.can_split(chunk_id, failure) and self._unfolding.split(chunk_id):
            return
        tries = self._attempts.of[chunk_id]
        if self._drafts.is_cut(self._chunks[chunk_id], failure):
            beginning = self._drafts.keep(chunk_id, failure.partial_text)
            if beginning is not None:
                tries.used -= 1
                self._ledger.cut(chunk_id, attempt=end.attempt, text=beginning.text, cuts=beginning.cuts)
                self._schedule.enqueue(chunk_id)
                return
            self._ledger.begin_anew(chunk_id)
        tries.timeouts += failure.error_type in TIMEOUTS
        reaction = held or react(
            failure,
            attempts_used=tries.used,
            max_attempts=self._chunks[chunk_id].max_attempts,
            throttled_waits=tries.throttled_waits,
            chance=self._clock.chance,
        )
        match reaction:
            case Retry(wait_s=wait_s, free=free):
                self._ledger.retry_scheduled(chunk_id, attempt=end.attempt, wait_s=wait_s)
                tries.used -= free
                tries.throttled_waits += free and held is None
                self._admission.again(chunk_id, wait_s=wait_s)
            case Pause(resets_at=resets_at):
                tries.used -= 1
                self._schedule.enqueue(chunk_id)
                self._gate.limit_reached(chunk_id, resets_at=resets_at, message=failure.message)
            case StopRun():
                self._gate.stop("environment", failure.message)
            case Leave(reason=reason):
                self._gate.stop("stopped", reason)
            case GiveUp():
                self._fail(chunk_id, failure.error_type.value, failure.message)

    def _fail(self, chunk_id: str, error_type: str, message: str) -> None:
        self._ledger.failed(chunk_id, error_type=error_type, message=message)
        self._gate.chunk_failed(error_type, message)
        self._finish(chunk_id, "failed")
        self._lookup.failed(chunk_id)

    def _finish(self, chunk_id: str, status: FinalStatus) -> None:
        self._meter.finished(chunk_id)
        self._unfolding.skip(self._schedule.finish(chunk_id, status))
        self._on_finished()
        self._tell_progress()

    def _on_stop_asked(self, level: StopLevel) -> None:
        self._gate.stop("interrupted", "interrupted")
        if level >= StopLevel.TERMINATE:
            self._attempts.cancel(at_once=level >= StopLevel.KILL)
