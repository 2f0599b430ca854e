"""Learning from what calls took: kept as answers come in, read back before the next run is estimated."""

from __future__ import annotations

from collections import Counter
from functools import partial

from orchestrator.engine.journal import Journal
from orchestrator.errors import OrchestrateError
from orchestrator.plan.continuity import keeper_recipes
from orchestrator.plan.counts import OVERHEAD_TOKENS
from orchestrator.plan.learned import Call, Learned, cost_factor, fit_tokens
from orchestrator.plan.prices import price_of, price_table
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import Workload
from orchestrator.runners.base import Reply, Request
from orchestrator.store import CallRecord, Connection, Writes
from orchestrator.store.reads import answers_by_recipe, recent_calls

KEPT_CALLS = 60
"""Calls of each model that one process keeps: counting tokens takes up to a second for each MB."""

LONGEST_COUNTED = 1_000_000
"""Characters; longer prompts are not counted."""

READ_CALLS = 300
"""Calls of each model, and answers of each recipe, that an estimate looks back on."""


class Measuring:
    """Keeps what the answered calls of one run took. Only those are kept that are alike: plain text in, text out."""

    def __init__(self, workload: Workload, *, journal: Journal, runner_kind: str) -> None:
        self._context = workload.context
        self._context_tokens: int | None = None
        self._journal = journal
        self._runner_kind = runner_kind
        self._kept: Counter[str] = Counter()

    def answered(self, request: Request, reply: Reply, *, elapsed_s: float) -> None:
        """Note one call; the counting happens in the store's thread, after the answer was stored."""
        model = request.model or "default"
        known = reply.usage.total_input_tokens > 0 and len(request.prompt) <= LONGEST_COUNTED
        if request.output_schema is not None or not known or self._kept[model] >= KEPT_CALLS:
            return
        self._kept[model] += 1
        make = partial(self._record, request.prompt, model, reply, elapsed_s)
        self._journal.do(Writes.add_call(make))

    def _record(self, prompt: str, model: str, reply: Reply, elapsed_s: float) -> CallRecord | None:
        try:
            if self._context_tokens is None:
                self._context_tokens = count_tokens(self._context)
            counted = count_tokens(prompt) + self._context_tokens
        except OrchestrateError:
            # An answer is worth more than the knowledge of how long its prompt was.
            return None
        return CallRecord(
            runner=self._runner_kind,
            model=model,
            counted_tokens=counted,
            input_tokens=reply.usage.total_input_tokens,
            output_tokens=reply.usage.output_tokens,
            cost_usd=reply.cost_usd,
            elapsed_s=elapsed_s,
        )


def learn(connection: Connection, workload: Workload, *, runner: str) -> Learned:
    """What the store knows of calls like those of the workload, by this kind of runner."""
    by_model: dict[str, list[Call]] = {}
    for each in recent_calls(connection, runner=runner, limit=READ_CALLS):
        call = Call(each.input_tokens, each.output_tokens, each.cost_usd, each.elapsed_s, each.counted_tokens)
        by_model.setdefault(each.model, []).append(call)
    fits = {model: fit_tokens(calls, usual_overhead=OVERHEAD_TOKENS) for model, calls in by_model.items()}
    costs = {
        model: cost_factor(calls, price=price_of(None if model == "default" else model) or price_table().dearest())
        for model, calls in by_model.items()
    }
    recipes = {chunk.recipe for chunk in workload.chunks.values()}
    recipes |= {group.prototype.recipe for group in workload.groups.values()}
    recipes |= {recipe for group in workload.groups.values() for recipe in keeper_recipes(group)}
    found = answers_by_recipe(connection, recipes, runner=runner, limit=READ_CALLS)
    return Learned(
        tokens={model: fit for model, fit in fits.items() if fit is not None},
        costs={model: cost for model, cost in costs.items() if cost is not None},
        took_s={model: [call.elapsed_s for call in calls] for model, calls in by_model.items()},
        calls={recipe: [Call(*took) for took in answers] for recipe, answers in found.items()},
    )
