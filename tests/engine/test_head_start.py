"""One call goes first when many begin alike, and the others follow as soon as its answer begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.engine.costs.caching import CacheUse
from orchestrator.engine.head_start import (
    CACHE_LIFE_S,
    LARGE_CONTEXT_CHARS,
    LONGEST_HEAD_START_S,
    HeadStart,
    beginning_of,
)
from orchestrator.plan.load import load_plan
from orchestrator.plan.prices import price_table
from orchestrator.runners.base import Usage


def test_others_wait_until_the_first_answer_begins() -> None:
    """The second call may start when the first one's answer has begun, not when it has ended."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS)
    assert head.admits("sonnet", now_s=0)
    assert head.started("a", "sonnet", now_s=0)
    assert not head.admits("sonnet", now_s=1)
    assert head.answering("a", now_s=2)
    assert head.admits("sonnet", now_s=2)
    assert not head.started("b", "sonnet", now_s=2)
    assert head.admits("sonnet", now_s=2)


def test_a_short_beginning_makes_nobody_wait() -> None:
    """Below the threshold all start at once."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS - 1)
    assert not head.started("a", "sonnet", now_s=0)
    assert head.admits("sonnet", now_s=0)


def test_other_beginnings_are_not_held_up() -> None:
    """Calls that begin otherwise, such as those of another model, have a first of their own."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS)
    head.started("a", "sonnet", now_s=0)
    assert head.admits("opus", now_s=0)
    assert head.started("b", "opus", now_s=0)
    assert not head.admits("opus", now_s=0)


def test_another_account_has_a_beginning_of_its_own() -> None:
    """What one account's call leaves in the cache is not there for another's, so neither waits for the other."""
    plan = {"chunks": [{"id": "a", "prompt": "p", "account": "work"}, {"id": "b", "prompt": "p", "account": "spare"}]}
    chunks = load_plan({**plan, "context": "c"}, base_dir=Path(), accounts=("work", "spare")).chunks
    same = replace(chunks["b"], accounts=chunks["a"].accounts)
    assert beginning_of(chunks["a"]) != beginning_of(chunks["b"])
    assert beginning_of(chunks["a"]) == beginning_of(same)


def test_a_first_call_that_fails_is_followed_by_another_first() -> None:
    """Without an answer nothing is cached: again one goes alone."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS)
    head.started("a", "sonnet", now_s=0)
    head.ended("a", answered=False, now_s=1)
    assert head.admits("sonnet", now_s=1)
    assert head.started("b", "sonnet", now_s=1)
    assert not head.admits("sonnet", now_s=1)


def test_an_answer_that_tells_no_beginning_counts_at_its_end() -> None:
    """A CLI that does not stream lets the others go when its answer is whole."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS)
    head.started("a", "sonnet", now_s=0)
    head.ended("a", answered=True, now_s=5)
    assert head.admits("sonnet", now_s=5)


def test_nobody_waits_for_ever() -> None:
    """A first call whose answer does not begin holds the others up for so long and no longer."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS)
    head.started("a", "sonnet", now_s=0)
    assert not head.admits("sonnet", now_s=LONGEST_HEAD_START_S - 0.1)
    assert head.admits("sonnet", now_s=LONGEST_HEAD_START_S)


def test_after_a_long_pause_one_goes_first_again() -> None:
    """What is cached is forgotten when nobody uses it; each call that does makes it last longer."""
    head = HeadStart(context_chars=LARGE_CONTEXT_CHARS)
    head.started("a", "sonnet", now_s=0)
    head.answering("a", now_s=1)
    head.started("b", "sonnet", now_s=200)
    assert not head.started("c", "sonnet", now_s=200 + CACHE_LIFE_S - 1)
    late_s = 200 + 2 * CACHE_LIFE_S
    assert head.started("d", "sonnet", now_s=late_s)
    assert not head.admits("sonnet", now_s=late_s)


def test_the_saving_is_what_sending_it_all_would_have_cost_more() -> None:
    """A million tokens read back save the difference of the two prices; writing takes its surcharge off."""
    price = price_table().find(None)
    assert price is not None
    use = CacheUse()
    use.add(Usage(cache_write_tokens=1_000_000), model=price.model)
    assert use.saved_usd == pytest.approx(price.input - price.cache_write)
    use.add(Usage(cache_read_tokens=2_000_000), model=price.model)
    assert use.saved_usd == pytest.approx(3 * price.input - price.cache_write - 2 * price.cache_read)
    assert (use.write_tokens, use.read_tokens) == (1_000_000, 2_000_000)


def test_a_model_without_a_known_price_saves_nothing_but_counts() -> None:
    """No figure is made up for it."""
    use = CacheUse()
    use.add(Usage(cache_read_tokens=10), model="house-model")
    assert (use.read_tokens, use.saved_usd) == (10, 0.0)
