"""What fits one call, and whether the calls of a planned plan do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.planner.form import Strategy
from orchestrator.errors import PlanError
from orchestrator.plan.counts import OVERHEAD_TOKENS
from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.inputs import GivenInput
from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import Texts
from orchestrator.plan.prices import Price, price_of, price_table
from orchestrator.plan.selection import entry_of
from orchestrator.plan.tally import Tally
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import Chunk, ForEach, Workload

ANSWER_TOKENS = 16_000
"""Tokens of the window that are left to the answer: the longest that a planner may ask for."""
MAX_PIECES = 2_000
"""Calls that one chunk of a planned plan may come to. A person's own plan may have more."""

SPLIT_EXAMPLE = '"for_each": {"input": "%s", "split": "markdown", "max_tokens": 4000}'


def room_tokens(model: str | None, *, context: str = "") -> int:
    """Tokens (`cl100k_base`) that a prompt to this model may have, the shared context not counted.

    By what is known of models beforehand: what was learned since would change what a planner is asked.
    """
    price = _price(model)
    return max(0, int((_limit(price) - OVERHEAD_TOKENS) / price.token_factor) - count_tokens(context))


def check_planned(
    plan: dict[str, Any],
    *,
    strategy: Strategy,
    inputs: Mapping[str, GivenInput],
    root: Path | None = None,
    base_dir: Path | None = None,
    texts: Texts | None = None,
    accounts: Collection[str] | None = None,
) -> Workload | list[str]:
    """A planner's plan, checked as a person's is and for what it would call; or what is wrong with it, in words.

    Reads the files that the plan names. With `accounts` it may name these and no others. Cutting and
    counting take about a second for 2 MB.
    """
    try:
        workload = load_plan(plan, inputs=inputs, root=root, base_dir=base_dir, texts=texts, accounts=accounts)
    except PlanError as error:
        return [f"{each.message}; {each.hint}" if each.hint else each.message for each in error.problems]
    return list(_many_calls(workload)) or list(_too_large(workload, strategy, Tally(texts))) or workload


def _many_calls(workload: Workload) -> Iterator[str]:
    for group in workload.groups.values():
        if isinstance(group, ForEach) and not group.paired and len(group.members or ()) > MAX_PIECES:
            yield (
                f"`for_each` of chunk {group.id} comes to {len(group.members or ()):,} calls, at most {MAX_PIECES:,} "
                "are allowed: larger pieces (`max_tokens`) of a text, several items or rows in one (`batch`)"
            )


def _too_large(workload: Workload, strategy: Strategy, tally: Tally) -> Iterator[str]:
    """The chunks whose prompts would not leave room for an answer, each once."""
    told: set[str] = set()
    estimate = estimate_workload(workload, max_concurrency=1, tally=tally)
    for name, each in estimate.chunks.items():
        entry = entry_of(name)
        group = workload.groups.get(entry)
        chunk = workload.chunks.get(name) or (group.prototype if group is not None else None)
        assert chunk is not None, "whatever is estimated is a chunk, or comes from a group"
        price = _price(chunk.model)
        if entry in told or each.input_tokens <= _limit(price):
            continue
        told.add(entry)
        takes = int(_limit(price) / price.token_factor)
        yield f"{_what(chunk, each.input_tokens / price.token_factor, takes, strategy)}: {_remedy(chunk, workload)}"


def _what(chunk: Chunk, tokens: float, takes: int, strategy: Strategy) -> str:
    sizes = f"about {round(tokens):,} tokens, and a call takes {takes:,}"
    if strategy == "single":
        return f"`single` cannot answer this: request and inputs together have {sizes}"
    whose = "a prompt" if chunk.item is not None or chunk.merges else "the prompt"
    return f"{whose} of chunk {entry_of(chunk.id)} would have {sizes}"


def _remedy(chunk: Chunk, workload: Workload) -> str:
    """What to write instead, by the largest thing that the prompt holds."""
    sizes: dict[tuple[str, str], int] = {}
    for reference in chunk.template.references:
        if reference.namespace == "inputs":
            sizes["inputs", reference.name] = len(workload.inputs[reference.name].text)
        elif reference.namespace == "item" and chunk.item is not None:
            sizes["item", ""] = len(chunk.item.text or "")
        else:
            sizes[reference.namespace, reference.name] = 0
    space, name = max(sizes, key=lambda key: sizes[key], default=("", ""))
    if space == "inputs":
        example = SPLIT_EXAMPLE % name
        if workload.inputs[name].kind in ("items", "rows"):
            example = f'"for_each": {{"input": "{name}", "batch": 20}}'
        return (
            f"do not give it {name} whole; write {example} in one chunk, and put the answers together in another with "
            '`"reduce": {"chunk": ID}`, or by `stitch`'
        )
    if space == "item":
        return "smaller pieces: `split` and `max_tokens` of a text or files, a smaller `batch` of items or rows"
    return "put long answers together with `reduce` before they are used"


def _limit(price: Price) -> int:
    """Tokens of a prompt, in the model's own count, that leave room for an answer."""
    return price.window - min(ANSWER_TOKENS, price.window // 2)


def _price(model: str | None) -> Price:
    return price_of(model) or price_table().dearest()
