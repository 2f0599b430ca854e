"""The invariants bite: engines that are broken on purpose, each in one place, are found out within a few worlds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.engine import assembly, execute, session
from orchestrator.engine import gate as gate_module
from orchestrator.engine.attempts import Attempts
from orchestrator.engine.costs.budget import Budget
from orchestrator.engine.gate import Gate
from orchestrator.engine.journal import Journal
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.lookup import Lookup
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.pauses import Pauses
from orchestrator.engine.schedule import Schedule
from tests.simulation.world import Setting, simulate

WITHIN = 1000
"""Worlds in which a broken engine has to be found out."""


class Impatient(Schedule):
    """Lets a chunk go once any of what it waits for is over."""

    def finish(self, chunk_id: str, status: Any) -> Any:
        for below in self._downstream[chunk_id]:
            if below not in self._final and self._waits_for[below] > 1:
                self._waits_for[below] = 1
        return super().finish(chunk_id, status)


class Crowded(Schedule):
    """Forgets how many slots there are."""

    def next_startable(self, *given: Any) -> Any:
        self.max_concurrency += 1
        return super().next_startable(*given)


class Lazy(Schedule):
    """Keeps one slot free."""

    def next_startable(self, *given: Any) -> Any:
        return (
            None if self._running and len(self._running) >= self.max_concurrency - 1 else super().next_startable(*given)
        )


class Forgetful(Pauses):
    """Forgets that one call goes first after a pause."""

    def over(self, account: str, *, now_s: float) -> bool:
        is_over = super().over(account, now_s=now_s)
        self._of(account).proving &= not is_over
        return is_over


class Restless(Gate):
    """Starts in pauses."""

    def is_open(self, lane: Any) -> bool:
        return not self.stop_class

    def started(self, chunk_id: str, lane: Any) -> str:
        self._under_way[chunk_id] = ""
        self._pauses.started("", chunk_id)
        return ""


class Deaf(Gate):
    """Goes on after a stop."""

    def stop(self, stop_class: Any, reason: str) -> None:
        if stop_class != "interrupted":
            super().stop(stop_class, reason)


class Tireless(Gate):
    """Goes on after any number of equal failures."""

    def chunk_failed(self, error_type: str, message: str) -> None:
        self._same_failure = ("", 0)


class Spendthrift(Budget):
    """Reserves nothing for what is under way."""

    def reserve(self, chunk_id: str) -> None: ...


class Endless(Budget):
    """Never counts what was paid."""

    def may_start(self, chunk_id: str) -> bool:
        return True


class Hasty(Journal):
    """Tells before it stores."""

    def append(self, kind: Any, *writes: Any, then: Any = None, **values: Any) -> None:
        observers, self._observers = self._observers, []
        event = kind(run_id=self.run_id, seq=self._next_seq, at=self._clock.iso(), **values)
        super().append(kind, *writes, then=then, **values)
        for observer in observers:
            observer(event)


class Gapped(Journal):
    """Leaves a number out now and then."""

    def append(self, kind: Any, *writes: Any, then: Any = None, **values: Any) -> None:
        self._next_seq += kind.type == "chunk_failed"
        super().append(kind, *writes, then=then, **values)


class Double(Ledger):
    """Tells of a skip twice."""

    def skipped(self, skip: Any) -> None:
        super().skipped(skip)
        super().skipped(skip)


class Amnesiac(Lookup):
    """Does not look for answers that are stored."""

    def _answered(self, chunk_id: str, refusal: str, found: Any) -> None:
        super()._answered(chunk_id, refusal, None if chunk_id not in self._flights else found)


class Persistent(Attempts):
    """Never counts an attempt."""

    def start(self, *given: Any, **more: Any) -> Any:
        request = super().start(*given, **more)
        self.of[request.chunk_id].used = 1
        return request


class Hurried(Mailbox):
    """Keeps no wait."""

    def post_after(self, wait_s: float, action: Any) -> None:
        super().post_after(wait_s / 2, action)


def with_limits(setting: Setting) -> bool:
    """Worlds with usage limits that are waited for."""
    return bool(setting.faults.limits) and setting.bounds.wait_for_limits


def with_failures(setting: Setting) -> bool:
    """Worlds in which chunks fail for good and few such failures are borne."""
    return setting.faults.lasting > 0.05 and setting.bounds.max_same_failure == 2


def with_money(setting: Setting) -> bool:
    """Worlds with a cost limit."""
    return setting.max_cost_usd is not None


def any_world(setting: Setting) -> bool:
    """Every world."""
    return True


BROKEN: dict[str, tuple[Any, str, Any]] = {
    "impatient": (assembly, "Schedule", Impatient),
    "crowded": (assembly, "Schedule", Crowded),
    "lazy": (assembly, "Schedule", Lazy),
    "forgetful": (gate_module, "Pauses", Forgetful),
    "restless": (execute, "Gate", Restless),
    "deaf": (execute, "Gate", Deaf),
    "tireless": (execute, "Gate", Tireless),
    "spendthrift": (assembly, "Budget", Spendthrift),
    "endless": (assembly, "Budget", Endless),
    "hasty": (session, "Journal", Hasty),
    "gapped": (session, "Journal", Gapped),
    "double": (session, "Ledger", Double),
    "amnesiac": (execute, "Lookup", Amnesiac),
    "persistent": (execute, "Attempts", Persistent),
    "hurried": (execute, "Mailbox", Hurried),
}


SUITS: dict[str, Callable[[Setting], bool]] = {
    "forgetful": with_limits,
    "restless": with_limits,
    "tireless": with_failures,
    "spendthrift": with_money,
    "endless": with_money,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_engine_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first world that shows it is enough."""
    module, attribute, broken = BROKEN[name]
    monkeypatch.setattr(module, attribute, broken)
    suits = SUITS.get(name, any_world)
    found = next((seed for seed in range(WITHIN) if suits(Setting.of(seed)) and _shows(seed)), None)
    assert found is not None, f"{broken.__doc__} Nobody noticed."


def _shows(seed: int) -> bool:
    try:
        return bool(simulate(seed).broken)
    except (RuntimeError, AssertionError, IndexError, KeyError):
        # An engine so broken that it falls over is found out, too.
        return True
