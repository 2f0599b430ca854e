"""Money is reserved before each start and settled after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.engine.costs.budget import MARGIN, SMALL_LIMIT, Budget, Expected, above_limit

KNOWN = Expected(likely=0.1, low=0.1, high=0.1, learned=True)


def sure(**usd: float) -> dict[str, Expected]:
    """Estimates without a range, by entry or by the first of a group."""
    return {name.replace("_1", "[1]"): Expected(each, each, each, learned=True) for name, each in usd.items()}


def test_what_is_in_flight_is_counted_before_the_next_starts() -> None:
    """Two of three fit under the limit; the third fits once the first proves cheaper."""
    budget = Budget(limit=1.0, expected=sure(a=0.4, b=0.4, c=0.4))
    for name in "ab":
        assert budget.may_start(name)
        budget.reserve(name)
    assert not budget.may_start("c")
    assert budget.settle("a", amount=0.1) == 0.1
    assert budget.may_start("c")


def test_with_nothing_in_flight_and_money_left_one_may_start() -> None:
    """An estimate that is too high must not end a run."""
    budget = Budget(limit=1.0, expected=sure(a=5.0), spent=0.99)
    assert budget.may_start("a")
    budget.reserve("a")
    budget.settle("a", amount=0.02)
    assert not budget.may_start("a")


def test_an_attempt_that_told_no_cost_is_charged_what_was_expected_of_it() -> None:
    """A killed call may have been paid all the same; by what was expected, or by what others of its kind cost."""
    budget = Budget(limit=9.0, expected={f"a[{at}]": Expected(0.3, 0.1, 0.6) for at in (1, 2, 3)})
    budget.reserve("a[1]")
    assert budget.settle("a[1]", amount=None) == 0.3
    assert budget.spent == 0.3
    budget.reserve("a[2]")
    budget.reserve("a[3]")
    budget.settle("a[2]", amount=0.9)
    assert budget.settle("a[3]", amount=None) == pytest.approx(0.9)


def test_without_a_limit_everything_may_start() -> None:
    """No limit, no bound."""
    assert Budget(limit=None, expected=sure(a=1e9)).may_start("a")


def test_a_piece_that_became_known_later_costs_like_the_first_of_its_group() -> None:
    """What the estimate could not foresee is reserved for all the same."""
    budget = Budget(limit=1.0, expected=sure(part_1=0.6))
    budget.reserve("part[7]")
    assert not budget.may_start("part[8]")
    assert budget.settle("part[7]", amount=None) == 0.6


def test_a_keeper_that_became_known_later_costs_like_the_first_keeper_of_its_group() -> None:
    """Keeping a summary of a piece is another call than the piece itself, and measured by itself."""
    budget = Budget(limit=1.0, expected={"part[1]": Expected(0.6, 0.6, 0.6), "part[1].summary": KNOWN})
    budget.reserve("part[1]")
    budget.settle("part[1]", amount=0.9)
    budget.reserve("part[7].summary")
    assert budget.settle("part[7].summary", amount=None) == 0.1


def test_what_siblings_cost_is_what_is_reserved() -> None:
    """After the first answer those in flight and those to come are taken for what it cost, in proportion to their own
    estimates; never for less than these reach down to.
    """
    guess = {
        "part[1]": Expected(0.1, 0.05, 0.2),
        "part[2]": Expected(0.2, 0.1, 0.4),
        "part[3]": Expected(0.1, 0.05, 0.2),
    }
    dear = Budget(limit=3.0, expected=guess)
    for name in ("part[1]", "part[2]"):
        dear.reserve(name)
    assert dear.reserved == pytest.approx(0.6), "the high estimates, while nothing is known"
    dear.settle("part[1]", amount=1.0)
    assert 2.0 < dear.reserved < 2.5
    assert not dear.may_start("part[3]")
    cheap = Budget(limit=0.4, expected=guess)
    cheap.reserve("part[1]")
    cheap.settle("part[1]", amount=0.0001)
    cheap.reserve("part[2]")
    assert cheap.reserved == 0.1, "the low estimate"


def test_a_failure_that_cost_nothing_teaches_nothing() -> None:
    """An overload is no sign that answers are cheap; a failure that cost more than expected tells of all others."""
    budget = Budget(limit=9.0, expected={f"part[{at}]": Expected(0.1, 0.05, 0.2) for at in range(1, 4)})
    budget.reserve("part[1]")
    budget.reserve("part[2]")
    budget.settle("part[1]", amount=0.0, answered=False)
    assert budget.reserved == 0.2
    budget.reserve("part[1]")
    budget.settle("part[1]", amount=1.0, answered=False)
    assert budget.reserved > 1.0


def test_a_start_that_was_given_back_teaches_nothing() -> None:
    """Its money is free again, and what it might have cost is as unknown as before."""
    budget = Budget(limit=1.0, expected={f"part[{at}]": Expected(0.4, 0.1, 0.6) for at in range(1, 4)})
    budget.reserve("part[1]")
    assert not budget.may_start("part[2]")
    budget.release("part[1]")
    assert (budget.spent, budget.reserved) == (0.0, 0.0)
    budget.reserve("part[2]")
    assert not budget.may_start("part[3]")


def test_a_small_limit_lets_the_first_of_a_kind_go_alone() -> None:
    """Where the high estimate is beyond a quarter of the limit one of each kind is measured before its siblings start;
    kinds that were measured in earlier runs need not be.
    """
    guess = {f"{name}[{at}]": Expected(0.02, 0.01, 0.04) for name in "ab" for at in range(1, 11)}
    budget = Budget(limit=1.0, expected=guess, high=0.8)
    budget.reserve("a[1]")
    assert (budget.may_start("a[2]"), budget.may_start("b[1]")) == (False, True)
    budget.settle("a[1]", amount=0.02)
    budget.reserve("a[2]")
    assert budget.may_start("a[3]")
    for limit, learned in ((4.0, False), (1.0, True)):
        known = {name: Expected(0.02, 0.01, 0.04, learned=learned) for name in guess}
        free = Budget(limit=limit, expected=known, high=0.8)
        free.reserve("a[1]")
        assert free.may_start("a[2]")


def spend(budget: Budget, costs: Mapping[str, float], *, slots: int) -> float:
    """What is spent when all that may start runs, `slots` at once, the first begun ending first."""
    waiting, running = list(costs), list[str]()
    while True:
        while waiting and len(running) < slots and budget.may_start(waiting[0]):
            running.append(waiting.pop(0))
            budget.reserve(running[-1])
        if not running:
            return budget.spent
        name = running.pop(0)
        budget.settle(name, amount=costs[name])


def pieces(costs: Sequence[float]) -> dict[str, float]:
    return {f"part[{at}]": cost for at, cost in enumerate(costs, start=1)}


@pytest.mark.parametrize(("limit", "at_most"), [(1.0, 1.2), (2.0, 2.4), (3.0, 3.6), (6.0, 6.6)])
def test_answers_far_dearer_than_foreseen_exceed_the_limit_by_one(limit: float, at_most: float) -> None:
    """Twenty pieces that cost thirty times their estimate, four at once: what is spent beyond the limit is what one
    chunk costs, unless all four that began before anything was known cost more than the limit itself.
    """
    guess = {name: Expected(0.02, 0.01, 0.04) for name in pieces([0.6] * 20)}
    spent = spend(Budget(limit=limit, expected=guess, high=0.8), pieces([0.6] * 20), slots=4)
    assert limit <= spent <= at_most + 1e-9


@given(
    cheapest=some.floats(0.001, 2.0),
    dearer=some.lists(some.floats(1.0, MARGIN), min_size=1, max_size=30),
    estimate=some.floats(0.001, 1.0),
    limit=some.floats(0.01, 10.0),
    slots=some.integers(1, 8),
)
def test_no_more_is_exceeded_than_what_was_in_flight(
    cheapest: float, dearer: list[float], estimate: float, limit: float, slots: int
) -> None:
    """However wrong the estimate: when answers of a kind differ by no more than the margin, the limit is exceeded by at
    most one of them, or by those that began when none was measured. Nothing stops before the limit is reached.
    """
    costs = pieces([cheapest * each for each in dearer])
    guess = {name: Expected(estimate, estimate / 2, estimate * 2) for name in costs}
    high = 2 * estimate * len(costs)
    spent = spend(Budget(limit=limit, expected=guess, high=high), costs, slots=slots)
    begun_unmeasured = 1 if high > SMALL_LIMIT * limit else slots
    at_most = max(limit + max(costs.values()), sum(list(costs.values())[:begun_unmeasured]))
    assert spent <= at_most * (1 + 1e-9)
    assert spent >= limit or spent == pytest.approx(sum(costs.values()))


def test_small_limits_are_told_as_they_are() -> None:
    """A limit far below a cent is not $0.00."""
    assert above_limit(0.00042, limit_usd=0.00001) == ("it may cost $0.00042, more than the limit of $0.00001",)
    assert above_limit(12.3, limit_usd=5) == ("it may cost $12.30, more than the limit of $5.00",)
