"""A view is the sum of the events it took in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.display.frame import frame
from orchestrator.cli.display.view import RunView
from tests.cli import stories


def test_counts_each_outcome() -> None:
    """Every terminal event counts once, under its own heading; a cancelled chunk is not done."""
    view = stories.folded(
        stories.started("a", "b", "c", "d", "e"),
        stories.reused("a"),
        stories.begun("b"),
        stories.succeeded("b", cost_usd=0.02),
        stories.begun("c"),
        stories.failed("c"),
        stories.skipped("d", "c"),
        stories.cancelled("e"),
    )
    assert (view.reused, view.paid, view.failed, view.skipped, view.cancelled) == (1, 1, 1, 1, 1)
    assert (view.done, view.total) == (4, 5)
    assert view.cost_usd == 0.03
    assert view.problems == [("c", "failed (refusal): the model declined"), ("d", "skipped: c has no answer")]


def test_running_chunks_keep_their_row() -> None:
    """A chunk keeps its slot while it runs, and the lowest free slot is taken next."""
    view = stories.folded(stories.started(*"abcd"), *(stories.begun(chunk_id) for chunk_id in "abc"))
    view.apply(stories.succeeded("a"), now_s=1)
    assert {name: attempt.slot for name, attempt in view.running.items()} == {"b": 1, "c": 2}
    view.apply(stories.begun("d"), now_s=2)
    assert view.running["d"].slot == 0
    assert view.slots == 3


def test_retry_gives_the_slot_back() -> None:
    """Between two attempts a chunk waits and does not run; its next attempt starts from nothing."""
    view = stories.folded(stories.started("a"), stories.begun("a"), stories.progressed("a", 500))
    view.apply(stories.retry("a", wait_s=3), now_s=200)
    assert not view.running
    assert view.waiting["a"].until_s == 203
    view.apply(stories.begun("a", attempt=2), now_s=203)
    assert not view.waiting
    assert (view.running["a"].slot, view.running["a"].output_chars, view.running["a"].attempt) == (0, 0, 2)


def test_time_left_runs_down() -> None:
    """Between two heartbeats the estimate falls with the clock, and vanishes rather than turn negative."""
    view = stories.folded(stories.started("a"), stories.heartbeat(done=0, total=1, eta_s=40), now_s=100)
    assert view.left_s(110) == 30
    assert view.left_s(150) is None


def test_added_chunks_count() -> None:
    """Chunks that come up later raise the total."""
    assert stories.folded(stories.started("a"), stories.added("b", "c")).total == 3


def test_pause_and_its_end() -> None:
    """A pause is known until it ends."""
    view = stories.folded(stories.started("a"), stories.paused("2026-01-02T03:14:05Z"), now_s=100)
    (pause,) = view.pauses.values()
    assert (pause.left_s(100), pause.left_s(160), pause.left_s(800)) == (600, 540, -100)
    view.apply(stories.continued(), now_s=700)
    assert not view.pauses


def test_each_pause_ends_alone() -> None:
    """What goes on is the account and the cause that are named; of one account a new pause replaces the old."""
    view = stories.folded(
        stories.started("a"),
        stories.paused("2026-01-02T03:14:05Z"),
        stories.paused("2026-01-02T04:04:05Z", account="spare"),
        stories.paused(None, cause="overload", reason="the next call goes alone in 2 s"),
        stories.paused("2026-01-02T05:04:05Z", cause="leave_usage"),
    )
    untils = {pause.event.until for pause in view.pauses.values()}
    assert untils == {"2026-01-02T05:04:05Z", "2026-01-02T04:04:05Z", None}
    left: list[list[tuple[str, str]]] = []
    for over in (stories.continued(cause="overload"), stories.continued(account="spare"), stories.continued()):
        view.apply(over, now_s=200)
        left.append([(pause.event.account, pause.event.cause) for pause in view.pauses.values()])
    assert left == [[("", "leave_usage"), ("spare", "limit")], [("", "leave_usage")], []]


def test_events_of_unknown_chunks_do_no_harm() -> None:
    """Progress that arrives after the end of its attempt changes nothing."""
    view = stories.folded(stories.started("a"), stories.progressed("a", 10), stories.progressed("zz", 10))
    assert not view.running


MOVES = {
    "begin": stories.begun,
    "succeed": stories.succeeded,
    "fail": stories.failed,
    "retry": stories.retry,
    "reuse": stories.reused,
    "cancel": stories.cancelled,
}


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.sampled_from("abcdef")), max_size=60), st.integers(1, 9))
def test_slots_and_frame_stay_sound(moves: list[tuple[str, str]], rows: int) -> None:
    """Whatever comes: no two chunks share a slot, and a frame never has more rows than it may."""
    view = RunView()
    for now_s, (move, chunk_id) in enumerate(moves):
        view.apply(MOVES[move](chunk_id), now_s=now_s)
        slots = [attempt.slot for attempt in view.running.values()]
        assert len(set(slots)) == len(slots)
        assert all(slot < view.slots for slot in slots)
        assert 1 <= len(frame(view, now_s=now_s, rows=rows)) <= rows


def test_frame_has_a_total_row_and_one_for_each_slot() -> None:
    """The frame says how far the run is, and for each running chunk for how long and what came so far."""
    view = stories.folded(
        stories.started("part_1", "part_2", "part_3"),
        stories.begun("part_1"),
        stories.begun("part_2"),
        stories.progressed("part_2", 3412),
        stories.heartbeat(done=0, total=3, eta_s=60),
    )
    rows = [row.text for row in frame(view, now_s=145, rows=20)]
    assert len(rows) == 3
    assert rows[0].endswith("0/3 · 45 s · about 15 s left")
    assert "part_1" in rows[1]
    assert rows[1].endswith("45 s  waiting for the model, usually under 300 s")
    assert rows[2].endswith("45 s  3,412 characters so far")


def test_frame_has_a_row_for_each_pause() -> None:
    """Every account that waits is shown, and what still runs below; the rows stay within the window."""
    view = stories.folded(
        stories.started("a", "b"),
        stories.begun("a"),
        stories.paused("2026-01-02T05:04:05Z"),
        stories.paused("2026-01-02T03:14:05Z", account="spare\x1b[2J"),
        stories.retry("b"),
        now_s=100,
    )
    rows = [row.text for row in frame(view, now_s=160, rows=20)]
    assert len(rows) == 4
    assert rows[1].startswith("  paused until 2026-01-0")
    assert rows[1].endswith(" (1 h 59 min): usage limit")
    assert rows[2].startswith("  account spare␛[2J paused until ")
    assert rows[2].endswith(" (9 min): usage limit")
    assert "  a  " in rows[3]
    assert [row.text for row in frame(view, now_s=160, rows=3)] == rows[:3]


def test_frame_neutralises_ids() -> None:
    """An id cannot bring control sequences to the terminal."""
    view = stories.folded(stories.started("a"), stories.begun("a\x1b[2J"))
    assert "\x1b" not in "".join(row.text for row in frame(view, now_s=101, rows=20))


def test_small_window_shows_what_fits() -> None:
    """When the slots do not fit, the frame says how many more are running."""
    ids = [f"c{number}" for number in range(30)]
    view = stories.folded(stories.started(*ids), *(stories.begun(chunk_id) for chunk_id in ids))
    rows = [row.text for row in frame(view, now_s=101, rows=10)]
    assert len(rows) == 9
    assert rows[-1] == "  … and 23 more running"
