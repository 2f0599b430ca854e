"""What a run will take: calls, tokens, money and time. Estimates all, and rather too high than too low."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from orchestrator.plan.foresight import Foresight, foresee
from orchestrator.plan.model import Complexity
from orchestrator.plan.prices import MILLION, Price, price_table
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import Chunk, Workload

OUTPUT_TOKENS: dict[Complexity, int] = {"simple": 400, "medium": 1000, "complex": 2500}
"""Tokens of an answer, in the model's own count, guessed by size class: about 300, 700 and 1,800 words."""
OUTPUT_LOW, OUTPUT_HIGH = 0.4, 2.0
"""An answer is hardly ever shorter or longer than these multiples of the guess."""
OVERHEAD_TOKENS = 600
"""Tokens that the CLI adds to each call: its own lines, tools off, measured on 2.1.328 at about 2 kB."""
MARK_TOKENS = 45
"""`cl100k_base` tokens of the marks around one answer."""
START_S = 3.0
"""Seconds of a call before text arrives: the CLI starts in 0.6 s, the model answers within 1 to 3 s."""
OUTPUT_TOKENS_PER_S = 80.0
"""Tokens per second at which an answer arrives."""

_NAMED_IN_WARNING = 3
"""Chunks that one warning names before it only counts."""


@dataclass(frozen=True, slots=True)
class ChunkEstimate:
    """What one call is expected to take. Tokens are in the model's own count; `time_s` in seconds."""

    input_tokens: int
    output_tokens: int
    cost_usd: float
    time_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take. Totals leave out the chunks whose answers are reusable; `chunks` has them all.

    Chunks that become known only during the run are guessed and counted, under the ids that they will have. The low
    and high figures differ by the length of the answers, and by whether the shared context is read from the
    cache. `model` names the models asked for, `default` being the CLI's own choice.
    """

    calls: int
    reusable: int
    input_tokens: int
    output_tokens: int
    cost_usd_low: float
    cost_usd_high: float
    time_s_low: float
    time_s_high: float
    model: str
    warnings: tuple[str, ...]
    chunks: Mapping[str, ChunkEstimate]


def estimate_workload(workload: Workload, *, reusable: Collection[str] = (), max_concurrency: int) -> Estimate:
    """The estimate of a run in which the chunks of `reusable` are not asked again.

    Takes under a second for 5,000 chunks: each distinct text is counted once. An answer that a prompt refers to
    counts as its guessed length. Raises `TokenRanksError` when tokens cannot be counted.
    """
    prices = {model: _price(model) for model in _models(workload)}
    counts = _Counts(workload, prices)
    seen = counts.seen
    chunks = {name: estimate_chunk(chunk, counts, price=prices[chunk.model]) for name, chunk in seen.chunks.items()}
    called = [name for name in chunks if name not in reusable]
    context = {name: round(counts.context * prices[seen.chunks[name].model].token_factor) for name in called}
    low = high = 0.0
    for at, name in enumerate(called):
        price, each = prices[seen.chunks[name].model], chunks[name]
        own = (each.input_tokens - context[name]) * price.input
        cached = context[name] * (price.cache_read if at else price.cache_write)
        written = context[name] * max(price.cache_write, price.input)
        low += (own + cached + each.output_tokens * OUTPUT_LOW * price.output) / MILLION
        high += (own + written + each.output_tokens * OUTPUT_HIGH * price.output) / MILLION
    models = sorted({seen.chunks[name].model or "default" for name in called or seen.chunks})
    return Estimate(
        calls=len(called),
        reusable=len(chunks) - len(called),
        input_tokens=sum(chunks[name].input_tokens for name in called),
        output_tokens=sum(chunks[name].output_tokens for name in called),
        cost_usd_low=low,
        cost_usd_high=high,
        time_s_low=_run_time_s(seen, chunks, called, max_concurrency, OUTPUT_LOW),
        time_s_high=_run_time_s(seen, chunks, called, max_concurrency, OUTPUT_HIGH),
        model=", ".join(models),
        warnings=_warnings(seen, chunks, called, prices),
        chunks=chunks,
    )


def estimate_chunk(chunk: Chunk, counts: _Counts, *, price: Price) -> ChunkEstimate:
    """What one call of a chunk is expected to take, the shared context at its full price."""
    tokens = OVERHEAD_TOKENS + round((counts.prompt(chunk) + counts.context) * price.token_factor)
    output = OUTPUT_TOKENS[chunk.complexity]
    return ChunkEstimate(
        input_tokens=tokens,
        output_tokens=output,
        cost_usd=(tokens * price.input + output * price.output) / MILLION,
        time_s=_time_s(output),
    )


def _models(workload: Workload) -> set[str | None]:
    return {
        chunk.model for chunk in (*workload.chunks.values(), *(each.prototype for each in workload.groups.values()))
    }


class _Counts:
    """Tokens of the texts of a workload, in `cl100k_base`, each distinct text counted once.

    `seen` are all the chunks there will be, as far as they can be foreseen.
    """

    def __init__(self, workload: Workload, prices: Mapping[str | None, Price]) -> None:
        self._texts: dict[str, int] = {}
        self._groups: dict[str, float] = {}
        self._factors = {model: price.token_factor for model, price in prices.items()}
        self._whole = {"request": self._count(workload.plan.request or ""), "name": self._count(workload.name)}
        self.context = self._count(workload.context)
        self.seen = foresee(workload, answer_tokens=self._answer)
        templates = {id(chunk.template): chunk.template for chunk in self.seen.chunks.values()}
        references = [each for template in templates.values() for each in template.references]
        used = {each.name for each in references if each.namespace == "inputs"}
        self._inputs = {name: self._count(text.text) for name, text in workload.inputs.items() if name in used}

    def _count(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = count_tokens(text)
        return self._texts[text]

    def _answer(self, chunk: Chunk) -> float:
        return OUTPUT_TOKENS[chunk.complexity] / self._factors[chunk.model] + MARK_TOKENS

    def _answers(self, name: str) -> float:
        """What `{{ chunks.NAME }}` takes: one answer, or those of a group."""
        if name in self.seen.chunks:
            return self._answer(self.seen.chunks[name])
        if name not in self._groups:
            members = self.seen.members.get(name, ())
            self._groups[name] = sum(self._answer(self.seen.chunks[each]) for each in members)
        return self._groups[name]

    def _item(self, chunk: Chunk, field: str) -> float:
        item = chunk.item
        kind, _, name = field.partition(".")
        if item is None or kind in ("index", "count"):
            return 1
        if kind == "row":
            return self._count(str(item.row.get(name, "")))
        if kind == "chunks":
            return self._answers(item.chunks[name])
        if kind in ("text", "original"):
            marks = MARK_TOKENS if item.from_answer else 0
            if kind == "original" and item.text is None:
                return self._count(item.original) + marks
            if item.text is None:
                return self._answers(item.answer_of)
            return self._count(item.text) + marks + self.seen.pieces.get(chunk.id, 0)
        return self._count(str(getattr(item, kind)))

    def prompt(self, chunk: Chunk) -> float:
        """Tokens of a chunk's prompt: its own text, tags included, and all that it refers to."""
        total = float(self._count(chunk.template.source))
        if chunk.carry is not None and chunk.carry.previous:
            total += chunk.carry.tail_tokens + MARK_TOKENS
        for reference in chunk.template.references:
            if reference.namespace == "chunks":
                tokens = self._answers(reference.key)
            elif reference.namespace == "item":
                tokens = self._item(chunk, reference.name)
            elif reference.namespace == "parts":
                tokens = self.seen.parts.get(chunk.id, 0.0)
            else:
                tokens = self._inputs.get(reference.name, 0) if reference.name else self._whole[reference.namespace]
            marks = MARK_TOKENS if reference.namespace == "chunks" else 0
            total += tokens if reference.max_tokens is None else min(tokens, reference.max_tokens + marks)
        return total


def _price(model: str | None) -> Price:
    return price_table().find(model) or price_table().dearest()


def _time_s(output_tokens: float) -> float:
    return START_S + output_tokens / OUTPUT_TOKENS_PER_S


def _run_time_s(
    seen: Foresight,
    chunks: Mapping[str, ChunkEstimate],
    called: Collection[str],
    max_concurrency: int,
    length: float,
) -> float:
    """The larger of the critical path and the whole work divided by how much goes on at once."""
    times = {name: _time_s(chunks[name].output_tokens * length) for name in called}
    ends: dict[str, float] = {}
    for name in TopologicalSorter(seen.before).static_order():
        ends[name] = times.get(name, 0.0) + max((ends[each] for each in seen.before[name]), default=0.0)
    return max(max(ends.values(), default=0.0), sum(times.values()) / max(1, max_concurrency))


def _warnings(
    seen: Foresight,
    chunks: Mapping[str, ChunkEstimate],
    called: Collection[str],
    prices: Mapping[str | None, Price],
) -> tuple[str, ...]:
    warnings: list[str] = []
    for model in sorted({seen.chunks[name].model or "" for name in called}):
        if model and price_table().find(model) is None:
            dearest = price_table().dearest().model
            warnings.append(
                f"no price is known for the model {model}: the cost is that of {dearest}, the dearest known"
            )
    large: list[str] = []
    for name in called:
        window = prices[seen.chunks[name].model].window
        if chunks[name].input_tokens > window:
            large.append(f"{name} (about {chunks[name].input_tokens:,} tokens, the model takes {window:,})")
    if large:
        more = f" and {len(large) - _NAMED_IN_WARNING} more" if len(large) > _NAMED_IN_WARNING else ""
        warnings.append(f"larger than the model's window: {', '.join(large[:_NAMED_IN_WARNING])}{more}")
    return tuple(warnings)
