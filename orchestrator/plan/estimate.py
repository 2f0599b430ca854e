"""What a run will take: calls, tokens, money and time. Estimates all, and rather too high than too low."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from graphlib import TopologicalSorter

from orchestrator.plan.counts import Counts, guessed_output
from orchestrator.plan.foresight import Foresight
from orchestrator.plan.learned import NOTHING_LEARNED, Learned, Span, answer_spans
from orchestrator.plan.prices import MILLION, Price, price_of, price_table
from orchestrator.plan.selection import entry_of
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Chunk, KeptKind, Workload

OUTPUT_LOW, OUTPUT_HIGH = 0.4, 2.0
"""An answer is hardly ever shorter or longer than these multiples of the guess."""
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
    cost_usd_low: float
    cost_usd_high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take. Totals leave out the chunks whose answers are reusable; `chunks` has them all.

    Chunks that become known only during the run are guessed and counted, under the ids that they will have. The low
    and high figures differ by the length of the answers, and by whether the shared context is read from the
    cache. `model` names the models asked for, `default` being the CLI's own choice. `before` has what each chunk, and
    each group, waits for; `keeps` what each keeper keeps.
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
    before: Mapping[str, tuple[str, ...]]
    keeps: Mapping[str, KeptKind]


TOTALS = tuple(field.name for field in fields(Estimate) if field.name not in ("chunks", "before", "keeps"))
"""What is told of a whole run."""


def estimate_workload(
    workload: Workload,
    *,
    reusable: Collection[str] = (),
    max_concurrency: int,
    learned: Learned = NOTHING_LEARNED,
    tally: Tally | None = None,
) -> Estimate:
    """The estimate of a run in which the chunks of `reusable` are not asked again, by what was learned before.

    Takes under a second for 5,000 chunks: each distinct text is counted once, by `tally`. An answer that a prompt
    refers to counts as its guessed length. Raises `TokenRanksError` when tokens cannot be counted.
    """
    prices = {model: _price(model, learned) for model in _models(workload)}
    counts = Counts(workload, prices, learned, tally or Tally())
    seen = counts.seen
    inputs = {name: estimate_input(chunk, counts, price=prices[chunk.model]) for name, chunk in seen.chunks.items()}
    spans = _spans(seen, counts, inputs, prices, learned, reusable)
    chunks = {
        name: _chunk_estimate(chunk, inputs[name], spans[name], price=prices[chunk.model], learned=learned)
        for name, chunk in seen.chunks.items()
    }
    called = [name for name in chunks if name not in reusable]
    low, high = _cost_range(seen, counts, chunks, spans, called, prices, learned)
    models = sorted({seen.chunks[name].model or "default" for name in called or seen.chunks})
    return Estimate(
        calls=len(called),
        reusable=len(chunks) - len(called),
        input_tokens=sum(chunks[name].input_tokens for name in called),
        output_tokens=sum(chunks[name].output_tokens for name in called),
        cost_usd_low=low,
        cost_usd_high=high,
        time_s_low=_run_time_s(
            seen, {name: _time_s(spans[name].low) * spans[name].pace for name in called}, max_concurrency
        ),
        time_s_high=_run_time_s(
            seen, {name: _time_s(spans[name].high) * spans[name].pace for name in called}, max_concurrency
        ),
        model=", ".join(models),
        warnings=_warnings(seen, chunks, called, prices, spans),
        chunks=chunks,
        before=seen.before,
        keeps={name: chunk.keeping.so_far.kind for name, chunk in seen.chunks.items() if chunk.keeping is not None},
    )


def estimate_input(chunk: Chunk, counts: Counts, *, price: Price) -> int:
    """The tokens that are reported for a call of a chunk, the shared context and the CLI's own lines included."""
    return round(counts.overhead(chunk.model) + (counts.prompt(chunk) + counts.context) * price.token_factor)


def _chunk_estimate(chunk: Chunk, tokens: int, span: Span, *, price: Price, learned: Learned) -> ChunkEstimate:
    """What one call of a chunk is expected to take, the shared context at its full price."""
    dollar = learned.costs.get(chunk.model or "default", 1.0) / MILLION
    return ChunkEstimate(
        input_tokens=tokens,
        output_tokens=round(span.tokens),
        cost_usd=(tokens * price.input + span.tokens * price.output) * dollar,
        time_s=_time_s(span.tokens) * span.pace,
        cost_usd_low=(tokens * price.input + span.low * price.output) * dollar,
        cost_usd_high=(tokens * price.input + span.high * price.output) * dollar,
    )


def _spans(
    seen: Foresight,
    counts: Counts,
    inputs: Mapping[str, int],
    prices: Mapping[str | None, Price],
    learned: Learned,
    reusable: Collection[str],
) -> dict[str, Span]:
    """How long each answer is expected to be: as earlier ones of its recipe were, else as the size class says."""
    spans: dict[str, Span] = {}
    alike: dict[str, list[str]] = {}
    for name, chunk in seen.chunks.items():
        guess = guessed_output(chunk, token_factor=prices[chunk.model].token_factor)
        spans[name] = Span(guess, guess * OUTPUT_LOW, guess * OUTPUT_HIGH)
        if learned.calls.get(chunk.recipe):
            alike.setdefault(chunk.recipe, []).append(name)
    for recipe, names in alike.items():
        first = seen.chunks[names[0]]
        price = prices[first.model]
        fixed = counts.overhead(first.model) + (counts.fixed(first) + counts.context) * price.token_factor
        # Those that are not asked again would only narrow the range of those that are.
        asked = [name for name in names if name not in reusable]
        for some in (asked, [name for name in names if name in reusable]):
            if some:
                known = {name: float(inputs[name]) for name in some}
                paid = sum(known.values()) * price.input / price.output
                spans |= answer_spans(
                    learned.calls[recipe],
                    inputs=known,
                    fixed=fixed,
                    besides=(paid / _raised(first.model, learned), paid),
                    guessed_s=_time_s,
                )
    return spans


def _cost_range(
    seen: Foresight,
    counts: Counts,
    chunks: Mapping[str, ChunkEstimate],
    spans: Mapping[str, Span],
    called: Sequence[str],
    prices: Mapping[str | None, Price],
    learned: Learned,
) -> tuple[float, float]:
    """What all calls cost, in US dollars. Where nothing was learned, reading the context from the cache is the best
    case, and writing it each time the worst; what was learned holds that already.
    """
    low = high = 0.0
    for at, name in enumerate(called):
        model = seen.chunks[name].model
        price, each, span = prices[model], chunks[name], spans[name]
        factor = learned.costs.get(model or "default")
        if factor is not None:
            least = each.input_tokens / _raised(model, learned)
            low += factor * (least * price.input + span.low * price.output) / MILLION
            high += factor * (each.input_tokens * price.input + span.high * price.output) / MILLION
            continue
        context = round(counts.context * price.token_factor)
        own = (each.input_tokens - context) * price.input
        cached = context * (price.cache_read if at else price.cache_write)
        written = context * max(price.cache_write, price.input)
        low += (own + cached + span.low * price.output) / MILLION
        high += (own + written + span.high * price.output) / MILLION
    return low, high


def _models(workload: Workload) -> set[str | None]:
    return {
        chunk.model for chunk in (*workload.chunks.values(), *(each.prototype for each in workload.groups.values()))
    }


def _price(model: str | None, learned: Learned) -> Price:
    price = price_of(model) or price_table().dearest()
    fit = learned.tokens.get(model or "default")
    return replace(price, token_factor=fit.factor) if fit is not None else price


def _raised(model: str | None, learned: Learned) -> float:
    """By how much the tokens of prompts are told too high on purpose."""
    fit = learned.tokens.get(model or "default")
    return fit.raised if fit is not None else 1.0


def _time_s(output_tokens: float) -> float:
    return START_S + output_tokens / OUTPUT_TOKENS_PER_S


def _run_time_s(seen: Foresight, times: Mapping[str, float], max_concurrency: int) -> float:
    """The larger of the critical path and the whole work divided by how much goes on at once."""
    ends: dict[str, float] = {}
    for name in TopologicalSorter(seen.before).static_order():
        ends[name] = times.get(name, 0.0) + max((ends[each] for each in seen.before[name]), default=0.0)
    return max(max(ends.values(), default=0.0), sum(times.values()) / max(1, max_concurrency))


def _warnings(
    seen: Foresight,
    chunks: Mapping[str, ChunkEstimate],
    called: Collection[str],
    prices: Mapping[str | None, Price],
    spans: Mapping[str, Span],
) -> tuple[str, ...]:
    warnings: list[str] = []
    unsure = sorted({entry_of(name) for name in called if spans[name].unsure})
    if unsure:
        warnings.append(
            f"the answers of {', '.join(unsure)} differ so much in length that the cost may leave the range told: "
            "more of them tell more (--sample)"
        )
    for model in sorted({seen.chunks[name].model or "" for name in called}):
        if model and price_of(model) is None:
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
