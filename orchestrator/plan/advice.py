"""What a person should know of a plan before it runs: what cannot work, and what could be done better."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice

from orchestrator.errors import Problem
from orchestrator.plan.estimate import Estimate
from orchestrator.plan.expecting import ReviewSpec
from orchestrator.plan.naming import Reference
from orchestrator.plan.prices import Price, price_of, price_table
from orchestrator.plan.selection import entry_of
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Chunk, ForEach, Reduce, Workload

ONE_CALL_OUTPUT = 4000
"""Tokens that a model writes well in one go; what is asked for in many parts is rarely meant to be shorter."""

Count = Callable[[str], int]

ONE_CALL_INPUT = 40_000
"""Tokens that a model reads with the same care in one go as in parts."""

_NAMED = 3
"""Chunks that are named before they are only counted."""


def window_problems(workload: Workload, estimate: Estimate, *, tally: Tally | None = None) -> list[Problem]:
    """The chunks whose prompt can not fit their model's window, even when every answer in it were empty."""
    count = (tally or Tally()).count
    found: list[Problem] = []
    for chunk in workload.chunks.values():
        price = _price(chunk.model)
        if estimate.chunks[chunk.id].input_tokens <= price.window:
            continue
        tokens = count(workload.context) + _certain_tokens(chunk, workload, count)
        if tokens > price.window:
            name = chunk.model or "the default model"
            message = f"the prompt of `{chunk.id}` has {tokens:,} tokens or more, and {name} takes {price.window:,}"
            hint = "split its input with `for_each`, or `reduce` what it refers to"
            found.append(Problem(str(workload.path or workload.name), 0, 0, message, hint=hint))
    return found


def notes(workload: Workload, estimate: Estimate, *, tally: Tally | None = None) -> tuple[str, ...]:
    """What could be better about a plan that can run, a sentence each."""
    return (
        *_one_call(workload, estimate, tally or Tally()),
        *_moving_numbers(workload),
        *_bad_cuts(workload),
        *_nameless_records(workload),
        *_tools(workload),
    )


def _certain_tokens(chunk: Chunk, workload: Workload, count: Count) -> int:
    """Tokens (`cl100k_base`, which counts fewer than any model) of all that is known of a prompt before the run."""
    return (
        count(chunk.template.source)
        + count(chunk.memory)
        + sum(_certain(reference, chunk, workload, count) for reference in chunk.template.references)
    )


def _certain(reference: Reference, chunk: Chunk, workload: Workload, count: Count) -> int:
    text = ""
    if reference.namespace == "inputs":
        text = workload.inputs[reference.name].text
    elif reference.namespace == "item" and chunk.item is not None:
        kind = reference.name.partition(".")[0]
        text = "" if kind in ("row", "chunks", "index", "count") else str(getattr(chunk.item, kind) or "")
    tokens = count(text)
    return tokens if reference.max_tokens is None else min(tokens, reference.max_tokens)


def _one_call(workload: Workload, estimate: Estimate, tally: Tally) -> Iterator[str]:
    models = {chunk.model for chunk in workload.chunks.values()}
    merged = {group.over for group in workload.groups.values() if isinstance(group, Reduce)}
    if estimate.calls < 2 or len(models) != 1 or _wanted_output(workload, estimate, merged) >= ONE_CALL_OUTPUT:
        return
    model = models.pop()
    price = _price(model)
    # A longer text may be worked through piece by piece because it fits no attention, though it fits the window.
    most = min(price.window / 2, ONE_CALL_INPUT) if merged else price.window / 2
    texts = {each.text for each in workload.inputs.values()} | {workload.context}
    texts |= {chunk.template.source for chunk in workload.chunks.values()}
    tally.prepare(texts)
    if sum(map(tally.count, texts)) * price.token_factor <= most:
        yield f"all of this fits one call to {model or 'the default model'}: a plan of one chunk may do"


def _wanted_output(workload: Workload, estimate: Estimate, merged: Collection[str]) -> int:
    """Tokens of all answers but those that are there to be merged, and the merges on the way: one call needs none."""
    passing = {*merged, *(name for name, group in workload.groups.items() if isinstance(group, Reduce))}
    return sum(
        each.output_tokens
        for name, each in estimate.chunks.items()
        if name == entry_of(name) or entry_of(name) not in passing
    )


def _moving_numbers(workload: Workload) -> Iterator[str]:
    for group in workload.groups.values():
        if isinstance(group, Reduce):
            continue
        quoted = {each.name for each in group.prototype.template.references if each.namespace == "item"}
        count = f"all {len(group.members):,}" if group.members is not None else "all"
        if "count" in quoted:
            yield f"{group.id} quotes item.count: adding one piece would run {count} again"
        elif "index" in quoted:
            yield f"{group.id} quotes item.index: adding one piece would run {count} again when it comes first"


def _bad_cuts(workload: Workload) -> Iterator[str]:
    for group in workload.groups.values():
        if not isinstance(group, ForEach) or group.paired:
            continue
        chunks = (workload.chunks[each] for each in group.members or ())
        cut = [f"{chunk.id}: {note}" for chunk in chunks if chunk.item is not None for note in chunk.item.notes]
        yield from islice(cut, _NAMED)
        if len(cut) > _NAMED:
            yield f"{group.id}: {len(cut) - _NAMED:,} more cuts of that kind"


def _nameless_records(workload: Workload) -> Iterator[str]:
    for group in workload.groups.values():
        members = group.members or () if isinstance(group, ForEach) else ()
        form = workload.chunks[members[0]].form if members else None
        if form is not None and form.is_list and not form.key:
            yield (
                f"{group.id} answers for several rows at once, and no record says for which: "
                "give the input a `key`, and name that column in `fields`"
            )


def _tools(workload: Workload) -> Iterator[str]:
    prototypes = [group.prototype for group in workload.groups.values()]
    asked = [chunk.tooling for chunk in (*workload.chunks.values(), *prototypes) if chunk.tooling is not None]
    if asked:
        tools = ",".join(sorted({tool for tooling in asked for tool in tooling.tools}))
        folders = ", ".join(sorted({tooling.name for tooling in asked}))
        yield f"run it with --allow-tools {tools} as it asks; what they read in {folders} is not in the estimate"


def _price(model: str | None) -> Price:
    return price_of(model) or price_table().dearest()


def uncounted_calls(workload: Workload) -> tuple[str, ...]:
    """What is asked beyond the chunks of the plan, a sentence each: how much depends on their answers."""
    told: list[str] = []
    spec = workload.review or (ReviewSpec() if workload.expect is not None else None)
    if workload.rubric:
        told.append("a model that judges the result makes one more call a round, or several for a long result")
    if spec is not None and spec.rounds > 0:
        told.append("what the review sends back is asked again, one call for each part, beyond these figures")
    if workload.transitions:
        told.append("transitions make one more short call between any two answers")
    return tuple(told)
