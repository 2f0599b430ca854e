"""A sample shows the range, and runs what follows from each piece and nothing that needs them all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.plan.load import load_plan
from orchestrator.plan.sampling import sample, spread
from orchestrator.plan.workload import Workload

ITEMS = [f"Item {at}" + (" that is long" if at == 6 else "") for at in range(10)]


def load(*chunks: dict[str, Any], **more: Any) -> Workload:
    return load_plan({"chunks": list(chunks), **more})


PART = {"id": "part", "for_each": {"items": ITEMS}, "prompt": "Draft {{ item.text }}"}
CRITIQUE = {"id": "critique", "for_each": {"chunk": "part"}, "prompt": "Judge {{ item.text }}"}
SUMMARY = {"id": "summary", "reduce": {"chunk": "critique", "max_tokens": 500}, "prompt": "Sum {{ parts }}"}


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 20))
def test_spread(sizes: list[int], count: int) -> None:
    """As many as asked or as there are, each once, ascending; the first and the longest soonest, then the last."""
    places = spread(sizes, count)
    assert len(places) == min(count, len(sizes))
    assert places == sorted(set(places))
    assert all(0 <= at < len(sizes) for at in places)
    if sizes:
        assert places[0] == 0
    if sizes and count > 1:
        assert max(sizes) in [sizes[at] for at in places]
    if sizes and count >= 4:
        assert len(sizes) - 1 in places


def test_a_sample_takes_pairs_along_and_leaves_merges_out() -> None:
    """First, longest, middle and last of the pieces with their counterparts; no merge, and no stranger."""
    part = sample(load(PART, CRITIQUE, SUMMARY, {"id": "other", "prompt": "Alone"}), 4)
    assert list(part.chunks) == [f"{name}[{at}]" for name in ("part", "critique") for at in (1, 6, 7, 10)]
    assert part.stitch_chunks == ("critique[1]", "critique[6]", "critique[7]", "critique[10]")
    assert "summary" not in part.groups


def test_pieces_stay_what_they_were() -> None:
    """Each sampled piece is the chunk that the whole plan has, so that its answer is found again."""
    whole = load(PART, CRITIQUE)
    part = sample(whole, 3)
    assert all(chunk == whole.chunks[name] for name, chunk in part.chunks.items())


def test_what_a_piece_needs_runs_too() -> None:
    """A chunk that every piece refers to is part of the sample."""
    style = {"id": "style", "prompt": "A style"}
    part = {**PART, "prompt": "{{ chunks.style }} {{ item.text }}"}
    assert list(sample(load(style, part), 1).chunks) == ["style", "part[1]"]


def test_carried_pieces_are_the_first_ones() -> None:
    """Pieces that go on from one another can only be run from the start."""
    carried = {**PART, "carry": {"tail_tokens": 50}}
    assert list(sample(load(carried), 3).chunks) == ["part[1]", "part[2]", "part[3]"]


def test_pieces_of_an_answer_are_chosen_when_they_are_known() -> None:
    """The chunk that gives them runs, and the group remembers how many it may have."""
    outline = {"id": "outline", "prompt": "Outline"}
    part = {"id": "part", "for_each": {"chunk": "outline"}, "prompt": "{{ item.text }}"}
    found = sample(load(outline, part), 2)
    assert list(found.chunks) == ["outline"]
    assert getattr(found.groups["part"], "sample", None) == 2


def test_a_plan_without_pieces_has_no_sample() -> None:
    """Nothing to spread is said before anything is paid."""
    with pytest.raises(UsageError, match="nothing to sample"):
        sample(load({"id": "a", "prompt": "x"}), 3)
