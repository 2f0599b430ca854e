"""One world: a random plan, random faults, and processes that run it until it is over or nobody goes on.

Everything follows from the seed. A world tells its story as a list of JSON values, one for each event and each attempt:
the same seed tells the same story, byte for byte.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.engine.control import RunControl, StopLevel
from orchestrator.engine.gate import Bounds
from orchestrator.engine.pauses import pauses_left_by
from orchestrator.engine.recall import stitch_record
from orchestrator.engine.result import RunResult
from orchestrator.engine.reuse import ReuseRules
from orchestrator.engine.session import RunSession
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.engine.watch import Watch
from orchestrator.errors import StoreError
from orchestrator.events import Event, RunContinued, RunPaused, event_to_dict
from orchestrator.plan.load import load_plan
from orchestrator.plan.workload import Workload
from orchestrator.store import RunRecord
from tests.simulation import invariants
from tests.simulation.faults import Faults, FaultyRunner, Span
from tests.simulation.graphs import random_plan
from tests.simulation.invariants import BrokenError
from tests.simulation.seen import Seen, seconds_of
from tests.simulation.virtual import (
    KilledError,
    MemoryStore,
    NothingKept,
    StuckError,
    VirtualClock,
    VirtualLoop,
    VirtualStoreThread,
)

FOLDER = Path(__file__).parent
MAX_PROCESSES = 5
NO_BOUNDS = Bounds(max_wall_s=None, max_same_failure=50, wait_for_limits=True)


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one process beside the faults of its world."""

    die_at: int | None = None
    stop_at_s: float | None = None
    stop_level: StopLevel = StopLevel.DRAIN
    store_fails_at: int | None = None
    cancel_at_s: float | None = None

    @classmethod
    def random(cls, chance: random.Random) -> Fate:
        """Most processes are left alone."""
        roll = chance.random()
        after_s = chance.choice([0.02, 1.0, 30.0, 300.0]) * chance.random()
        if roll < 0.25:
            return cls(die_at=1 + int(chance.random() ** 2 * 600))
        if roll < 0.37:
            return cls(stop_at_s=after_s, stop_level=StopLevel(chance.randint(1, 3)))
        if roll < 0.42:
            return cls(store_fails_at=1 + int(chance.random() ** 2 * 80))
        return cls(cancel_at_s=after_s) if roll < 0.45 else cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a world is made of. `fates` are those of its processes in turn; those after them are let alone."""

    plan: Mapping[str, Any]
    faults: Faults
    fates: Sequence[Fate] = ()
    bounds: Bounds = NO_BOUNDS
    max_concurrency: int = 4
    max_cost_usd: float | None = None
    fresh: bool = False

    @classmethod
    def of(cls, seed: int) -> Setting:
        """The world of this seed."""
        return cls.random(random.Random(seed))

    @classmethod
    def random(cls, chance: random.Random) -> Setting:
        """Any world."""
        return cls(
            plan=random_plan(chance),
            faults=Faults.random(chance),
            fates=[Fate.random(chance) for _ in range(MAX_PROCESSES - 1)],
            bounds=Bounds(
                max_wall_s=chance.choice([None, None, None, 20.0, 600.0]),
                max_same_failure=chance.choice([2, 5, 5, 50]),
                wait_for_limits=chance.random() < 0.85,
            ),
            max_concurrency=chance.choice([1, 2, 3, 4, 8, 16]),
            max_cost_usd=chance.choice([None, None, 0.05, 0.5, 2.0]),
            fresh=chance.random() < 0.05,
        )


@dataclass(frozen=True, slots=True)
class Told:
    """How a world came out: what was broken ("" for nothing), its story when it was asked for, and how each process
    ended (None for one that died).
    """

    broken: str
    story: tuple[str, ...]
    results: tuple[RunResult | None, ...]


def simulate(seed: int, *, tell: bool = False) -> Told:
    """The world of this seed, from its beginning to its end."""
    chance = random.Random(seed)
    return play(Setting.random(chance), chance, tell=tell)


def play(setting: Setting, chance: random.Random, *, tell: bool = False) -> Told:
    """One world, from its beginning to its end."""
    world = _World(setting, chance, tell=tell)
    broken = ""
    try:
        world.play()
    except (BrokenError, StuckError) as problem:
        broken = str(problem)
    return Told(broken, tuple(world.story), tuple(world.results))


class _World:
    def __init__(self, setting: Setting, chance: random.Random, *, tell: bool) -> None:
        self.chance = chance
        self.story: list[str] = []
        self.results: list[RunResult | None] = []
        self._tell = tell
        self.setting = setting
        self.note(setting=setting)
        self.workload: Workload = load_plan(dict(setting.plan), base_dir=FOLDER)
        self.store = MemoryStore()
        self.runner = FaultyRunner(setting.faults, random.Random(chance.random()))
        self.now_s = 0.0
        self.max_concurrency = setting.max_concurrency
        self.max_cost_usd = setting.max_cost_usd
        self.bounds = setting.bounds
        self.rules = ReuseRules(fresh=setting.fresh)
        self.record = self._new_record(1)
        self.resumed = False

    def note(self, **what: Any) -> None:
        """Put it into the story."""
        if self._tell:
            self.story.append(json.dumps(what, sort_keys=True, default=str))

    def _new_record(self, number: int) -> RunRecord:
        return RunRecord(
            run_id=f"run-{number}",
            name=self.workload.name,
            plan_path=None,
            base_dir=str(FOLDER),
            source=self.workload.source,
            inputs={},
            files={},
            options={"stitch": stitch_record(self.workload), "runner": FaultyRunner.kind},
            state="running",
            reason="",
            created_at=f"2026-02-02T00:00:{number:02}Z",
            updated_at="",
            elapsed_s=0.0,
            result_path=None,
        )

    def play(self) -> None:
        """Process after process, until one ends with nothing left; the last one is let alone."""
        for number in range(1, MAX_PROCESSES + 1):
            last = number == MAX_PROCESSES
            if last:
                self._become_calm()
            fate = Fate() if last or number > len(self.setting.fates) else self.setting.fates[number - 1]
            self.note(process=number, run=self.record.run_id, resumed=self.resumed, fate=repr(fate), at_s=self.now_s)
            process = _Process(self, fate)
            process.run()
            seen = process.seen
            self.results.append(seen.result)
            if seen.result is not None and seen.result.status != "stopped":
                return
            self._go_on(number)
        raise BrokenError("the last process was let alone and did not bring the run to its end")

    def _become_calm(self) -> None:
        """Whoever drives the run raises its limits and mends the login."""
        self.max_cost_usd = None
        self.bounds = replace(self.bounds, max_wall_s=None, max_same_failure=1000, wait_for_limits=True)
        self.runner.faults.login_lost = None

    def _go_on(self, number: int) -> None:
        self.now_s += self.chance.choice([0.0, 10.0, 4000.0])
        if self.max_cost_usd is not None:
            self.max_cost_usd *= 3
        if self.store.has_run(self.record.run_id) and self.chance.random() < 0.75:
            self.record, self.resumed = self.store.run(self.record.run_id), True
        else:
            self.record, self.resumed = self._new_record(number + 1), False


class _Process:
    """One process of a world, from its start to its end or its death."""

    def __init__(self, world: _World, fate: Fate) -> None:
        self.world, self.fate = world, fate
        store, runner, chance = world.store, world.runner, world.chance
        self.loop = loop = VirtualLoop(random.Random(chance.random()), start_s=world.now_s, die_at=fate.die_at)
        runner.loop, runner.dead = loop, False
        store.make_writer = lambda: VirtualStoreThread(
            store.connection, loop, random.Random(chance.random()), fails_at=fate.store_fails_at
        )
        clock = VirtualClock(chance=random.Random(chance.random()))
        clock.loop = loop
        self.control = RunControl()
        run_id = world.record.run_id
        self.seen = Seen(
            run_id=run_id,
            workload=world.workload,
            store=store,
            runner=runner,
            loop=loop,
            next_seq=store.next_seq(run_id) if world.resumed else 0,
            max_concurrency=world.max_concurrency,
            max_cost_usd=world.max_cost_usd,
            max_wall_s=world.bounds.max_wall_s,
            max_same_failure=world.bounds.max_same_failure,
            pause_left_s=_pause_left_s(store, run_id) if world.resumed and world.bounds.wait_for_limits else None,
            fresh=world.rules.fresh,
            waits_for_limits=world.bounds.wait_for_limits,
            is_to_prove=world.resumed and bool(pauses_left_by(store.events(run_id))),
        )
        self.problem: BrokenError | None = None
        runner.on_start, runner.on_end = self._on_start, self._on_end
        loop.on_quiet = self._on_quiet
        self.session = RunSession(
            world.workload,
            record=world.record,
            resumed=world.resumed,
            settings=RunSettings(
                max_concurrency=world.max_concurrency,
                bounds=world.bounds,
                max_cost_usd=world.max_cost_usd,
                rules=world.rules,
                output=None,
                force=False,
            ),
            surroundings=Surroundings(
                store=store,
                runner=runner,
                control=self.control,
                clock=clock,
                confirm=None,
                known=NothingKept(),  # pyright: ignore
                watch=Watch(control=self.control),
            ),
            observers=[self._on_event],
        )

    def run(self) -> None:
        """Raises `BrokenError` or `StuckError`."""
        loop, world = self.loop, self.world
        asyncio.set_event_loop(None)
        main = loop.create_task(self._main())
        if self.fate.cancel_at_s is not None:
            loop.call_later(self.fate.cancel_at_s, self._cancel, main)
        if self.fate.stop_at_s is not None:
            loop.call_later(self.fate.stop_at_s, self._ask_to_stop)
        try:
            loop.run_until_complete(main)
        except KilledError:
            world.note(killed_at_step=loop.steps)
        except (StuckError, BrokenError):
            self._bury(main)
            raise
        else:
            if self.problem is None and self.seen.result is not None:
                for invariant in invariants.AT_END:
                    invariant(self.seen)
        finally:
            self._bury(main)
            world.now_s = loop.time()
        if self.problem is not None:
            raise self.problem

    async def _main(self) -> None:
        session, seen = self.session, self.seen
        try:
            await session.start()
            await session.estimate()
            estimate = session._estimate
            seen.estimates = estimate.chunks if estimate is not None else {}
            while session.result is None:
                seen.executing, seen.began_s = True, self.loop.time()
                await session.execute()
                seen.executing = False
                await session.stitch()
                await session.review()
            seen.result = session.result
        except (StoreError, asyncio.CancelledError) as error:
            seen.executing = False
            await session.abandon(error)
            self.world.note(abandoned=str(error), at_s=self.loop.time())

    def _bury(self, main: asyncio.Task[None]) -> None:
        """Let go of what a process left, without a trace of it in the store or among the attempts."""
        loop, writer, runner = self.loop, self.world.store.writer, self.world.runner
        if loop.is_closed():
            return
        if writer is not None:
            writer.dead = True
        runner.dead = True
        loop.live_on()
        loop.call_exception_handler = lambda context: None  # type: ignore[method-assign]
        now_s = loop.time()
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks))
        if not main.cancelled():
            main.exception()
        loop.close()
        loop._now_s = now_s
        runner.in_flight.clear()
        self.world.store.held.clear()

    def _cancel(self, main: asyncio.Task[None]) -> None:
        self.seen.stop()
        self.seen.stop_asked = True
        self.world.note(cancelled=True, at_s=self.loop.time())
        main.cancel()

    def _ask_to_stop(self) -> None:
        self.seen.stop()
        self.seen.stop_asked = True
        self.world.note(stop_asked=self.fate.stop_level, at_s=self.loop.time())
        self.control.request_stop(at_least=self.fate.stop_level)

    def _check(self, checks: Iterable[Callable[..., None]], *seen: Any) -> None:
        """What is broken first ends the world; what follows from it is of no interest."""
        if self.problem is None:
            try:
                for invariant in checks:
                    invariant(self.seen, *seen)
            except BrokenError as problem:
                self.problem = problem
                self.loop.die_at = self.loop.steps + 1

    def _on_start(self, span: Span) -> None:
        self.world.note(asked=span.request.chunk_id, attempt=span.request.attempt, at_s=self.loop.time())
        self.seen.attempt_started(span)
        self._check(invariants.AT_START, span)

    def _on_end(self, span: Span) -> None:
        kind = getattr(span.outcome, "error_type", "reply")
        self.world.note(ended=span.request.chunk_id, outcome=str(kind), at_s=self.loop.time())
        self.seen.attempt_ended(span)

    def _on_event(self, event: Event) -> None:
        if self.world._tell:
            self.world.story.append(json.dumps(event_to_dict(event), default=str))
        self._check(invariants.AT_EVENT, event)
        self.seen.heard(event)

    def _on_quiet(self) -> None:
        if not self.seen.may_be_idle:
            self._check(invariants.AT_QUIET)


def _pause_left_s(store: MemoryStore, run_id: str) -> float | None:
    """When the pause ends that is the last thing an earlier process told of pauses."""
    told = [each for each in store.events(run_id) if each["type"] in (RunPaused.type, RunContinued.type)]
    last = told[-1] if told else {"type": ""}
    return seconds_of(last["until"]) if last["type"] == RunPaused.type and last["until"] else None


logging.getLogger("asyncio").setLevel(logging.CRITICAL)
