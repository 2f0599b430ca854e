"""Schedule, gate and budget together, driven by hypothesis: any order of starts, ends, limits, waits and stops."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orchestrator.engine.costs.budget import Budget, Expected
from orchestrator.engine.costs.budgets import Budgets
from orchestrator.engine.gate import Bounds, Gate
from orchestrator.engine.journal import Journal
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.schedule import Lane, Node, Schedule
from orchestrator.events import RunContinued, RunPaused
from orchestrator.runners.base import Failure, FailureClass, Reply
from tests.simulation.test_mutants import Restless, Spendthrift
from tests.simulation.virtual import MemoryStore, VirtualClock, VirtualLoop, VirtualStoreThread

LOWEST_USD, HIGHEST_USD = 0.01, 0.03


class Run(RuleBasedStateMachine):
    """What the executor does with the three, without the executor; a plain model beside it knows what must hold."""

    @initialize(
        slots=st.sampled_from([4, 1, 2, 3]),
        limit_usd=st.sampled_from([None, 0.02, 0.05, 0.2]),
        max_same_failure=st.sampled_from([3, 2, 10]),
        waits=st.booleans(),
    )
    def begin(self, slots: int, limit_usd: float | None, max_same_failure: int, waits: bool) -> None:
        chance = random.Random(1)
        self.loop = VirtualLoop(chance, start_s=0.0, die_at=None)
        clock = VirtualClock(chance=chance)
        clock.loop = self.loop
        store = MemoryStore()
        self.thread = VirtualStoreThread(store.connection, self.loop, chance, fails_at=None)
        self.told: list[Any] = []
        self.slots, self.limit_usd, self.max_same_failure = slots, limit_usd, max_same_failure
        self.mailbox = Mailbox()
        self.expected: dict[str, Expected] = {}
        self.budget = Budget(limit=limit_usd, expected=self.expected)
        self.schedule = Schedule([], max_concurrency=slots)
        self.running: set[str] = set()
        self.over: dict[str, str] = {}
        self.upstream: dict[str, list[str]] = {}
        self.spent_usd = 0.0
        self.stopped = self.limited = False
        self.row = ("", 0)

        async def make() -> None:
            journal = Journal(
                self.thread,
                run_id="run",
                first_seq=0,
                observers=[self.told.append],
                clock=clock,
                on_store_error=lambda error: None,
            )
            bounds = Bounds(max_wall_s=None, max_same_failure=max_same_failure, wait_for_limits=waits)
            budgets = Budgets(money=self.budget, tokens=Budget(limit=None, expected={}))
            self.gate = Gate(bounds, budgets=budgets, journal=journal, mailbox=self.mailbox, clock=clock)
            self.budgets, self.waits = budgets, waits
            self.gate.begin()

        self.loop.run_until_complete(make())

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.thread.dead = True
            self.loop.close()

    def _do(self, act: Callable[[], None], wait_s: float = 0.0) -> None:
        """Act on the loop, let time pass, and do what was posted meanwhile."""

        async def acting() -> None:
            act()
            over_s = self.loop.time() + wait_s
            while (left_s := over_s - self.loop.time()) > 0:
                await asyncio.sleep(min(30.0, left_s))
                self.mailbox.handle_posted()
            # What was decided is told a moment later.
            await asyncio.sleep(0.02)
            self.mailbox.handle_posted()
            for chunk_id in self.schedule.take_ready():
                self.schedule.enqueue(chunk_id)

        self.loop.run_until_complete(acting())

    @rule(data=st.data(), count=st.integers(1, 4))
    def chunks_become_known(self, data: st.DataObject, count: int) -> None:
        """New chunks refer to any that are there."""
        nodes: list[Node] = []
        for _ in range(count):
            name = f"c{len(self.upstream)}"
            refers = (
                data.draw(st.lists(st.sampled_from(sorted(self.upstream)), max_size=3, unique=True))
                if self.upstream
                else []
            )
            self.upstream[name] = refers
            self.expected[name] = Expected(0.02, LOWEST_USD, HIGHEST_USD)
            nodes.append(Node(id=name, upstream=dict.fromkeys(refers, "skip")))
        self._do(lambda: self._skip(self.schedule.add(nodes)))

    def _skip(self, skips: Any) -> None:
        self.over |= {each.chunk_id: "skipped" for each in skips}

    @rule()
    def what_may_start_starts(self) -> None:
        """As the executor does it: as many as slots, pauses, stops and money allow."""
        self._do(self._start_all)

    def _start_all(self) -> None:
        while (chunk_id := self.schedule.next_startable(self._is_open)) is not None:
            if not self.gate.admits(chunk_id, running=len(self.running)):
                break
            self._check_start(chunk_id)
            self.schedule.start(self._is_open)
            self.budgets.reserve(chunk_id)
            self.gate.started(chunk_id, ())
            self.running.add(chunk_id)
        if not self.running and not self.stopped and self.limit_usd is not None and self.spent_usd >= self.limit_usd:
            self.stopped = bool(self.gate.stop_class)

    def _is_open(self, lane: Lane) -> bool:
        return self.gate.is_open(lane.accounts)

    def _check_start(self, chunk_id: str) -> None:
        assert not self.stopped, "nothing starts after a stop"
        assert not self.paused, "nothing starts in a pause"
        assert len(self.running) < self.slots
        assert chunk_id not in self.running
        assert chunk_id not in self.over
        assert all(self.over.get(each) == "succeeded" for each in self.upstream[chunk_id])
        if self.limit_usd is not None:
            assert self.spent_usd < self.limit_usd
            least = self.spent_usd + LOWEST_USD * (len(self.running) + 1)
            assert not self.running or least <= self.limit_usd + 1e-9, "what is in flight is reserved"

    @precondition(lambda self: self.running)
    @rule(data=st.data(), cost_usd=st.floats(LOWEST_USD, HIGHEST_USD))
    def one_answers(self, data: st.DataObject, cost_usd: float) -> None:
        """An attempt brings an answer."""
        chunk_id = self._one(data)
        reply = Reply(text="x", model="m", cost_usd=cost_usd)

        def act() -> None:
            self._ended(chunk_id, reply, cost_usd)
            self.gate.answered()
            self.row = ("", 0)
            self._skip(self.schedule.finish(chunk_id, "succeeded"))
            self.gate.ended(chunk_id, reply)

        self.over[chunk_id] = "succeeded"
        self._do(act)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), kind=st.sampled_from([FailureClass.REFUSAL, FailureClass.INVALID_REQUEST]))
    def one_fails_for_good(self, data: st.DataObject, kind: FailureClass) -> None:
        """An attempt shows that its chunk will have no answer."""
        chunk_id = self._one(data)
        failure = Failure(error_type=kind, message="no")

        def act() -> None:
            self._ended(chunk_id, failure, 0.0)
            self.gate.chunk_failed(kind.value, "no")
            self._skip(self.schedule.finish(chunk_id, "failed"))
            self.gate.ended(chunk_id, failure)

        self.row = (kind.value, self.row[1] + 1 if self.row[0] == kind.value else 1)
        self.stopped |= self.row[1] >= self.max_same_failure
        self.over[chunk_id] = "failed"
        self._do(act)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), after_s=st.sampled_from([None, -1000.0, 5.0, 400.0]))
    def one_meets_a_limit(self, data: st.DataObject, after_s: float | None) -> None:
        """The login's allowance is used up, until a time that is told, or wrong, or not told."""
        chunk_id = self._one(data)
        resets_at = None if after_s is None else self.gate._clock.epoch_s() + after_s
        failure = Failure(error_type=FailureClass.USAGE_LIMIT, message="limit", resets_at=resets_at)

        def act() -> None:
            self._ended(chunk_id, failure, 0.0)
            self.schedule.enqueue(chunk_id)
            self.gate.limit_reached(chunk_id, resets_at=resets_at, message="limit")
            self.gate.ended(chunk_id, failure)

        self.limited |= not self.waits
        self._do(act)

    def _one(self, data: st.DataObject) -> str:
        chunk_id = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(chunk_id)
        return chunk_id

    def _ended(self, chunk_id: str, outcome: Reply | Failure, cost_usd: float) -> None:
        self.schedule.release(chunk_id)
        self.budgets.settle(chunk_id, outcome)
        self.spent_usd += cost_usd

    @rule(seconds=st.sampled_from([1.0, 31.0, 500.0, 5000.0]))
    def time_passes(self, seconds: float) -> None:
        """Pauses may end."""
        self._do(lambda: None, seconds)

    @precondition(lambda self: len(self.over) > 4)
    @rule()
    def a_stop_is_asked_for(self) -> None:
        """Somebody pressed Ctrl-C, once there was something to stop."""
        self.stopped = True
        self._do(lambda: self.gate.stop("interrupted", "interrupted"))

    @property
    def paused(self) -> bool:
        """What an observer would say."""
        told = [each for each in self.told if isinstance(each, RunPaused | RunContinued)]
        return bool(told) and isinstance(told[-1], RunPaused)

    @invariant()
    def counts_agree(self) -> None:
        """The schedule knows what runs and what is over, and the budget what was spent."""
        if not hasattr(self, "schedule"):
            return
        assert self.schedule.running_count == len(self.running) <= self.slots
        assert self.schedule.done_count == len(self.over)
        assert all(self.schedule.status(each) == status for each, status in self.over.items())
        assert abs(self.budget.spent - self.spent_usd) < 1e-9

    @invariant()
    def stops_are_known(self) -> None:
        """The gate is stopped when it has to be."""
        if hasattr(self, "gate") and self.stopped:
            assert self.gate.stop_class

    @invariant()
    def money_is_kept_together(self) -> None:
        """Never more than the limit, but for what was in flight when it was reached."""
        if hasattr(self, "gate") and self.limit_usd is not None:
            assert self.spent_usd <= self.limit_usd + self.slots * HIGHEST_USD

    @invariant()
    def nothing_waits_for_nothing(self) -> None:
        """With nothing under way, no stop, no pause and money left, whatever is queued may start."""
        if not hasattr(self, "gate") or self.running or self.stopped or self.paused or self.limited:
            return
        broke = self.limit_usd is not None and self.spent_usd >= self.limit_usd
        if self.schedule.queued_count and not broke and not self.gate.stop_class:
            chunk_id = self.schedule.next_startable(self._is_open)
            assert chunk_id is not None
            assert self.gate.admits(chunk_id, running=0)


TestRun = Run.TestCase
TestRun.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=timedelta(seconds=5),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


@pytest.mark.parametrize(("attribute", "broken"), [("Budget", Spendthrift), ("Gate", Restless)])
def test_a_broken_part_is_found_out(attribute: str, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that reserves nothing, and a gate that is open in pauses, do not get through."""
    monkeypatch.setattr(sys.modules[__name__], attribute, broken)
    quick = settings(TestRun.settings, phases=[Phase.generate], print_blob=False, max_examples=500)
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        run_state_machine_as_test(Run, settings=quick)
