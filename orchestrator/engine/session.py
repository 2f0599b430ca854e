"""One process's share of a run, step by step; the steps are the nodes of the pipeline in `graph.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from orchestrator.engine.assembly import assemble_executor
from orchestrator.engine.company import warnings_of_others
from orchestrator.engine.costs.allowance import Allowances, windows_told
from orchestrator.engine.costs.estimating import make_estimate, warnings_of
from orchestrator.engine.costs.logins import told_logins
from orchestrator.engine.costs.look_ahead import LookAhead
from orchestrator.engine.execute import Executor
from orchestrator.engine.groups import Groups, new_record
from orchestrator.engine.journal import Journal, Observer
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.policy import StopClass
from orchestrator.engine.result import RunResult, make_result, run_status
from orchestrator.engine.reviewing.review import Review
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.engine.stitching.delivery import Delivery, check_places
from orchestrator.engine.stitching.output import Leftovers
from orchestrator.errors import LoadingStoppedError, OrchestrateError, RunnerUnavailableError, StoreError
from orchestrator.events import RunEstimated, RunFinished, RunResumed, RunReviewed, RunStarted, RunStatus
from orchestrator.plan.estimate import TOTALS, Estimate
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.runners.base import RunnerInfo
from orchestrator.store import ChunkRecord, RunRecord, Writes
from orchestrator.store.thread import StoreThread


class RunSession:
    """`start`, `estimate`, then `execute`, `stitch` and `review` until there is a `result`; `close` on every way out.

    `record` is the run as it is, or will be, stored; `resumed` tells which.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        record: RunRecord,
        resumed: bool,
        settings: RunSettings,
        surroundings: Surroundings,
        observers: Sequence[Observer],
    ) -> None:
        self.run_id = record.run_id
        self.result: RunResult | None = None
        self._workload = workload
        self._record = record
        self._resumed = resumed
        self._settings = settings
        self._with = surroundings
        self._observers = list(observers)
        self._begun_s = surroundings.clock.monotonic_s()
        self._lock = surroundings.store.lock(record.run_id)
        self._thread: StoreThread | None = None
        self._executor: Executor | None = None
        self._allowances = Allowances()
        self._stop: tuple[StopClass, str] = ("", "")
        self._opened, self._reviewed = False, True
        self._info = RunnerInfo(version="", login="")
        self._estimate: Estimate | None = None

    async def start(self) -> None:
        """Check all that can be checked, get the runner ready if anything has to be asked, and begin the run.

        Raises `OrchestrateError` before any event when the run cannot begin.
        """
        store = self._with.store
        self._lock.acquire()
        check_places(self._workload, self._settings, store=store, runner=self._with.runner.kind)
        own = {chunk.chunk_id: chunk for chunk in store.chunks(self.run_id)} if self._resumed else {}
        self._earlier_events = store.events(self.run_id) if self._resumed else []
        self._ahead = LookAhead(self._workload, settings=self._settings, surroundings=self._with)
        self._forecast, self._learned = await asyncio.to_thread(self._ahead.of_run, self.run_id, own)
        if not self._forecast.complete:
            await self._open_runner()
        self._thread = store.start_thread()
        self._journal = Journal(
            self._thread,
            run_id=self.run_id,
            first_seq=store.next_seq(self.run_id),
            observers=self._observers,
            clock=self._with.clock,
            on_store_error=self._on_store_error,
        )
        records = [own.get(chunk.id) or new_record(chunk) for chunk in self._workload.chunks.values()]
        self._ledger = Ledger(
            journal=self._journal,
            clock=self._with.clock,
            runner_kind=self._with.runner.kind,
            records={record.chunk_id: record for record in records},
            unopened={name: record for name, record in own.items() if name not in self._workload.chunks},
        )
        self._groups = Groups(self._workload, ledger=self._ledger)
        self._delivery = Delivery(
            self._workload,
            self._groups.known,
            output=self._settings.output,
            files=self._settings.files,
            runner_kind=self._with.runner.kind,
            force=self._settings.force,
            journal=self._journal,
            records=self._ledger.records,
            leftovers=Leftovers(run_id=self.run_id, is_held=store.is_held),
        )
        self._review = Review(self._workload, self._groups.known)
        self._announce(records)
        self._keep_known()
        await self._journal.flush()

    async def _open_runner(self) -> None:
        info: RunnerInfo = await self._with.runner.open()
        self._opened, self._info = True, info

    @property
    def started(self) -> bool:
        """Whether `start` has begun the run."""
        return self._thread is not None

    def observe(self, observer: Observer) -> None:
        """Add an observer; it gets the events from now on."""
        if self._thread is None:
            self._observers.append(observer)
        else:
            self._journal.observe(observer)

    def _announce(self, records: Sequence[ChunkRecord]) -> None:
        if self._resumed:
            kind: type[RunStarted] | type[RunResumed] = RunResumed
            writes = [Writes.set_run_options(self.run_id, dict(self._record.options)), self._state("running", "")]
        else:
            kind, writes = RunStarted, [Writes.create_run(self._record, records)]
        self._journal.append(
            kind,
            *writes,
            name=self._workload.name,
            chunk_ids=tuple(self._workload.chunks),
            total=len(self._workload.chunks),
            runner=self._with.runner.kind,
        )

    def _state(self, state: Any, reason: str) -> Any:
        return Writes.set_run_state(
            self.run_id,
            state=state,
            reason=reason,
            at=self._with.clock.iso(),
            elapsed_s=round(self._record.elapsed_s + self._elapsed_s(), 3),
            result_path=self._delivery.result_path or self._record.result_path,
        )

    def _elapsed_s(self) -> float:
        return self._with.clock.monotonic_s() - self._begun_s

    def _on_store_error(self, error: StoreError) -> None:
        if self._executor is not None:
            self._executor.store_failed(error)

    async def estimate(self) -> None:
        """Tell what the run will take, and ask for consent; afterwards chunks may start."""
        try:
            estimate = await make_estimate(self._forecast, self._settings, self._with, learned=self._learned)
        except LoadingStoppedError:
            # The run has begun: it stops as it would a moment later, and nothing starts.
            return
        self._estimate = estimate
        self._keep_known()
        told: dict[str, Any] = {name: getattr(estimate, name) for name in TOTALS}
        told |= {
            **told_logins(self._info, estimate, self._forecast),
            "warnings": (
                *warnings_of(estimate, self._workload, max_cost_usd=self._settings.max_cost_usd),
                *warnings_of_others(self._with, self._record, rules=self._settings.rules),
            ),
            "planning": self._workload.to_be_planned,
        }
        self._journal.append(RunEstimated, **told)
        await self._journal.flush()
        if estimate.calls and self._with.confirm is not None:
            shown = RunEstimated(run_id=self.run_id, seq=0, at=self._with.clock.iso(), **told)
            if not self._with.confirm(shown):
                self._stop = ("stopped", "declined before anything was paid")

    def _keep_known(self) -> None:
        if (writing := self._with.known.writing()) is not None:
            self._journal.do(writing)

    async def execute(self) -> None:
        """Run what can run; returns when all is done or the run has to stop. Raises `StoreError`."""
        if self._executor is None:
            self._executor = await self._make_executor()
        try:
            await self._executor.run(stopped=self._stop)
        finally:
            self._stop = self._executor.stop

    async def _make_executor(self) -> Executor:
        await self._delivery.begin()
        if self._estimate is not None:
            self._ledger.charge_lost({name: each.cost_usd for name, each in self._estimate.chunks.items()})
        return assemble_executor(
            self._workload,
            groups=self._groups,
            ledger=self._ledger,
            journal=self._journal,
            forecast=self._forecast,
            estimate=self._estimate,
            learned=self._learned,
            settings=self._settings,
            surroundings=self._with,
            allowances=self._allowances,
            call_mb=self._info.call_mb,
            left=await self._journal.ask(partial(self._ahead.pauses_left, self._earlier_events)),
            on_finished=self._delivery.update,
        )

    async def stitch(self) -> None:
        """Put together what there is."""
        if self._ledger.answers or not self._stop[0]:
            await self._delivery.stitch()

    async def review(self) -> None:
        """Look the result over. Either there are chunks to run for it now, or the run is over.

        Raises `OutputWriteError`, and `StoreError` when the run can no longer be kept.
        """
        number = self._review.round
        chunks = await asyncio.to_thread(self._review.next_chunks, self._delivery.stitched)
        if self._review.has_looked and not self._stop[0]:
            problems, repairs = self._review.told(), self._review.repairs
            self._journal.append(RunReviewed, round=number, problems=problems, repairs=repairs)
        if chunks and self._executor is not None and await self._can_ask(chunks):
            self._executor.add(chunks)
            return
        self._reviewed = not chunks
        if self._ledger.answers or not self._stop[0]:
            faulty = {each.chunk_id for each in self._review.remaining} | ({""} if chunks else set[str]())
            await self._delivery.deliver(complete=self._status() == "complete", faulty=faulty)
        if self._status() == "complete":
            # A stop that came when every answer was there has stopped nothing.
            self._stop = ("", "")
        await self._finish()

    async def _can_ask(self, chunks: Sequence[Chunk]) -> bool:
        """Whether these may run: the run is not to stop, and the runner is ready or need not be.

        One that had nothing to ask so far was not opened.
        """
        if self._with.control.level and not self._stop[0]:
            self._stop = ("interrupted", "interrupted before the result was reviewed")
        if self._stop[0]:
            return False
        if self._opened or await self._journal.ask(partial(self._ahead.are_known, chunks)):
            return True
        try:
            await self._open_runner()
        except RunnerUnavailableError as error:
            self._stop = ("environment", str(error))
        return self._opened

    def _status(self) -> RunStatus:
        remaining = (*self._review.remaining, *self._delivery.stitched.problems)
        return run_status(
            self._workload, self._groups.known, stop_class=self._stop[0], remaining=remaining, reviewed=self._reviewed
        )

    async def _finish(self) -> None:
        """Tell the end, let go of everything, and leave the `result`."""
        counts = self._ledger.counts
        status = self._status()
        self._journal.append(
            RunFinished,
            self._state(status, self._stop[1]),
            status=status,
            **asdict(counts),
            cost_usd=round(self._ledger.cost_usd, 6),
            elapsed_s=round(self._elapsed_s(), 3),
            work_s=round(self._ledger.work_s, 3),
            reason=self._stop[1],
            windows=windows_told(self._allowances.windows, self._earlier_events),
            **self._ledger.cache.told(),
        )
        await self._journal.flush()
        self.result = make_result(
            run_id=self.run_id,
            status=status,
            stitched=self._delivery.stitched,
            written=self._delivery.written,
            files=self._delivery.files_written,
            ledger=self._ledger,
            stop=self._stop,
            remaining=self._review.remaining,
            windows=self._allowances.windows,
        )
        await self.close()

    async def abandon(self, error: BaseException) -> None:
        """The run cannot go on: store how far it came, as far as the store still works, and let go of everything."""
        if self._thread is not None and not isinstance(error, StoreError):
            reason = str(error) if isinstance(error, OrchestrateError) else "interrupted"
            self._stop = (self._stop[0] or "interrupted", self._stop[1] or reason)
            with contextlib.suppress(StoreError):
                await self._finish()
        await self.close()

    async def close(self) -> None:
        """End what was started. May be called more than once."""
        await self._with.runner.close()
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.close)
        self._lock.release()
