"""What is known of a login's usage windows, and what a whole is said to take of them."""

from __future__ import annotations

import pytest

from orchestrator.engine.costs.allowance import Allowances, WindowUse, foretell, window_from_record, window_record
from orchestrator.runners.base import UsageWindow

RESET_S = 10_000.0


def window(utilization: float, *, resets_at: float | None = RESET_S, name: str = "five_hour") -> UsageWindow:
    return UsageWindow(name=name, utilization=utilization, resets_at=resets_at)


def told(*shares: float, cost_usd: float = 0.1) -> WindowUse:
    """What is known after calls one after the other that each cost the same."""
    seen = Allowances()
    for at, share in enumerate(shares):
        seen.heard(f"c{at}")
        seen.ended(f"c{at}", [window(share)], cost_usd=cost_usd)
    (use,) = seen.windows
    return use


def share_of(use: WindowUse, cost_usd: float) -> tuple[float | None, float | None]:
    (found,) = foretell([use], cost_usd_low=cost_usd, cost_usd_high=cost_usd, now_s=0)
    return found.share_low, found.share_high


def test_a_login_without_windows_has_none() -> None:
    """An API key reports nothing, and nothing is made up."""
    seen = Allowances()
    seen.ended("a", [], cost_usd=0.1)
    assert seen.windows == ()
    assert foretell([], cost_usd_low=1, cost_usd_high=2, now_s=0) == ()


def test_money_between_the_first_and_the_last_report() -> None:
    """The last answer is not in the window that its own head tells, so it does not count."""
    use = told(0.40, 0.42, 0.44, 0.46)
    assert (use.utilization, use.moved, use.step) == (0.46, 0.06, 0.01)
    assert use.cost_usd == pytest.approx(0.3)
    low, high = share_of(use, 3.0)
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.7)


def test_answers_at_once_count_by_when_they_began() -> None:
    """What ended after an answer had begun is not in the window that this answer told."""
    seen = Allowances()
    for name in ("a", "b"):
        seen.heard(name)
    seen.ended("a", [window(0.10)], cost_usd=1.0)
    seen.heard("c")
    seen.heard("c")
    seen.ended("b", [window(0.10)], cost_usd=1.0)
    seen.ended("c", [window(0.15)], cost_usd=1.0)
    (use,) = seen.windows
    assert (use.moved, use.cost_usd) == (0.05, 1.0)


@pytest.mark.parametrize("true_share", [0.0, 0.0004, 0.003, 0.0249, 0.1])
def test_the_true_share_is_within_what_is_told(true_share: float) -> None:
    """Whatever a call takes of a window that is reported in whole percents, the range holds it."""
    for start in (0.0, 0.1234, 0.5099):
        use = told(*(int((start + true_share * at) * 100) / 100 for at in range(5)))
        low, high = share_of(use, 1.0)
        if low is not None and high is not None:
            assert low - 1e-9 <= 10 * true_share <= high + 1e-9


def test_what_did_not_move_is_a_bound() -> None:
    """Without a step nothing is 0: it is less than one step, and when that may be all there is, nothing is told."""
    assert share_of(told(0.41, 0.41, 0.41), 0.1) == (0.0, pytest.approx(0.005))
    assert share_of(told(0.41, 0.41, 0.41), 50.0) == (None, None)
    assert share_of(told(0.41), 0.1) == (None, None)


def test_finer_reports_make_finer_steps() -> None:
    """A window told to four digits moves in steps of a ten-thousandth."""
    assert told(0.4137, 0.42).step == pytest.approx(0.0001)
    assert told(0.413, 0.42).step == pytest.approx(0.001)


def test_a_window_that_began_anew_starts_over() -> None:
    """After its end a window counts from its first report again, and a late report of the old one changes nothing."""
    seen = Allowances()
    seen.ended("a", [window(0.98)], cost_usd=1.0)
    seen.ended("b", [window(0.01, resets_at=RESET_S + 18_000)], cost_usd=1.0)
    seen.ended("c", [window(0.99)], cost_usd=1.0)
    seen.ended("d", [window(0.03, resets_at=RESET_S + 18_001)], cost_usd=1.0)
    (use,) = seen.windows
    assert (use.utilization, use.moved, use.cost_usd) == (0.03, 0.02, 2.0)


def test_later_runs_tell_how_full_and_larger_ones_what_it_takes() -> None:
    """Of several records of one window the latest tells the state; windows that are over are left out."""
    large, small = told(*[0.01 * at for at in range(30)]), told(0.35)
    (found,) = foretell([small, large], cost_usd_low=1, cost_usd_high=1, now_s=0)
    assert found.utilization == 0.35
    assert found.share_low is not None
    assert found.share_low > 0
    assert foretell([small, large], cost_usd_low=1, cost_usd_high=1, now_s=RESET_S + 1) == ()


def test_records_come_back() -> None:
    """What an event holds is read back as it was; a record of another make is none."""
    use = told(0.4, 0.5)
    assert window_from_record(window_record(use)) == use
    assert window_from_record({"name": "five_hour"}) is None
