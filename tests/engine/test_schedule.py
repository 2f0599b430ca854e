"""The schedule, driven by hand: whole stories in a few lines, and invariants over random graphs."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.schedule import Lane, Node, Schedule, Skip


def start_all(schedule: Schedule) -> list[str]:
    """Queue what is ready and start what fits, as the engine does."""
    for chunk_id in schedule.take_ready():
        schedule.enqueue(chunk_id)
    started: list[str] = []
    while schedule.next_startable() is not None:
        started.append(schedule.start())
    return started


def test_a_chunk_starts_when_its_own_input_is_there_though_a_stranger_is_slow() -> None:
    """No levels: `after_fast` does not wait for `slow`."""
    schedule = Schedule(
        [Node(id="slow"), Node(id="fast"), Node(id="after_fast", upstream={"fast": "skip"})], max_concurrency=4
    )
    assert set(start_all(schedule)) == {"slow", "fast"}
    assert schedule.finish("fast", "succeeded") == []
    assert start_all(schedule) == ["after_fast"]


def test_no_more_run_at_once_than_there_are_slots() -> None:
    """A slot is free again when its attempt is released, before the chunk is finished."""
    schedule = Schedule([Node(id=name) for name in "abc"], max_concurrency=2)
    assert start_all(schedule) == ["a", "b"]
    assert start_all(schedule) == []
    schedule.release("a")
    assert start_all(schedule) == ["c"]
    assert not schedule.done


def test_a_failure_skips_what_needs_it_and_all_that_needs_that() -> None:
    """Each skip names the upstream chunk that has no answer; chunks that accept a gap go on."""
    schedule = Schedule(
        [
            Node(id="a"),
            Node(id="b", upstream={"a": "skip"}),
            Node(id="c", upstream={"b": "skip"}),
            Node(id="d", upstream={"a": "gap", "b": "gap"}),
        ],
        max_concurrency=1,
    )
    start_all(schedule)
    assert schedule.finish("a", "failed") == [Skip("b", "a"), Skip("c", "b")]
    assert start_all(schedule) == ["d"]
    schedule.finish("d", "succeeded")
    assert schedule.done
    assert [schedule.status(name) for name in "abcd"] == ["failed", "skipped", "skipped", "succeeded"]


def test_in_a_sequence_a_failed_chunk_does_not_stop_the_next() -> None:
    """Order-only edges order, and do no more."""
    schedule = Schedule([Node(id="a"), Node(id="b", after=("a",))], max_concurrency=4)
    assert start_all(schedule) == ["a"]
    assert schedule.finish("a", "failed") == []
    assert start_all(schedule) == ["b"]


def test_the_head_of_the_longest_path_starts_first() -> None:
    """Among queued chunks the one with most work behind it goes first; plan order breaks ties."""
    schedule = Schedule(
        [
            Node(id="alone"),
            Node(id="head"),
            Node(id="twin"),
            Node(id="tail", upstream={"head": "skip"}, duration_s=10.0),
        ],
        max_concurrency=1,
    )
    assert start_all(schedule) == ["head"]
    schedule.release("head")
    assert start_all(schedule) == ["alone"]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Random graphs of up to 12 chunks whose edges point backwards."""
    size = draw(st.integers(1, 12))
    nodes: list[Node] = []
    for index in range(size):
        before = [f"c{each}" for each in range(index)]
        upstream = draw(st.dictionaries(st.sampled_from(before), st.sampled_from(["skip", "gap"]))) if before else {}
        after = tuple(draw(st.sets(st.sampled_from(before), max_size=2))) if before else ()
        nodes.append(Node(id=f"c{index}", upstream=upstream, after=after))
    return nodes


@settings(max_examples=300, deadline=None)
@given(graphs(), st.integers(1, 4), st.integers(0, 2**32))
def test_every_chunk_ends_exactly_once_and_after_its_inputs(nodes: list[Node], slots: int, seed: int) -> None:
    """For any graph, any order of ends and any failures: nothing starts early, twice or never."""
    chance = random.Random(seed)
    schedule = Schedule(nodes, max_concurrency=slots)
    by_id = {node.id: node for node in nodes}
    running: list[str] = []
    ended: dict[str, str] = {}
    while not schedule.done:
        for chunk_id in start_all(schedule):
            node = by_id[chunk_id]
            assert chunk_id not in ended
            assert all(each in ended for each in (*node.upstream, *node.after))
            assert all(ended[each] == "succeeded" for each, missing in node.upstream.items() if missing == "skip")
            running.append(chunk_id)
        assert len(running) <= slots
        assert running, "nothing runs and not all is done"
        chunk_id = running.pop(chance.randrange(len(running)))
        status = chance.choice(["succeeded", "succeeded", "failed"])
        ended[chunk_id] = status
        for skip in schedule.finish(chunk_id, status):  # pyright: ignore[reportArgumentType]
            assert skip.chunk_id not in ended
            assert ended[skip.because] != "succeeded"
            ended[skip.chunk_id] = "skipped"
    assert sorted(ended) == sorted(by_id)
    assert {chunk_id: schedule.status(chunk_id) for chunk_id in ended} == ended


def test_order_holds_across_what_is_skipped() -> None:
    """One after the other: what is skipped ends early, and what comes after it still comes after all before it."""
    schedule = Schedule(
        [
            Node(id="a"),
            Node(id="b", after=("a",)),
            Node(id="c", after=("b",), upstream={"a": "skip"}),
            Node(id="d", after=("c",), upstream={"a": "skip", "c": "gap"}),
            Node(id="e", after=("d",), upstream={"c": "gap"}),
        ],
        max_concurrency=4,
    )
    assert start_all(schedule) == ["a"]
    assert schedule.finish("a", "failed") == [Skip("c", "a"), Skip("d", "a")]
    schedule.add([Node(id="f", after=("d",))])
    assert start_all(schedule) == ["b"]
    schedule.finish("b", "succeeded")
    assert start_all(schedule) == ["e", "f"]


def test_what_comes_next_is_known_without_starting_it() -> None:
    """`upcoming` names the queued chunks in the order in which `start` gives them out, in open lanes only."""
    rng = random.Random(28)
    nodes = [
        Node(id=f"n{at}", duration_s=rng.choice((1.0, 2.0, 3.0)), lane=Lane(accounts=(rng.choice("ab"),)))
        for at in range(60)
    ]
    schedule = Schedule(nodes, max_concurrency=100)
    assert schedule.upcoming(5) == []
    for chunk_id in schedule.take_ready():
        schedule.enqueue(chunk_id)

    def is_open(lane: Lane) -> bool:
        return lane.accounts == ("b",)

    told = schedule.upcoming(1000)
    lane = schedule.upcoming(7, is_open)
    assert lane == [each for each in told if nodes[int(each[1:])].lane.accounts == ("b",)][:7]
    assert [schedule.start() for _ in nodes] == told
