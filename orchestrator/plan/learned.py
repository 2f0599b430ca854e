"""What earlier calls tell of those to come: tokens in and out, money and time. Pure.

Everything here serves estimates (fit, cost, time) and never a cut, so that learning moves no piece of a text.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.plan.prices import MILLION, Price

FEWEST = 3
"""Calls from which anything is learned."""
SPREAD_ENOUGH = 1.5
"""The largest count must be this many times the smallest before an overhead can be told from a factor."""
FACTORS = (0.5, 5.0)
"""Tokens that a model counts for one of ours: nothing outside was ever measured."""
HIGH_QUANTILE, HIGH_AT_MOST = 0.8, 1.08
"""Fits are raised until so many of the calls they are made of lie below, but not by more than this factor."""
LEAST_SHARE = 0.5
"""The sum of answers lies within this share, divided by the root of how many calls it is learned from, at the least: a
handful may agree by chance."""
CLEARLY = 0.3
"""Answers grow with their prompts when that foretells them with at most this share of the squared error: with a handful
of calls a little less error is chance."""
WIDEST_SHARE = 0.299
"""Half the width of the cost of many calls with their prompts, as a share of its middle, at the most; 30 % rounded."""
MANY = 10
"""Calls from which `WIDEST_SHARE` holds."""
FEW_LOW, FEW_HIGH = 0.6, 1.6
"""An answer beside the mean of one or two earlier ones to the same prompt."""

_T_95 = (12.7, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t for two-sided 95 %, from one degree of freedom on."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one answered call took: tokens as the model counts them, US dollars, seconds.

    `counted_tokens` is our own count (`cl100k_base`) of what was sent, 0 when it is not known.
    """

    input_tokens: int
    output_tokens: int
    cost_usd: float
    elapsed_s: float
    counted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenFit:
    """A prompt of n tokens by our count is reported as `overhead_tokens + factor * n`, rather too many than too few.

    Divided by `raised` it is neither.
    """

    overhead_tokens: float
    factor: float
    raised: float = 1.0


@dataclass(frozen=True, slots=True)
class Outputs:
    """What several answers of one kind are expected to have in all, and each of them, in tokens.

    `unsure`: the true range is wider than the one told.
    """

    each: tuple[float, ...]
    low: float
    high: float
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """`tokens` and `costs` by the model asked for (`default` when none is named), `calls` by recipe.

    `took_s` is what calls took, in seconds, by the model asked for. `costs` is what calls cost for each dollar that
    the price table expects of their tokens.
    """

    tokens: Mapping[str, TokenFit] = field(default_factory=dict[str, TokenFit])
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    calls: Mapping[str, Sequence[Call]] = field(default_factory=dict[str, Sequence[Call]])
    took_s: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])


NOTHING_LEARNED = Learned()


def fit_tokens(calls: Sequence[Call], *, usual_overhead: float) -> TokenFit | None:
    """The fit of the calls whose tokens were counted, or None when they are too few.

    A line by least squares where the counts differ enough to tell overhead from factor; otherwise `usual_overhead`,
    and the median ratio of the rest.
    """
    points = [(call.counted_tokens, call.input_tokens) for call in calls if call.counted_tokens and call.input_tokens]
    if len(points) < FEWEST:
        return None
    counted = [count for count, _ in points]
    reported = [tokens for _, tokens in points]
    overhead, factor = min(usual_overhead, 0.9 * min(reported)), 0.0
    if max(counted) >= SPREAD_ENOUGH * min(counted):
        factor, overhead = statistics.linear_regression(counted, reported)
    if not (FACTORS[0] <= factor <= FACTORS[1] and overhead >= 0):
        overhead = min(usual_overhead, 0.9 * min(reported))
        factor = statistics.median((tokens - overhead) / count for count, tokens in points)
        factor = min(max(factor, FACTORS[0]), FACTORS[1])
    above = sorted(tokens / (overhead + factor * count) for count, tokens in points)
    raised = above[min(len(above) - 1, math.ceil(HIGH_QUANTILE * len(above)) - 1)]
    raised = min(max(raised, 1.0), HIGH_AT_MOST)
    return TokenFit(overhead * raised, factor * raised, raised)


def cost_factor(calls: Sequence[Call], *, price: Price) -> float | None:
    """What the calls cost for each dollar that their tokens cost by the price table; None when that is not known."""
    paid = [call for call in calls if call.cost_usd > 0]
    listed = sum(call.input_tokens * price.input + call.output_tokens * price.output for call in paid) / MILLION
    return sum(call.cost_usd for call in paid) / listed if len(paid) >= FEWEST and listed > 0 else None


def expect_outputs(
    calls: Sequence[Call], *, inputs: Sequence[float], fixed: float, besides: tuple[float, float] = (0.0, 0.0)
) -> Outputs | None:
    """What answers to prompts of `inputs` tokens will have, by `calls` of the same recipe; None for too few calls.

    `fixed` are the tokens of each prompt that do not differ from piece to piece. Answers either have about the same
    length, or one in proportion to what is beyond `fixed`: the latter when it foretells each of the calls `CLEARLY`
    better from all the others. The range is one of 95 % for the sum, by Student's t on the scale of logarithms: lengths
    are skewed, and a handful of them misses the long ones more often than the short ones. `besides` is what the prompts
    cost at least and at most, in output tokens: the cost of `MANY` or more answers with their prompts is never told
    wider than `WIDEST_SHARE` to each side, and where that cuts the range it is `unsure`.
    """
    outputs = [float(call.output_tokens) for call in calls]
    if len(outputs) < FEWEST or not inputs or sum(outputs) <= 0:
        return None
    known = [max(1.0, call.input_tokens - fixed) for call in calls]
    asked = [max(1.0, each - fixed) for each in inputs]
    alike = [1.0] * len(known)
    if _misses(outputs, known) < CLEARLY * _misses(outputs, alike):
        sizes, wanted = known, asked
    else:
        sizes, wanted = alike, [1.0] * len(asked)
    rate = sum(outputs) / sum(sizes)
    total = rate * sum(wanted)
    without = [(sum(outputs) - y) / (sum(sizes) - x) for y, x in zip(outputs, sizes, strict=True)]
    center = statistics.fmean(without)
    count = len(outputs)
    of_rate = (count - 1) / count * sum((each - center) ** 2 for each in without)
    noise = sum((y - rate * x) ** 2 for y, x in zip(outputs, sizes, strict=True)) / (count - 1)
    of_sum = noise * sum(each**2 for each in wanted) / sum(each**2 for each in sizes) * count
    half = _t(count - 1) * math.sqrt(of_rate * sum(wanted) ** 2 + of_sum)
    spread = max(half / total, LEAST_SHARE / math.sqrt(count))
    if len(wanted) < MANY:
        return Outputs(each=tuple(rate * each for each in wanted), low=total * math.exp(-spread), high=total + half)
    widest = _widest(total, besides)
    return Outputs(
        each=tuple(rate * each for each in wanted),
        low=total * math.exp(-min(spread, widest)),
        high=total * math.exp(min(spread, widest)),
        unsure=spread > widest,
    )


def _widest(total: float, besides: tuple[float, float]) -> float:
    """The largest s for which answers of `total * exp(-s)` to `total * exp(s)` keep the cost within `WIDEST_SHARE`.

    With `besides` from l to h that is (h - l) / 2 + total sinh(s) <= WIDEST_SHARE ((h + l) / 2 + total cosh(s)).
    """
    low, high = besides
    room = WIDEST_SHARE * (high + low) / 2 - (high - low) / 2
    up, down = (1 - WIDEST_SHARE) / 2 * total, (1 + WIDEST_SHARE) / 2 * total
    return max(0.0, math.log((room + math.sqrt(room**2 + 4 * up * down)) / (2 * up)))


def _misses(outputs: Sequence[float], sizes: Sequence[float]) -> float:
    """The squared error with which each output is foretold from all others, in proportion to its size."""
    total, size = sum(outputs), sum(sizes)
    return sum((y - x * (total - y) / (size - x)) ** 2 for y, x in zip(outputs, sizes, strict=True))


def _t(freedom: int) -> float:
    return _T_95[freedom - 1] if freedom <= len(_T_95) else 1.96 + 2.7 / freedom


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one answer as expected, and within what they may lie. `pace`: seconds for each that was guessed."""

    tokens: float
    low: float
    high: float
    pace: float = 1.0
    unsure: bool = False


def answer_spans(
    calls: Sequence[Call],
    *,
    inputs: Mapping[str, float],
    fixed: float,
    besides: tuple[float, float],
    guessed_s: Callable[[float], float],
) -> dict[str, Span]:
    """What each of several chunks of one recipe will answer, by earlier calls of it (at least one).

    `inputs` has the tokens of their prompts, of which `fixed` are the same for all; `besides` is what these cost at
    least and at most, in output tokens. `guessed_s` are the seconds that an answer of so many tokens is guessed to
    take.
    """
    elapsed = sum(call.elapsed_s for call in calls)
    pace = elapsed / sum(guessed_s(call.output_tokens) for call in calls) if elapsed > 0 else 1.0
    found = expect_outputs(calls, inputs=list(inputs.values()), fixed=fixed, besides=besides)
    if found is None:
        mean = max(1.0, statistics.fmean(call.output_tokens for call in calls))
        return {name: Span(mean, FEW_LOW * mean, FEW_HIGH * mean, pace) for name in inputs}
    total = sum(found.each)
    low, high = found.low / total, found.high / total
    return {
        name: Span(tokens, low * tokens, high * tokens, pace, found.unsure)
        for name, tokens in zip(inputs, found.each, strict=True)
    }
