"""Money is reserved before each start and settled after."""

from __future__ import annotations

from orchestrator.engine.budget import Budget


def test_what_is_in_flight_is_counted_before_the_next_starts() -> None:
    """Two of three fit under the limit; the third fits once the first proves cheaper."""
    budget = Budget(max_cost_usd=1.0, expected_usd={"a": 0.4, "b": 0.4, "c": 0.4})
    for name in "ab":
        assert budget.may_start(name)
        budget.reserve(name)
    assert not budget.may_start("c")
    assert budget.settle("a", cost_usd=0.1) == 0.1
    assert budget.may_start("c")


def test_with_nothing_in_flight_and_money_left_one_may_start() -> None:
    """An estimate that is too high must not end a run."""
    budget = Budget(max_cost_usd=1.0, expected_usd={"a": 5.0}, spent_usd=0.99)
    assert budget.may_start("a")
    budget.reserve("a")
    budget.settle("a", cost_usd=0.02)
    assert not budget.may_start("a")


def test_an_attempt_that_told_no_cost_is_charged_its_reservation() -> None:
    """A killed call may have been paid all the same."""
    budget = Budget(max_cost_usd=1.0, expected_usd={"a": 0.3})
    budget.reserve("a")
    assert budget.settle("a", cost_usd=None) == 0.3
    assert budget.spent_usd == 0.3


def test_without_a_limit_everything_may_start() -> None:
    """No limit, no bound."""
    assert Budget(max_cost_usd=None, expected_usd={"a": 1e9}).may_start("a")


def test_a_piece_that_became_known_later_costs_like_the_first_of_its_group() -> None:
    """What the estimate could not foresee is reserved for all the same."""
    budget = Budget(max_cost_usd=1.0, expected_usd={"part[1]": 0.6})
    budget.reserve("part[7]")
    assert not budget.may_start("part[8]")
    assert budget.settle("part[7]", cost_usd=None) == 0.6


def test_a_keeper_that_became_known_later_costs_like_the_first_keeper_of_its_group() -> None:
    """Keeping a summary of a piece is another call than the piece itself."""
    budget = Budget(max_cost_usd=1.0, expected_usd={"part[1]": 0.6, "part[1].summary": 0.1})
    budget.reserve("part[7].summary")
    assert budget.settle("part[7].summary", cost_usd=None) == 0.1
