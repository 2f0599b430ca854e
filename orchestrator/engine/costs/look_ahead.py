"""What a session can know before it asks: the answers that are stored, and what earlier calls took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.engine.costs.allowance import WindowUse, window_from_record
from orchestrator.engine.costs.forecast import Forecast, forecast
from orchestrator.engine.costs.measuring import learn
from orchestrator.engine.pauses import PauseLeft, later_of, left_alone, pauses_left_by
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.plan.learned import Learned
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.store import ChunkRecord, Connection, PastRun
from orchestrator.store.reads import latest_events, past_run, previous_run

RUNS_ASKED = 20
"""Earlier runs whose usage windows are looked at."""


class LookAhead:
    """Asks the store about a workload, by the rules and the runner of one session."""

    def __init__(self, workload: Workload, *, settings: RunSettings, surroundings: Surroundings) -> None:
        self._workload = workload
        self._settings = settings
        self._with = surroundings

    def of_run(self, run_id: str, own: Mapping[str, ChunkRecord]) -> tuple[Forecast, Learned]:
        """What the run will reuse, and what is learned of calls like its. `own` are its chunks, if it is resumed."""
        kind = self._with.runner.kind

        def question(connection: Connection) -> tuple[Forecast, Learned]:
            learned = learn(connection, self._workload, runner=kind)
            name = self._workload.name
            earlier = (
                past_run(connection, run_id) if own else previous_run(connection, name=name, before=run_id, runner=kind)
            )
            return self._forecast(connection, self._workload, own=own, earlier=earlier), learned

        return self._with.store.ask(question)

    def are_known(self, chunks: Sequence[Chunk], connection: Connection) -> bool:
        """Whether all of these chunks, which nothing has to come before, have stored answers that may be reused."""
        alone = replace(self._workload, chunks={chunk.id: chunk for chunk in chunks}, groups={})
        return self._forecast(connection, alone, own={}, earlier=PastRun()).complete

    def _forecast(
        self,
        connection: Connection,
        workload: Workload,
        *,
        own: Mapping[str, ChunkRecord],
        earlier: PastRun,
    ) -> Forecast:
        return forecast(
            connection,
            workload,
            runner=self._with.runner.kind,
            rules=self._settings.rules,
            own=own,
            earlier=earlier,
            now_s=self._with.clock.epoch_s(),
        )

    def pauses_left(self, own: Sequence[Mapping[str, Any]], connection: Connection) -> dict[str, PauseLeft]:
        """By account, the pauses that earlier processes of the run left, and the usage windows that were seen too full
        by any run and have not begun anew since.

        `own` are the events of those processes; in the store the run's last one may be of this process by now.
        """
        left, leave = pauses_left_by(own), self._settings.bounds.leave_usage
        if leave is None:
            return left
        seen = windows_seen(connection, own)
        return later_of(left, left_alone(seen, leave=leave, now_s=self._with.clock.epoch_s()))


def windows_seen(connection: Connection, own: Sequence[Mapping[str, Any]] = ()) -> list[WindowUse]:
    """The usage windows of logins as the latest runs, and these events, saw them; the latest first."""
    events = sorted([*latest_events(connection, runs=RUNS_ASKED), *own], key=lambda event: event["at"], reverse=True)
    records = [each for event in events for each in event.get("windows", ())]
    return [use for each in records if (use := window_from_record(each)) is not None]
