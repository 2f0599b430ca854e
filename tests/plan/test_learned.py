"""What is learned from calls: rather too many tokens than too few, and ranges that hold."""

from __future__ import annotations

import random

import pytest

from orchestrator.plan.learned import Call, cost_factor, expect_outputs, fit_tokens
from orchestrator.plan.prices import price_table


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
    assert found.high / sum(found.each) == pytest.approx(1.3)
