"""The estimate of a run, and what is said of it before the first call."""

from __future__ import annotations

from orchestrator.engine.costs.budget import above_limit
from orchestrator.engine.costs.forecast import Forecast
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.plan.advice import uncounted_calls
from orchestrator.plan.estimate import Estimate, estimate_workload
from orchestrator.plan.learned import Learned
from orchestrator.plan.loading import Texts
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Workload


async def make_estimate(
    forecast: Forecast, settings: RunSettings, surroundings: Surroundings, *, learned: Learned
) -> Estimate:
    """What the run is expected to take. Raises `LoadingStoppedError` when a stop was asked for meanwhile."""
    texts = Texts(cache=surroundings.known, on_loading=surroundings.watch, doing="estimating")
    return await surroundings.watch.run(
        lambda: estimate_workload(
            forecast.ahead,
            reusable=forecast.reusable,
            max_concurrency=settings.max_concurrency,
            learned=learned,
            tally=Tally(texts),
        )
    )


def warnings_of(estimate: Estimate, workload: Workload, *, max_cost_usd: float | None) -> tuple[str, ...]:
    """What the estimate warns of, what it does not count, and that it may exceed the cost limit."""
    uncounted = uncounted_calls(workload) if estimate.calls else ()
    return (*estimate.warnings, *uncounted, *above_limit(estimate.cost_usd_high, limit_usd=max_cost_usd))
