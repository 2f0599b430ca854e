"""One process's share of a run, step by step; the steps are the nodes of the pipeline in `graph.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from orchestrator.engine.budget import Budget
from orchestrator.engine.clock import from_iso
from orchestrator.engine.delivery import Delivery
from orchestrator.engine.execute import Executor
from orchestrator.engine.forecast import Forecast, forecast
from orchestrator.engine.groups import Groups, new_record
from orchestrator.engine.journal import Journal, Observer
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.measuring import Measuring, learn
from orchestrator.engine.output import check_output
from orchestrator.engine.policy import StopClass
from orchestrator.engine.progress import ProgressMeter
from orchestrator.engine.result import RunResult, make_result, run_status
from orchestrator.engine.schedule import Schedule
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.errors import OrchestrateError, StoreError
from orchestrator.events import RunContinued, RunEstimated, RunFinished, RunPaused, RunResumed, RunStarted, RunStatus
from orchestrator.plan.estimate import TOTALS, Estimate, estimate_workload
from orchestrator.plan.learned import NOTHING_LEARNED
from orchestrator.plan.workload import Workload
from orchestrator.runners.base import RunnerInfo
from orchestrator.store import ChunkRecord, Connection, RunRecord, Writes
from orchestrator.store.thread import StoreThread


class RunSession:
    """`start`, `estimate`, `execute`, `stitch` and `finish` in this order; `close` on every way out.

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
        self._stop: tuple[StopClass, str] = ("", "")
        self._login = ""
        self._learned = NOTHING_LEARNED

    async def start(self) -> None:
        """Check all that can be checked, get the runner ready if anything has to be asked, and begin the run.

        Raises `OrchestrateError` before any event when the run cannot begin.
        """
        store = self._with.store
        self._lock.acquire()
        if self._settings.output is not None:
            check_output(
                self._settings.output,
                written=store.output_hashes,
                force=self._settings.force,
                failed_rows=self._workload.stitch_format == "jsonl",
            )
        own = {chunk.chunk_id: chunk for chunk in store.chunks(self.run_id)} if self._resumed else {}
        self._earlier_events = store.events(self.run_id) if self._resumed else []
        self._forecast = await asyncio.to_thread(self._make_forecast, own)
        if not self._forecast.complete:
            info: RunnerInfo = await self._with.runner.open()
            self._login = info.login
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
        )
        self._groups = Groups(self._workload, ledger=self._ledger, own=own)
        self._delivery = Delivery(
            self._workload,
            self._groups.known,
            output=self._settings.output,
            force=self._settings.force,
            journal=self._journal,
            records=self._ledger.records,
        )
        self._announce(records)
        await self._journal.flush()

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
            result_path=str(self._delivery.written) if self._delivery.written else self._record.result_path,
        )

    def _elapsed_s(self) -> float:
        return self._with.clock.monotonic_s() - self._begun_s

    def _on_store_error(self, error: StoreError) -> None:
        if self._executor is not None:
            self._executor.store_failed(error)

    def _make_forecast(self, own: Mapping[str, ChunkRecord]) -> Forecast:
        earlier = own or {
            chunk.chunk_id: chunk
            for chunk in self._with.store.previous_chunks(name=self._workload.name, before=self.run_id)
        }

        def question(connection: Connection) -> Forecast:
            self._learned = learn(connection, self._workload, runner=self._with.runner.kind)
            return forecast(
                connection,
                self._workload,
                runner=self._with.runner.kind,
                rules=self._settings.rules,
                own=own,
                earlier=earlier,
                now_s=self._with.clock.epoch_s(),
            )

        return self._with.store.ask(question)

    async def estimate(self) -> None:
        """Tell what the run will take, and ask for consent; afterwards chunks may start."""
        self._estimate: Estimate = await asyncio.to_thread(
            estimate_workload,
            self._forecast.ahead,
            reusable=self._forecast.reusable,
            max_concurrency=self._settings.max_concurrency,
            learned=self._learned,
        )
        told: dict[str, Any] = {name: getattr(self._estimate, name) for name in TOTALS}
        told |= {"login": self._login, "warnings": self._warnings()}
        told["planning"] = self._workload.to_be_planned
        self._journal.append(RunEstimated, **told)
        await self._journal.flush()
        if self._estimate.calls and self._with.confirm is not None:
            shown = RunEstimated(run_id=self.run_id, seq=0, at=self._with.clock.iso(), **told)
            if not self._with.confirm(shown):
                self._stop = ("stopped", "declined before anything was paid")

    def _warnings(self) -> tuple[str, ...]:
        limit = self._settings.max_cost_usd
        if limit is None or self._estimate.cost_usd_high <= limit:
            return self._estimate.warnings
        high = self._estimate.cost_usd_high
        return (*self._estimate.warnings, f"it may cost ${high:.2f}, more than the limit of ${limit:.2f}")

    async def execute(self) -> None:
        """Run what can run; returns when all is done or the run has to stop. Raises `StoreError`."""
        await self._delivery.begin()
        expected = self._estimate.chunks
        for record in list(self._ledger.records.values()):
            if record.status == "running":
                each = expected.get(record.chunk_id)
                self._ledger.lost(record.chunk_id, charge_usd=each.cost_usd if each is not None else 0.0)
        self._executor = Executor(
            self._workload,
            groups=self._groups,
            schedule=Schedule(
                self._groups.first_nodes(duration_s={name: each.time_s for name, each in expected.items()}),
                max_concurrency=self._settings.max_concurrency,
            ),
            ledger=self._ledger,
            journal=self._journal,
            runner=self._with.runner,
            budget=Budget(
                max_cost_usd=self._settings.max_cost_usd,
                expected_usd={chunk_id: chunk.cost_usd for chunk_id, chunk in expected.items()},
                spent_usd=self._ledger.cost_usd,
            ),
            bounds=replace(self._settings.bounds, paused_until_s=self._earlier_pause()),
            rules=self._settings.rules,
            forecast=self._forecast,
            measuring=Measuring(self._workload, journal=self._journal, runner_kind=self._with.runner.kind),
            control=self._with.control,
            clock=self._with.clock,
            meter=ProgressMeter(
                expected_s={chunk_id: chunk.time_s for chunk_id, chunk in expected.items()},
                total=len(self._workload.chunks),
                max_concurrency=self._settings.max_concurrency,
                clock=self._with.clock,
            ),
            on_finished=self._delivery.update,
        )
        try:
            await self._executor.run(stopped=self._stop)
        finally:
            self._stop = self._executor.stop

    def _earlier_pause(self) -> float | None:
        """The end (epoch) of a pause that an earlier process of this run did not live to see."""
        if not self._resumed:
            return None
        pauses = [each for each in self._earlier_events if each["type"] in (RunPaused.type, RunContinued.type)]
        if not pauses or pauses[-1]["type"] == RunContinued.type or pauses[-1]["until"] is None:
            return None
        return from_iso(pauses[-1]["until"])

    async def stitch(self) -> None:
        """Put together what there is, and write it where it belongs. Raises `OutputWriteError`."""
        if self._ledger.answers or not self._stop[0]:
            await self._delivery.deliver(complete=self._status() == "complete")

    def _status(self) -> RunStatus:
        status = run_status(self._workload, self._groups.known, stop_class=self._stop[0])
        return "partial" if status == "complete" and self._delivery.stitched.problems else status

    async def finish(self) -> None:
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
        )
        await self._journal.flush()
        self.result = make_result(
            run_id=self.run_id,
            status=status,
            stitched=self._delivery.stitched,
            written=self._delivery.written,
            ledger=self._ledger,
            stop=self._stop,
        )
        await self.close()

    async def abandon(self, error: BaseException) -> None:
        """The run cannot go on: store how far it came, as far as the store still works, and let go of everything."""
        if self._thread is not None and not isinstance(error, StoreError):
            reason = str(error) if isinstance(error, OrchestrateError) else "interrupted"
            self._stop = (self._stop[0] or "interrupted", self._stop[1] or reason)
            with contextlib.suppress(StoreError):
                await self.finish()
        await self.close()

    async def close(self) -> None:
        """End what was started. May be called more than once."""
        await self._with.runner.close()
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.close)
        self._lock.release()
