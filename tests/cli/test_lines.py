"""What plain progress says, line by line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.api import WindowOutlook
from orchestrator.cli.display.allowance import window_line
from orchestrator.cli.display.lines import (
    event_lines,
    final_line,
    heartbeat_line,
    problem_lines,
    stopping_line,
)
from orchestrator.events import Event
from tests.cli import stories

RUN = stories.started(*(f"part_{number}" for number in range(1, 9)))


def last_line(*events: Event) -> list[str]:
    """What the last of these events adds."""
    return event_lines(events[-1], stories.folded(*events))


def test_start() -> None:
    """The first line names the plan, how many chunks there are, and the run."""
    assert last_line(RUN) == ["field-guide: 8 chunks, run r1"]
    assert last_line(stories.resumed("a")) == ["field-guide: run r1 goes on, 1 chunk"]


def test_estimate() -> None:
    """Before the first call a reader knows how many, how much, how long, and who pays."""
    assert last_line(RUN, stories.estimated()) == [
        "8 calls to sonnet (3 answers reused), about 12,000 tokens in and 9,000 out, $0.11 to $0.30, 1 to 3 min; "
        "paid by API key from ANTHROPIC_API_KEY"
    ]


def test_estimate_of_nothing() -> None:
    """A run that reuses everything says so instead of listing zeros."""
    assert last_line(RUN, stories.estimated(calls=0, reusable=8)) == ["nothing to ask: 8 answers reused"]


def test_estimate_with_warnings() -> None:
    """Warnings of the estimate are lines of their own."""
    lines = last_line(RUN, stories.estimated(warnings=("above the limit of $5.00\x1b[2J",)))
    assert lines[1] == "warning: above the limit of $5.00␛[2J"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (stories.succeeded("part_2"), "[1/8] part_2 · 12.4 s · 812 tokens · $0.02"),
        (stories.reused("part_2"), "[1/8] part_2 · reused"),
        (stories.failed("part_2"), "[1/8] part_2 · failed (refusal): the model declined"),
        (stories.skipped("part_2", "outline"), "[1/8] part_2 · skipped: outline has no answer"),
        (stories.retry("part_2"), "part_2: attempt 1 failed (overloaded), again in 2.3 s"),
        (stories.added("x", "y"), "2 more chunks, 10 in all"),
    ],
)
def test_chunk_lines(event: Event, line: str) -> None:
    """One line for each thing that happened to a chunk, with the count so far."""
    assert last_line(RUN, event) == [line]


def test_lines_cannot_be_forged() -> None:
    """A message cannot start a line of its own, nor steer the terminal."""
    (line,) = last_line(RUN, stories.failed("a\x1b[1m", message="no\n[8/8] b · reused\r\x1b]0;x\x07"))
    assert line == "[1/8] a␛[1m · failed (refusal): no [8/8] b · reused ␛]0;x␇"


@pytest.mark.parametrize(
    "event", [stories.begun("a"), stories.progressed("a", 5), stories.cancelled("a"), stories.stitched("x.md")]
)
def test_what_is_not_worth_a_line(event: Event) -> None:
    """Starts, progress and cancelled chunks make no lines of their own."""
    assert last_line(RUN, event) == []


def test_pause_says_until_when() -> None:
    """A pause names its end in the reader's time, how long that is, its reason, and how not to wait for it."""
    until = datetime(2026, 1, 2, 12, tzinfo=UTC)
    hint = "(Ctrl-C stops here, `resume` goes on later)"
    assert last_line(RUN, stories.paused(until.isoformat())) == [
        f"paused until {until.astimezone():%Y-%m-%d %H:%M} (8 h 55 min): usage limit {hint}"
    ]
    assert last_line(RUN, stories.paused("soon\x1b")) == [f"paused until soon␛: usage limit {hint}"]
    assert last_line(RUN, stories.paused(None)) == ["paused: usage limit"]


def test_pause_names_its_account() -> None:
    """Unless it is the usual login, whoever waits is named, and so is whoever goes on; an overload is told apart."""
    (line,) = last_line(RUN, stories.paused("2026-01-02T12:00:00Z", account="spare\n"))
    assert line.startswith("account spare paused until ")
    assert last_line(RUN, stories.continued(account="spare\n")) == [
        "account spare: the pause is over, one call goes first"
    ]
    assert last_line(RUN, stories.continued()) == ["the pause is over, one call goes first"]
    assert last_line(RUN, stories.continued(cause="overload")) == ["the overload pause is over, one call goes first"]


def test_heartbeat_explains_a_silent_chunk() -> None:
    """A silence is explained by the chunk that has run longest, and by what is usual."""
    view = stories.folded(RUN, stories.begun("part_3"))
    assert heartbeat_line(view, now_s=145) == (
        "0/8 done · part_3: waiting for the model, 45 s, usually under 300 s for a medium chunk"
    )


def test_heartbeat_counts_what_arrives() -> None:
    """While text arrives, the heartbeat says how much."""
    view = stories.folded(RUN, stories.begun("a"), stories.begun("b"), stories.progressed("a", 3412))
    view.apply(stories.heartbeat(done=0, total=8, eta_s=100), now_s=140)
    assert heartbeat_line(view, now_s=145) == (
        "0/8 done · 2 running · about 1 min 35 s left · a: 3,412 characters so far, 45 s"
    )


def test_heartbeat_between_attempts_and_in_a_pause() -> None:
    """With nothing running, the heartbeat says what the run is waiting for."""
    view = stories.folded(RUN, stories.retry("a", wait_s=12))
    assert heartbeat_line(view, now_s=102) == "0/8 done · a: again in 10 s after attempt 1 (overloaded)"
    view.apply(stories.paused(None), now_s=103)
    assert heartbeat_line(view, now_s=110) == "0/8 done · paused: usage limit"
    view.apply(stories.begun("a"), now_s=111)
    view.apply(stories.paused("2026-01-02T12:00:00Z", account="spare", reason="used up"), now_s=112)
    line = heartbeat_line(view, now_s=112 + 3600)
    assert line.startswith("0/8 done · a: waiting for the model, 1 h, ")
    assert " · paused: usage limit · account spare paused until 2026-01-0" in line
    assert line.endswith(" (7 h 55 min): used up")


def test_stopping() -> None:
    """The first Ctrl-C says what will be finished and how long that may take; the next ones are shorter."""
    view = stories.folded(RUN, *(stories.begun(chunk_id) for chunk_id in "abc"))
    assert stopping_line(1, view, now_s=110) == "finishing 3 running chunks, up to 4 min 50 s; Ctrl-C again ends them"
    view.apply(stories.succeeded("d", elapsed_s=50), now_s=110)
    assert stopping_line(1, view, now_s=110) == "finishing 3 running chunks, about 40 s; Ctrl-C again ends them"
    assert stopping_line(2, view, now_s=110) == "ending the running chunks"
    assert stopping_line(3, view, now_s=110) == "stopping at once"
    assert stopping_line(1, stories.folded(RUN), now_s=110) == "stopping; nothing is running"


def test_final_line_of_success() -> None:
    """One line: how many, how long, how much faster, what it cost, where the result is."""
    end = stories.finished()
    view = stories.folded(
        RUN,
        *(stories.succeeded(f"part_{number}") for number in range(1, 9)),
        stories.stitched("/home/me/field-guide.md"),
        end,
    )
    assert final_line(view, end, here="/home/me") == (
        "8/8 · 1 min 12 s · 3.1 × faster than one by one · $0.19 · result: field-guide.md"
    )
    assert final_line(view, end, here="/elsewhere").endswith("result: /home/me/field-guide.md")


def test_usage_windows_stand_in_the_final_line() -> None:
    """How full the login's usage windows are, where it told; names that are not known are shown as they are."""
    windows = tuple({"name": name, "utilization": share} for name, share in (("five_hour", 0.41), ("a_new_one", 0.125)))
    end = stories.finished(windows=windows)
    line = final_line(stories.folded(RUN, stories.succeeded("part_1"), end), end)
    assert line.endswith("$0.19 · usage: 5-hour window at 41 %, a new one at 12.5 %")


@pytest.mark.parametrize(
    ("used", "low", "high", "said"),
    [
        (0.41, 0.101, 0.139, "at 41 %, the whole would take 10 to 14 % more (resets "),
        (0.41, 0.12, 0.12, "at 41 %, the whole would take about 12 % more (resets "),
        (0.41, 0.0, 0.004, "at 41 %, the whole would take under 1 % more (resets "),
        (0.41, None, None, "); not enough was seen to tell what the whole would take of it"),
        (0.95, 0.01, 0.09, "): it may stop there until the window resets"),
        (0.95, 0.08, 0.09, "): it would stop there until the window resets"),
    ],
)
def test_what_the_whole_takes_of_a_window(used: float, low: float | None, high: float | None, said: str) -> None:
    """A range, a bound where nothing moved, that too little was seen, and whether it fits."""
    window = WindowOutlook(name="five_hour", utilization=used, resets_at=1e9, share_low=low, share_high=high)
    assert said in window_line(window)


def test_no_speed_up_without_one() -> None:
    """Speed-up is told only when it is real: more than 1.2, and something was asked in this process."""
    slow = stories.finished(work_s=80.0)
    assert "faster" not in final_line(stories.folded(RUN, stories.succeeded("part_1"), slow), slow)
    nothing_asked = stories.finished(work_s=500.0)
    assert "faster" not in final_line(stories.folded(RUN, stories.reused("part_1"), nothing_asked), nothing_asked)


def test_simulated_money_is_called_so() -> None:
    """Nobody takes a simulated cost for a real one."""
    end = stories.finished()
    assert "$0.19 simulated" in final_line(stories.folded(stories.started("a", runner="simulated"), end), end)


def test_end_of_an_incomplete_run() -> None:
    """What failed or was skipped is listed with its reason, and the next command is named."""
    end = stories.finished("partial", failed=1, skipped=1, elapsed_s=3.0, work_s=3.0)
    view = stories.folded(
        stories.started("a", "b", "c"),
        stories.succeeded("a"),
        stories.failed("b", message="declined\x1b[2J"),
        stories.skipped("c", "b"),
        stories.stitched("/x/guide.incomplete.md"),
        end,
    )
    assert final_line(view, end, here="/x") == (
        "1/3 · 1 failed, 1 skipped · 3.0 s · $0.19 · incomplete result: guide.incomplete.md"
    )
    assert problem_lines(view, next_command="orchestrate resume r1") == [
        "  b: failed (refusal): declined␛[2J",
        "  c: skipped: b has no answer",
        "to go on: orchestrate resume r1",
    ]


def test_end_of_a_run_whose_result_is_wrong() -> None:
    """Where the failed rows are, and why a result with every answer is not complete; what was settled is a note."""
    end = stories.finished("partial", elapsed_s=3.0, work_s=3.0)
    told = stories.stitched(
        "/x/a.incomplete.jsonl",
        failed_path="/x/a.failed.jsonl",
        problems=("line 3: it lacks `a`\x1b[2J",),
        notes=("1 value differs",),
    )
    view = stories.folded(stories.started("a"), stories.succeeded("a"), told, end)
    assert final_line(view, end, here="/x").endswith(
        "incomplete result: a.incomplete.jsonl · failed rows: a.failed.jsonl"
    )
    assert problem_lines(view, next_command="x") == ["  line 3: it lacks `a`␛[2J", "to go on: x"]
    assert event_lines(told, view) == ["note: 1 value differs"]


def test_end_of_a_stopped_run() -> None:
    """A stopped run says why, and how much is left."""
    end = stories.finished("stopped", cancelled=5, reason="interrupted")
    line = final_line(stories.folded(RUN, *(stories.reused(f"part_{number}") for number in (1, 2, 3)), end), end)
    assert line == "stopped: interrupted · 3/8 · 5 not finished · 1 min 12 s · $0.19"


def test_many_problems_are_cut_short() -> None:
    """A thousand failures do not bury the next command."""
    end = stories.finished("failed", failed=1000)
    view = stories.folded(RUN, *(stories.failed(f"c{number}", message=f"no {number}") for number in range(1000)), end)
    lines = problem_lines(view, next_command="orchestrate resume r1")
    assert len(lines) == 22
    assert lines[-2] == "  … and 980 more: orchestrate status r1"


def test_what_failed_alike_is_told_once() -> None:
    """Chunks that share a reason share a line."""
    end = stories.finished("failed", failed=8)
    failures = [stories.failed(f"c{number}") for number in range(7)]
    view = stories.folded(RUN, *failures, stories.failed("other", message="no"), end)
    lines = problem_lines(view, next_command="orchestrate resume r1")
    assert lines[0].startswith("  c0, c1, c2, c3, c4 and 2 more: failed (refusal): ")
    assert lines[1:] == ["  other: failed (refusal): no", "to go on: orchestrate resume r1"]


def test_success_has_no_problems() -> None:
    """A complete run ends with its one line."""
    assert problem_lines(stories.folded(RUN, stories.finished()), next_command="x") == []
