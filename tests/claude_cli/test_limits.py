"""When an attempt has taken too long, by its times alone."""

from __future__ import annotations

import pytest

from orchestrator.runners.base import FailureClass
from orchestrator.runners.claude_cli.limits import Times, limit_of


@pytest.mark.parametrize(
    ("times", "at", "error_type"),
    [
        (Times(started=0), 60, FailureClass.START_TIMEOUT),
        (Times(started=0, written=1), 60, FailureClass.START_TIMEOUT),
        (Times(started=0, written=1, first_line=2, last_output=2), 101, FailureClass.SILENCE_TIMEOUT),
        (Times(started=0, written=1, first_line=2, last_output=90), 101, FailureClass.WALL_TIMEOUT),
        (Times(started=0, first_line=2, last_output=90), 102, FailureClass.WALL_TIMEOUT),
        (Times(started=0, written=1, first_line=2, last_output=90, last_text=90), 190, FailureClass.SILENCE_TIMEOUT),
        (Times(started=0, written=1, first_line=2, last_output=180, last_text=90), 190, FailureClass.WALL_TIMEOUT),
        (Times(started=0, written=1, first_line=2, last_output=290, last_text=290), 301, FailureClass.WALL_TIMEOUT),
    ],
)
def test_limit_follows_what_happened(times: Times, at: float, error_type: FailureClass) -> None:
    """60 s to start; then 100 s from the prompt on, moved by arriving text up to 300 s; 100 s of silence."""
    limit = limit_of(times, timeout_s=100, start_s=60, extension=3)
    assert (limit.at, limit.error_type) == (at, error_type)


def test_short_limit_bounds_the_start_too() -> None:
    """An attempt of 5 s is not waited for 60 s when nothing ever comes."""
    limit = limit_of(Times(started=10, written=11), timeout_s=5, start_s=60, extension=3)
    assert (limit.at, limit.error_type, limit.seconds) == (16, FailureClass.START_TIMEOUT, 6)


def test_silence_may_have_a_limit_of_its_own() -> None:
    """Forty seconds without any output end an attempt that has a hundred for its answer; what arrives puts it off."""
    times = Times(started=0, written=1, first_line=2, last_output=2)
    limit = limit_of(times, timeout_s=100, silence_s=40, start_s=60, extension=3)
    assert (limit.at, limit.error_type, limit.seconds) == (42, FailureClass.SILENCE_TIMEOUT, 40)
    times.last_output = 90
    limit = limit_of(times, timeout_s=100, silence_s=40, start_s=60, extension=3)
    assert (limit.at, limit.error_type) == (101, FailureClass.WALL_TIMEOUT)
