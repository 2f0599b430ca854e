"""Splits a request too big for one Claude CLI call into chunks, runs them, and stitches one honest result.

    from orchestrator import run_plan

    result = run_plan("plan.yaml")
    print(result.text)

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api import (
        CommonOptions,
        PlanningOptions,
        RunOptions,
        aforecast_plan,
        aplan_request,
        aresume_run,
        arun_plan,
        astream_plan,
        build_graph,
        forecast_plan,
        plan_request,
        resume_run,
        run_plan,
    )
    from orchestrator.engine.control import RunControl, StopLevel
    from orchestrator.engine.costs.allowance import WindowOutlook, WindowUse
    from orchestrator.engine.costs.outlook import ChunkOutlook, EntryOutlook, Outlook
    from orchestrator.engine.result import ChunkOutcome, RunResult
    from orchestrator.errors import (
        LoadingStoppedError,
        OrchestrateError,
        OutputExistsError,
        OutputWriteError,
        PlanChangedError,
        PlanError,
        PlanningFailedError,
        Problem,
        RunIncompleteError,
        RunnerUnavailableError,
        StoreError,
        StoreLockedError,
        StoreVersionError,
        UnknownRunError,
        UsageError,
    )
    from orchestrator.events import Event, event_to_dict, event_to_json
    from orchestrator.plan.load import StdinText, load_plan
    from orchestrator.plan.loading import Loading
    from orchestrator.plan.model import Plan
    from orchestrator.planning import PlanningResult
    from orchestrator.runners.base import Failure, FailureClass, Reply, Request, Runner, RunnerInfo, Usage, UsageWindow
    from orchestrator.runners.simulated import SimulatedRunner

__version__ = "0.1.0"

__all__ = [
    "ChunkOutcome",
    "ChunkOutlook",
    "CommonOptions",
    "EntryOutlook",
    "Event",
    "Failure",
    "FailureClass",
    "Loading",
    "LoadingStoppedError",
    "OrchestrateError",
    "Outlook",
    "OutputExistsError",
    "OutputWriteError",
    "Plan",
    "PlanChangedError",
    "PlanError",
    "PlanningFailedError",
    "PlanningOptions",
    "PlanningResult",
    "Problem",
    "Reply",
    "Request",
    "RunControl",
    "RunIncompleteError",
    "RunOptions",
    "RunResult",
    "Runner",
    "RunnerInfo",
    "RunnerUnavailableError",
    "SimulatedRunner",
    "StdinText",
    "StopLevel",
    "StoreError",
    "StoreLockedError",
    "StoreVersionError",
    "UnknownRunError",
    "Usage",
    "UsageError",
    "UsageWindow",
    "WindowOutlook",
    "WindowUse",
    "aforecast_plan",
    "aplan_request",
    "aresume_run",
    "arun_plan",
    "astream_plan",
    "build_graph",
    "event_to_dict",
    "event_to_json",
    "forecast_plan",
    "load_plan",
    "plan_request",
    "resume_run",
    "run_plan",
]

_HOMES = {
    "api": (
        "aforecast_plan",
        "forecast_plan",
        "CommonOptions",
        "PlanningOptions",
        "RunOptions",
        "aplan_request",
        "aresume_run",
        "arun_plan",
        "astream_plan",
        "build_graph",
        "plan_request",
        "resume_run",
        "run_plan",
    ),
    "engine.costs.allowance": ("WindowOutlook", "WindowUse"),
    "engine.control": ("RunControl", "StopLevel"),
    "engine.costs.outlook": ("ChunkOutlook", "EntryOutlook", "Outlook"),
    "engine.result": ("ChunkOutcome", "RunResult"),
    "errors": ("Problem", *(name for name in __all__ if name.endswith("Error"))),
    "events": ("Event", "event_to_dict", "event_to_json"),
    "plan.load": ("StdinText", "load_plan"),
    "plan.loading": ("Loading",),
    "plan.model": ("Plan",),
    "planning": ("PlanningResult",),
    "runners.base": ("Failure", "FailureClass", "Reply", "Request", "Runner", "RunnerInfo", "Usage", "UsageWindow"),
    "runners.simulated": ("SimulatedRunner",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
