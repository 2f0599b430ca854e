"""From what a caller names to a plan that is read and checked, with its texts split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.engine.watch import Watch
from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import Texts
from orchestrator.plan.model import Plan
from orchestrator.plan.workload import Workload
from orchestrator.store import StoredTexts, open_store

DEFAULT_STORE = Path(".orchestrate") / "store.db"
"""In the current folder."""

Options = Mapping[str, Any]
"""The options of `api.RunOptions`, checked there by `check_options`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """What everything before the first call is done with: what is known of texts, and who watches."""

    known: StoredTexts
    watch: Watch

    @property
    def texts(self) -> Texts:
        """The same as `plan/` takes it."""
        return Texts(cache=self.known, on_loading=self.watch)


def keep_known(loader: Loader, store: Path) -> None:
    """Keep for good, in a store that is there, what was found out about texts. Raises `StoreError`.

    A run does so itself; this is for what was found out after the last one.
    """
    if (writing := loader.known.writing()) is not None:
        thread = open_store(store).start_thread()
        thread.submit(writing, lambda _value, _error: None)
        thread.close()


def loader_for(options: Options) -> Loader:
    """A loader that knows what the store of the options knows, and heeds their `control` and `on_loading`."""
    watch = Watch(on_loading=options.get("on_loading"), control=options.get("control"))
    return Loader(known=StoredTexts(store_path(options)), watch=watch)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPlan:
    """A plan with all its texts read, and where its paths start from.

    `is_file`: a resumed run reads the plan file again; else the plan is kept with the run. `planned_from` is the file
    whose request the planner made the plan of, `planned_by` the planner's run and what it cost. `planning` is set for a
    run of the planner: what is to follow.
    """

    workload: Workload
    base_dir: Path | None
    root: Path | None
    is_file: bool
    planned_from: Path | None = None
    planned_by: Mapping[str, Any] | None = None
    planning: Mapping[str, Any] | None = None
    loader: Loader = field(repr=False)


async def open_plan(plan: Path | dict[str, Any] | Plan, options: Options) -> OpenedPlan:
    """Read and check a plan, or a request that is `to_be_planned`.

    Raises `PlanError`, `UsageError`, or `LoadingStoppedError` when a stop was asked for meanwhile.
    """
    base_dir = None if isinstance(plan, Path) else absolute(options.get("base_dir")) or Path.cwd()
    root = absolute(options.get("root"))
    loader = loader_for(options)
    workload = await loader.watch.run(
        lambda: load_plan(
            plan,
            inputs=options.get("inputs") or {},
            root=root,
            base_dir=base_dir,
            request_alone=True,
            texts=loader.texts,
            accounts=options.get("accounts") or {},
        )
    )
    return OpenedPlan(workload=workload, base_dir=base_dir, root=root, is_file=isinstance(plan, Path), loader=loader)


def store_path(options: Options) -> Path:
    """The store that the options name, else the default beside `base_dir` or in the current folder."""
    store = options.get("store")
    return Path(store) if store else Path(options.get("base_dir") or Path.cwd()) / DEFAULT_STORE


def absolute(path: Path | str | None) -> Path | None:
    """The path from the current folder; None when there is none."""
    return Path(path).absolute() if path else None
