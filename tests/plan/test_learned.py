"""What is learned from calls: rather too many tokens than too few, and ranges that hold."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from orchestrator.plan.learned import Call, cost_factor, expect_outputs, fit_tokens
from orchestrator.plan.prices import price_table
from orchestrator.plan.sampling import spread


def call(counted: int, reported: float, *, output: int = 100, cost_usd: float = 0.0) -> Call:
    return Call(round(reported), output, cost_usd, 1.0, counted)


def test_overhead_and_factor_are_told_apart() -> None:
    """Where prompts differ in length, a model that counts 1.31 x + 900 is found out exactly."""
    fit = fit_tokens([call(n, 1.31 * n + 900) for n in (50, 400, 1200, 3000)], usual_overhead=600)
    assert fit is not None
    for n in (10, 800, 20_000):
        assert fit.overhead_tokens + fit.factor * n == pytest.approx(1.31 * n + 900, rel=0.01)


def test_equal_prompts_keep_the_usual_overhead() -> None:
    """Where all prompts are alike, the fit goes through them and the usual overhead."""
    fit = fit_tokens([call(1000, 2600)] * 4, usual_overhead=600)
    assert fit is not None
    assert fit.overhead_tokens == pytest.approx(600)
    assert fit.factor == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(10))
def test_the_fit_errs_on_the_high_side(seed: int) -> None:
    """Texts that count differently by 5 % leave the fit within 10 %, and above most of them."""
    chance = random.Random(seed)

    def reported(n: int) -> float:
        return (1.31 * n + 900) * chance.uniform(0.95, 1.05)

    sizes = [chance.randrange(100, 5000) for _ in range(40)]
    fit = fit_tokens([call(n, reported(n)) for n in sizes], usual_overhead=600)
    assert fit is not None
    others = [chance.randrange(100, 5000) for _ in range(200)]
    ratios = [(fit.overhead_tokens + fit.factor * n) / reported(n) for n in others]
    assert sum(ratio >= 1 for ratio in ratios) > 120
    assert sum(fit.overhead_tokens + fit.factor * n for n in others) < 1.1 * sum(1.31 * n + 900 for n in others)


def test_hostile_figures_stay_within_what_is_known() -> None:
    """Reports that no tokenizer makes give a factor that one could have; too few give none."""
    falling = [call(100, 90_000), call(1000, 50_000), call(5000, 10)]
    fit = fit_tokens(falling, usual_overhead=600)
    assert fit is not None
    assert 0.5 <= fit.factor / fit.raised <= 5
    assert fit.overhead_tokens >= 0
    assert fit_tokens(falling[:2], usual_overhead=600) is None
    assert fit_tokens([call(0, 0)] * 5, usual_overhead=600) is None


def test_what_a_dollar_buys() -> None:
    """Calls that cost half of what the table says say so; calls that cost nothing say nothing."""
    price = price_table().find("sonnet")
    assert price is not None
    listed = (1000 * price.input + 100 * price.output) / 1e6
    assert cost_factor([call(1, 1000, cost_usd=listed / 2)] * 3, price=price) == pytest.approx(0.5)
    assert cost_factor([call(1, 1000)] * 3, price=price) is None


def test_answers_in_proportion_and_answers_alike() -> None:
    """Translations grow with their texts, verdicts do not: which of them it is, the calls tell."""
    sizes = [300, 900, 500, 1500, 700]
    asked = [400.0] * 20
    translated = [call(0, 200 + size, output=size * 2) for size in sizes]
    found = expect_outputs(translated, inputs=[200 + size for size in asked], fixed=200)
    assert found is not None
    assert found.each == pytest.approx([800.0] * 20)
    judged = [call(0, 200 + size, output=150 + at) for at, size in enumerate(sizes)]
    found = expect_outputs(judged, inputs=[200 + size for size in asked], fixed=200)
    assert found is not None
    assert found.each == pytest.approx([152.0] * 20)
    assert found.low < 152 * 20 < found.high
    assert expect_outputs(judged[:2], inputs=asked, fixed=200) is None


def test_a_range_that_cannot_be_told_is_called_unsure() -> None:
    """Where answers differ tenfold, the range is as wide as it may be and says that it may not hold."""
    wild = [call(0, 500, output=output) for output in (10, 1000, 50, 3000, 5)]
    found = expect_outputs(wild, inputs=[500.0] * 100, fixed=200)
    assert found is not None
    assert found.unsure
    assert (found.high - found.low) / (found.high + found.low) == pytest.approx(0.3, rel=0.01)
    beside = expect_outputs(wild, inputs=[500.0] * 100, fixed=200, besides=(50_000.0, 52_000.0))
    assert beside is not None
    low, high = beside.low + 50_000, beside.high + 52_000
    assert (high - low) / (high + low) == pytest.approx(0.3, rel=0.01)


LAWS: dict[str, Callable[[random.Random, int], float]] = {
    "constant": lambda chance, size: 200,
    "growing": lambda chance, size: size * chance.uniform(0.6, 1.1),
    "uniform": lambda chance, size: chance.uniform(100, 300),
    "log-normal": lambda chance, size: 200 * chance.lognormvariate(0, 0.5),
    "bimodal": lambda chance, size: chance.choice((120, 360)),
    "tenfold": lambda chance, size: 200 * chance.lognormvariate(0, 0.8),
    "rare": lambda chance, size: 800 if chance.random() < 0.1 else 40,
}
"""Laws that the length of an answer may follow, in tokens."""


def told_after(law: str, seed: int, *, count: int) -> tuple[bool, bool, int]:
    """Whether the range told after `count` of 200 answers holds the sum, prompts included, and whether it is unsure;
    and how many different lengths it was made of.
    """
    chance = random.Random(f"{law} {seed}")
    sizes = [min(1500, max(30, round(chance.lognormvariate(5, 0.7)))) for _ in range(200)]
    outputs = [max(1, round(LAWS[law](chance, size))) for size in sizes]
    seen = spread(sizes, count)
    left = [at for at in range(200) if at not in seen]
    inputs = [900 + 1.8 * size for size in sizes]
    besides = sum(inputs[at] for at in left) / 5
    calls = [Call(round(inputs[at]), outputs[at], 0.0, 1.0) for at in seen]
    found = expect_outputs(calls, inputs=[inputs[at] for at in left], fixed=920, besides=(besides, 1.03 * besides))
    assert found is not None
    low, high = besides + found.low, 1.03 * besides + found.high
    assert (high - low) / (high + low) <= 0.3
    return (
        low <= besides + sum(outputs[at] for at in left) <= high,
        found.unsure,
        len({call.output_tokens for call in calls}),
    )


@pytest.mark.parametrize("law", ["constant", "growing", "uniform", "log-normal"])
def test_ranges_hold_in_nine_of_ten(law: str) -> None:
    """Whatever lengths follow, within bounds, 5 of 200 tell a range that holds the true sum in 9 of 10 cases."""
    assert sum(told_after(law, seed, count=5)[0] for seed in range(200)) >= 180


def test_two_kinds_of_answers_hold_once_both_were_seen() -> None:
    """Where half of the answers are three times the others, a sample with both kinds tells a range that holds; that
    five are of one kind happens to one sample in sixteen, and nothing in them says so.
    """
    cases = [told_after("bimodal", seed, count=5) for seed in range(200)]
    both = [held for held, _, lengths in cases if lengths == 2]
    assert len(both) > 170
    assert sum(both) > 0.95 * len(both)


def test_tenfold_differences_are_called_unsure() -> None:
    """Where answers differ tenfold, a range that does not hold has its warning more often than not."""
    cases = [told_after("tenfold", seed, count=5) for seed in range(200)]
    assert sum(held or unsure for held, unsure, _ in cases) >= 170
    assert sum(unsure for _, unsure, _ in cases) > sum(not held for held, _, _ in cases)


def test_what_a_handful_does_not_show_a_larger_sample_does() -> None:
    """Rare long answers do not show in 5 of 200, and no figure made of these can tell; 30 hold them, or warn."""
    assert sum(told_after("rare", seed, count=5)[0] for seed in range(200)) < 100
    assert sum(any(told_after("rare", seed, count=30)[:2]) for seed in range(200)) >= 180
