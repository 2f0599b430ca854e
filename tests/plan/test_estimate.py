"""Estimates: what a run takes, from named guesses and one table of prices."""

from __future__ import annotations

import time
from typing import Any

import pytest

from orchestrator.plan.counts import MARK_TOKENS, OUTPUT_TOKENS, OVERHEAD_TOKENS
from orchestrator.plan.estimate import (
    OUTPUT_HIGH,
    OUTPUT_LOW,
    OUTPUT_TOKENS_PER_S,
    START_S,
    Estimate,
    estimate_workload,
)
from orchestrator.plan.load import load_plan
from orchestrator.plan.prices import price_table
from orchestrator.plan.tokens import count_tokens


def estimate(
    chunks: list[dict[str, Any]], *, at_once: int = 4, reusable: tuple[str, ...] = (), **more: Any
) -> Estimate:
    return estimate_workload(load_plan({"chunks": chunks, **more}), reusable=reusable, max_concurrency=at_once)


def test_one_call() -> None:
    """Input is overhead, context and prompt by the model's factor; cost and time follow from prices and guesses."""
    found = estimate([{"id": "a", "prompt": "Say hello to everybody."}], context="Be brief.", model="opus")
    tokens = OVERHEAD_TOKENS + round((count_tokens("Say hello to everybody.") + count_tokens("Be brief.")) * 1.5)
    assert (found.calls, found.reusable, found.input_tokens, found.output_tokens) == (1, 0, tokens, 1_000)
    assert found.chunks["a"].cost_usd == pytest.approx((tokens * 4 + 1_000 * 20) / 1e6)
    assert found.cost_usd_low < found.chunks["a"].cost_usd < found.cost_usd_high
    assert found.time_s_low == pytest.approx(START_S + 1_000 * OUTPUT_LOW / OUTPUT_TOKENS_PER_S)
    assert found.time_s_high == pytest.approx(START_S + 1_000 * OUTPUT_HIGH / OUTPUT_TOKENS_PER_S)
    assert (found.model, found.warnings) == ("opus", ())


def test_output_is_guessed_by_complexity() -> None:
    """A simple chunk is expected to write less than a complex one, and takes less time."""
    chunks = [{"id": size, "prompt": "x", "complexity": size} for size in OUTPUT_TOKENS]
    found = estimate(chunks)
    assert {name: each.output_tokens for name, each in found.chunks.items()} == OUTPUT_TOKENS
    assert found.chunks["simple"].time_s < found.chunks["medium"].time_s < found.chunks["complex"].time_s


def test_answers_count_as_their_guess_where_they_are_used() -> None:
    """A reference adds the guessed answer and its marks; `tail(100)` adds 100 tokens at most."""
    base = {"id": "a", "prompt": "x"}
    prompts = {"none": "y", "whole": "y{{ chunks.a }}", "cut": "y{{ chunks.a | tail(100) }}"}
    found = {
        name: estimate([base, {"id": "b", "prompt": text}]).chunks["b"].input_tokens for name, text in prompts.items()
    }
    assert found["whole"] - found["none"] >= OUTPUT_TOKENS["medium"] + MARK_TOKENS
    tags = round(count_tokens(prompts["cut"]) * 1.5)
    assert 150 <= found["cut"] - found["none"] <= 150 + round(MARK_TOKENS * 1.5) + tags


def test_what_is_reusable_is_not_paid() -> None:
    """Reusable chunks leave the totals but keep a figure of their own, for the case that they run after all."""
    chunks = [{"id": name, "prompt": f"Ask {name}"} for name in "abc"]
    whole, part, none = (estimate(chunks, reusable=ids) for ids in ((), ("a", "b"), ("a", "b", "c")))
    assert (part.calls, part.reusable) == (1, 2)
    assert part.input_tokens == whole.chunks["c"].input_tokens
    assert set(part.chunks) == {"a", "b", "c"}
    assert (none.calls, none.cost_usd_high, none.time_s_high) == (0, 0.0, 0.0)


def test_time_is_bounded_by_path_and_by_work() -> None:
    """A chain takes its sum however many run at once; strangers share what goes on at once; a sequence is a chain."""
    strangers = [{"id": f"c{n}", "prompt": "x"} for n in range(8)]
    chain = [{**each, "depends_on": [f"c{n - 1}"] if n else []} for n, each in enumerate(strangers)]
    one = estimate(strangers[:1]).time_s_high
    assert estimate(chain, at_once=8).time_s_high == pytest.approx(8 * one)
    assert estimate(strangers, at_once=8).time_s_high == pytest.approx(one)
    assert estimate(strangers, at_once=2).time_s_high == pytest.approx(4 * one)
    assert estimate(strangers, at_once=8, mode="sequence").time_s_high == pytest.approx(8 * one)


def test_context_is_read_from_the_cache_at_best() -> None:
    """A long shared context makes the range wide: cached for all but the first call, or for none."""
    chunks = [{"id": f"c{n}", "prompt": "x"} for n in range(10)]
    short, long = estimate(chunks), estimate(chunks, context="word " * 50_000)
    assert long.cost_usd_low - short.cost_usd_low < (long.cost_usd_high - short.cost_usd_high) / 4


NAMES = {
    None: "claude-opus-5-5",
    "opus": "claude-opus-5-5",
    "sonnet": "claude-sonnet-5-5",
    "haiku": "claude-haiku-5-5",
    "fable": "claude-fable-5-2",
    "claude-opus-5": "claude-opus-5",
    "claude-opus-5-5": "claude-opus-5-5",
    "claude-opus-5-5-20261001": "claude-opus-5-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0": "claude-haiku-4-5",
    "claude-sonnet-5@20260101": "claude-sonnet-5",
    "sonnet[1m]": "claude-sonnet-5-5",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_found_by_any_of_its_names(name: str | None) -> None:
    """Aliases, dated names and names of other providers lead to the same line of the table."""
    price = price_table().find(name)
    assert price is not None
    assert price.model == NAMES[name]


def test_unknown_models_are_not_guessed() -> None:
    """A name that merely resembles a known one has no price."""
    names = ("gpt-4", "claude-opus-6", "claude-opus-5-7", "claude-sonnet-4", "my-claude-opus-5-5x", "")
    assert [price_table().find(name) for name in names[:-1]] == [None] * 5


def test_the_table_says_where_it_is_from() -> None:
    """Figures have a date and a source; factors follow the two ways in which models count."""
    table = price_table()
    assert table.date >= "2026-01-01"
    assert table.source == "as reported by the Claude CLI 2.1.330 (costBasis: list)"
    factors = {name: each.token_factor for name, each in table.models.items()}
    assert factors["claude-opus-4-6"] == factors["claude-sonnet-4-5"] == 1.2
    assert factors["claude-opus-4-7"] == factors["claude-sonnet-5"] == 1.5
    assert table.dearest().model == "claude-fable-5-2"


def test_a_larger_window_by_name() -> None:
    """`[1m]` asks for the window of a million tokens."""
    table = price_table()
    plain, wide = table.find("claude-sonnet-4-5"), table.find("claude-sonnet-4-5[1m]")
    assert plain is not None
    assert wide is not None
    assert (plain.window, wide.window) == (200_000, 1_000_000)


def test_warnings() -> None:
    """A model without a known price, and prompts that no window holds, are named."""
    unknown = estimate([{"id": "a", "prompt": "x", "model": "gpt-4"}])
    assert unknown.warnings == (
        "no price is known for the model gpt-4: the cost is that of claude-fable-5-2, the dearest known",
    )
    chunks = [{"id": f"c{n}", "prompt": "{{ inputs.a }}", "model": "claude-haiku-4-5"} for n in range(5)]
    (large,) = estimate(chunks, inputs={"a": {"text": "word " * 200_000}}).warnings
    assert large.startswith("larger than the model's window: c0 (about 240,6")
    assert large.endswith(" and 2 more")


@pytest.mark.alone
def test_five_thousand_chunks_share_a_long_input() -> None:
    """Each distinct text is counted once: 5,000 prompts over 200 kB take well under a second."""
    chunks = [{"id": f"c{n}", "prompt": f"Ask {n}: {{{{ inputs.a }}}}"} for n in range(5_000)]
    work = load_plan({"inputs": {"a": {"text": "some words of text " * 10_500}}, "chunks": chunks})
    count_tokens("the ranks are read before the clock starts")
    start = time.perf_counter()
    found = estimate_workload(work, max_concurrency=8)
    assert time.perf_counter() - start < 1.5
    assert found.input_tokens > 5_000 * 40_000
