"""From a request to a plan: the planner's calls, each a run of one chunk of its own, and what comes of them.

So a planner's call is shown, retried, paid, stored and stopped like any other; an answer that is known is not asked
for again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from orchestrator.binding import bind_new_run, kept_limit
from orchestrator.engine.grants import read_grant, require_granted
from orchestrator.engine.planner.fit import check_planned
from orchestrator.engine.planner.form import Strategy
from orchestrator.engine.planner.planner import (
    MEND_IDS,
    PLANNER_ID,
    PlannedWork,
    PlannerTask,
    mend_task,
    plan_from_answer,
    planner_task,
    planning_workload,
)
from orchestrator.engine.recall import given_again, reload_workload
from orchestrator.engine.result import RunResult
from orchestrator.engine.session import RunSession
from orchestrator.errors import PlanningFailedError, UsageError
from orchestrator.opening import OpenedPlan, Options, loader_for, store_path
from orchestrator.plan.grouping import group_words
from orchestrator.plan.selection import entry_needs, entry_of
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import InputKind, Workload
from orchestrator.plan.yaml_source import plan_to_yaml
from orchestrator.runners.base import SIMULATED, Runner
from orchestrator.store import open_store

Drive = Callable[[RunSession], Awaitable[RunResult]]

LEAST_USD = 1e-9
"""What is left of a limit that planning has used up: nothing but a first chunk may start with it."""

FOLLOWED = ("output", "default_output", "only", "until", "redo", "sample")
"""Options that are meant for the planned run, kept with the planner's so that it can be resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningResult:
    """What came of asking for a plan.

    plan: the plan as `run_plan` takes it, with the `base_dir` that its paths start from; None when there is none.
    strategy: single, parallel, sequence or dag; reason: why, in the planner's words. titles: a few words by chunk id.
    needs: for each chunk id, in plan order, those that it waits for. pieces: what a `for_each` or `reduce` goes over,
    in words, by chunk id.
    whole: a sample was asked for, and no chunk of the plan runs once for each piece, so that all of it runs.
    problems: what is wrong with the last answer, when no plan came of it.
    run: the last run of the planner. cost_usd: what all of them cost.
    """

    plan: dict[str, Any] | None
    base_dir: Path
    strategy: Strategy | None = None
    reason: str = ""
    titles: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pieces: Mapping[str, str] = field(default_factory=dict[str, str])
    whole: bool = False
    problems: tuple[str, ...] = ()
    run: RunResult
    cost_usd: float

    @property
    def exit_code(self) -> int:
        """What the command line exits with: 0 with a plan, else as the planner's run ended, at least 1."""
        return 0 if self.plan is not None else self.run.exit_code or 1

    def to_yaml(self) -> str:
        """The plan as a file for people, strategy and reason on top. Raises `PlanningFailedError` without a plan."""
        plan = self.raise_for_failure().plan
        assert plan is not None
        return plan_to_yaml(plan, comment=f"Planned as {self.strategy}: {self.reason}")

    def raise_for_failure(self) -> PlanningResult:
        """The same result when it has a plan. Raises `PlanningFailedError` otherwise."""
        if self.plan is None:
            raise PlanningFailedError(self.run.run_id, problems=self.problems or (self._why(),))
        return self

    def as_run_result(self) -> RunResult:
        """The result of a run that ended before it could begin, since there is no plan."""
        if self.problems:
            told = f"the planner gave no plan that can be run: {'; '.join(self.problems)}"
            return replace(self.run, status="failed", text="", reason=told, cost_usd=self.cost_usd)
        return replace(self.run, text="", cost_usd=self.cost_usd)

    def _why(self) -> str:
        return self.run.reason or next((each.reason for each in self.run.chunks.values() if each.text is None), "")


async def make_plan(
    opened: OpenedPlan, options: Options, *, environment: Mapping[str, str], drive: Drive, then_run: bool
) -> tuple[PlanningResult, OpenedPlan | None]:
    """Ask for a plan, and have it mended at most twice. The plan that is opened can be run at once.

    With `then_run` a planner's run that is resumed goes on to run the plan. Raises `UsageError` when nothing bounds
    what may be spent and nobody is asked; whatever a run may raise comes out too.
    """
    request = opened.workload
    limit = kept_limit(request, options)
    require_bound(options, limit=limit)
    if then_run:
        allowed, chosen = read_grant(options.get("allow_tools") or ()), options.get("environment")
        surrounding = environment if chosen is None else chosen
        require_granted(request, allowed=allowed, environment=surrounding, accounts=options.get("accounts"))
    follow = {name: _plain(options.get(name)) for name in FOLLOWED} | {"max_cost_usd": limit, "run": then_run}
    first = task = await first_task(opened)
    spent, problems, run, confirm = 0.0, list[str](), None, options.get("confirm")
    for chunk_id in (PLANNER_ID, *MEND_IDS):
        asking = replace(opened, workload=planning_workload(request, chunk_id=chunk_id, task=task), planning=follow)
        run = await drive(bind_new_run(asking, _own_options(options, confirm, limit, spent), environment=environment))
        spent += run.cost_usd
        if run.status != "complete":
            return _result(opened, run, spent), None
        answer = run.chunks[chunk_id].text or ""
        found = await read_plan(answer, opened, options)
        if isinstance(found, tuple):
            work, planned = found
            planned = replace(planned, planned_by={"run_id": run.run_id, "cost_usd": round(spent, 6)})
            return _result(opened, run, spent, work=work, workload=planned.workload), planned
        problems = found
        # Whoever agreed to planning has agreed to its mending.
        task, confirm = mend_task(first, answer=answer, problems=problems), None
    assert run is not None
    return _result(opened, run, spent, problems=problems), None


async def first_task(opened: OpenedPlan) -> PlannerTask:
    """What the planner is asked first. Raises `LoadingStoppedError` or `TokenRanksError`."""
    tally = Tally(replace(opened.loader.texts, doing="preparing the question"))
    return await opened.loader.watch.run(lambda: planner_task(opened.workload, tally))


async def read_plan(answer: str, opened: OpenedPlan, options: Options) -> tuple[PlannedWork, OpenedPlan] | list[str]:
    """The plan that an answer of the planner makes of a request, opened; or all that is wrong with it."""
    request = opened.workload
    kinds: dict[str, InputKind] = {name: each.kind for name, each in request.inputs.items()}
    found = plan_from_answer(answer, base=_base(request), inputs=kinds)
    if isinstance(found, list):
        return found
    planned = await opened.loader.watch.run(partial(_open, found, opened, options))
    return planned if isinstance(planned, list) else (found, planned)


def require_bound(options: Options, *, limit: float | None) -> None:
    """Raise `UsageError` when the planner would spend without a limit, and nobody is there to ask."""
    runner: Runner | str | None = options.get("runner")
    kind = runner.partition(":")[0] if isinstance(runner, str) else runner.kind if runner is not None else ""
    if kind != SIMULATED and limit is None and options.get("confirm") is None:
        raise UsageError(
            "the model plans this request itself, so nobody knows yet what it costs: say how much it may cost with "
            "--max-cost USD, or run it where somebody can be asked"
        )


def left_of(limit: float | None, spent: float) -> float | None:
    """What the planned run may still cost."""
    return None if limit is None else max(limit - spent, LEAST_USD)


async def reopen(run_id: str, options: Options) -> tuple[OpenedPlan, dict[str, Any]] | None:
    """The request of a planner's run that is to go on, and all its options; None for any other run.

    Planning begins again, with the answers that are known. Raises what `bind_resumed_run` raises, and `UsageError`
    when the run was to make a plan and nothing else.
    """
    store = open_store(store_path(options))
    record = store.run(store.resolve(run_id))
    kept = record.options
    planning: Mapping[str, Any] | None = kept.get("planning")
    if not planning:
        return None
    if not planning["run"]:
        raise UsageError(
            f"run {record.run_id} was to make a plan and nothing else; type its command again: what is known is reused"
        )
    loader = loader_for(options)
    workload = await loader.watch.run(lambda: reload_workload(record, loader.texts))
    opened = OpenedPlan(
        workload=workload,
        base_dir=Path(record.base_dir) if record.base_dir else None,
        root=Path(kept["root"]) if kept["root"] else None,
        is_file=kept["is_file"],
        loader=loader,
    )
    names = (
        "runner",
        "claude",
        "max_concurrency",
        "max_tokens",
        "max_wall_s",
        "wait_for_limits",
        "max_wait",
        "accounts",
        "allow_tools",
    )
    began = {name: kept.get(name) for name in names} | dict(planning)
    del began["run"]
    given = {"inputs": given_again(record), **{name: value for name, value in options.items() if value is not None}}
    return opened, {name: value for name, value in began.items() if value is not None} | given


def _base(request: Workload) -> dict[str, Any]:
    """The request's own plan without chunks, under its name, as plain values."""
    return {"name": request.name, **_without_chunks(request.plan.model_dump(mode="json", exclude_unset=True))}


def _without_chunks(plan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key != "chunks"}


def _own_options(options: Options, confirm: object, limit: float | None, spent: float) -> dict[str, Any]:
    own = {name: value for name, value in options.items() if name not in (*FOLLOWED, "inputs")}
    return own | {"output": "-", "confirm": confirm, "max_cost_usd": left_of(limit, spent)}


def _open(work: PlannedWork, opened: OpenedPlan, options: Options) -> OpenedPlan | list[str]:
    """The planned work, checked as any plan is; or what is wrong with it."""
    base_dir = base_of(opened)
    workload = check_planned(
        work.plan,
        strategy=work.strategy,
        inputs=options.get("inputs") or {},
        root=opened.root,
        base_dir=base_dir,
        texts=opened.loader.texts,
        accounts=options.get("accounts") or {},
    )
    if isinstance(workload, list):
        return workload
    origin = opened.workload.path
    return replace(opened, workload=workload, base_dir=base_dir, is_file=False, planned_from=origin, planning=None)


def base_of(opened: OpenedPlan) -> Path:
    """The folder that the plan's paths start from."""
    path = opened.workload.path
    return opened.base_dir or (path.parent if path is not None else Path.cwd())


def _result(
    opened: OpenedPlan,
    run: RunResult,
    spent: float,
    *,
    work: PlannedWork | None = None,
    workload: Workload | None = None,
    problems: list[str] | None = None,
) -> PlanningResult:
    return PlanningResult(
        plan=work.plan if work else None,
        base_dir=base_of(opened),
        strategy=work.strategy if work else None,
        reason=work.reason if work else "",
        titles=work.titles if work else {},
        needs=_needs(workload) if workload else {},
        pieces={name: group_words(group) for name, group in workload.groups.items()} if workload else {},
        problems=tuple(problems or ()),
        run=run,
        cost_usd=round(spent, 6),
    )


def _needs(workload: Workload) -> dict[str, tuple[str, ...]]:
    """What each entry of the plan waits for, in plan order; the order of `mode: sequence` counts."""
    needs = entry_needs(workload.chunks, workload.groups)
    for name, chunk in workload.chunks.items():
        entry = chunk.group or name
        after = tuple(each for each in map(entry_of, chunk.after) if each != entry)
        needs[entry] = tuple(dict.fromkeys((*needs[entry], *after)))
    return needs


def _plain(value: Any) -> Any:
    """The value of an option as JSON can hold it."""
    if isinstance(value, Path):
        return str(value.absolute())
    return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value
