"""What a run goes on with and works with, as its caller decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.clock import Clock
from orchestrator.engine.control import RunControl
from orchestrator.engine.gate import Bounds
from orchestrator.engine.reuse import ReuseRules
from orchestrator.engine.watch import Watch
from orchestrator.events import RunEstimated
from orchestrator.plan.workload import ResultFiles
from orchestrator.runners.base import Runner
from orchestrator.store import Store, StoredTexts

Confirm = Callable[[RunEstimated], bool]
"""Asked once before the first call, in the event loop's thread; False stops the run before anything is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run goes on with: the plan's limits merged with what the call asked for.

    `output` is the result file (absolute) or None; `files` are those to write instead, one for each source. `force`
    overwrites a file that we did not write.
    """

    max_concurrency: int
    bounds: Bounds
    max_cost_usd: float | None
    max_tokens: int | None = None
    rules: ReuseRules
    output: Path | None
    files: ResultFiles | None = None
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run works with. `known` is what need not be found out of its texts, `watch` watches over finding it."""

    store: Store
    runner: Runner
    control: RunControl
    clock: Clock
    confirm: Confirm | None
    known: StoredTexts
    watch: Watch
