"""What is kept along a plan, and who is told of it: chains of keepers, their selection, their estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.load import load_plan
from orchestrator.plan.sampling import sample
from orchestrator.plan.selection import entry_of, select
from orchestrator.plan.tokens import count_tokens, head_lines
from orchestrator.plan.workload import Chunk, ForEach, Workload

SUMMARY = {"summary": True}


def load(*chunks: dict[str, Any], mode: str = "sequence") -> Workload:
    return load_plan({"mode": mode, "chunks": list(chunks)})


def write(name: str, prompt: str = "Write.", **more: Any) -> dict[str, Any]:
    return {"id": name, "prompt": prompt, **more}


def pieces(name: str, over: Any, prompt: str = "{{ item.text }}", **more: Any) -> dict[str, Any]:
    return {"id": name, "for_each": over, "prompt": prompt, **more}


STORY = [write("ch1"), *(write(f"ch{at}", carry=SUMMARY) for at in (2, 3, 4))]


def told(chunks: Mapping[str, Chunk]) -> dict[str, str]:
    """By chunk: the keeper whose text its prompt shows."""
    found: dict[str, str] = {}
    for chunk in chunks.values():
        kept = chunk.carry.kept if chunk.carry is not None else None
        kept = chunk.keeping.so_far if chunk.keeping is not None else kept
        if kept is not None:
            found[chunk.id] = kept.keeper
    return found


def test_a_keeper_after_each_answer_that_is_told() -> None:
    """Each chapter is told what was kept last; the last chapter is told to nobody and not kept."""
    work = load(*STORY)
    assert list(work.chunks) == ["ch1", "ch1.summary", "ch2", "ch2.summary", "ch3", "ch3.summary", "ch4"]
    assert told(work.chunks) == {
        "ch1.summary": "",
        "ch2": "ch1.summary",
        "ch2.summary": "ch1.summary",
        "ch3": "ch2.summary",
        "ch3.summary": "ch2.summary",
        "ch4": "ch3.summary",
    }
    assert work.stitch_chunks == ("ch1", "ch2", "ch3", "ch4")


def test_one_who_asks_late_is_told_all() -> None:
    """What came before the first that carries is kept too, however far back."""
    work = load(write("a"), write("b"), write("c"), write("d", carry=SUMMARY))
    assert told(work.chunks) == {"a.summary": "", "b.summary": "a.summary", "c.summary": "b.summary", "d": "c.summary"}


def test_what_all_have_in_view_is_not_kept() -> None:
    """An outline that stands whole in each prompt costs no call; one that is shown in part, or to some, does."""
    chapters = [write(f"ch{at}", "Write by {{ chunks.outline }}.", carry=SUMMARY) for at in (1, 2)]
    assert "outline.summary" not in load(write("outline"), *chapters).chunks
    assert "outline.summary" in load(write("outline"), *chapters, write("end", carry=SUMMARY)).chunks
    cut = [write(f"ch{at}", "Write by {{ chunks.outline | head(9) }}.", carry=SUMMARY) for at in (1, 2)]
    assert "outline.summary" in load(write("outline"), *cut).chunks


def test_a_summary_and_a_glossary_go_side_by_side() -> None:
    """Each kind has its own chain and its own budget, the largest that is asked for."""
    work = load(
        write("a"),
        write("b", carry={"summary": True, "max_tokens": 90}),
        write("c", carry={"glossary": True}),
        write("d", carry={"summary": True, "max_tokens": 200, "tail_tokens": 30}),
    )
    budgets = {each.id: each.keeping.so_far.max_tokens for each in work.chunks.values() if each.keeping is not None}
    assert budgets == {"a.summary": 200, "a.glossary": 800, "b.summary": 200, "b.glossary": 800, "c.summary": 200}
    carry = work.chunks["d"].carry
    assert carry is not None
    assert carry.kept is not None
    assert (carry.previous, carry.tail_tokens, carry.kept.keeper, carry.kept.max_tokens) == ("c", 30, "c.summary", 200)
    assert told(work.chunks)["c"] == "b.glossary"


def test_pieces_are_kept_one_by_one() -> None:
    """In parallel mode a group that carries is kept by itself, and its last piece not at all."""
    work = load(write("a"), pieces("part", ["x", "y", "z"], carry={"glossary": True}), mode="parallel")
    assert told(work.chunks) == {
        "part[1]": "",
        "part[1].glossary": "",
        "part[2]": "part[1].glossary",
        "part[2].glossary": "part[1].glossary",
        "part[3]": "part[2].glossary",
    }
    assert getattr(work.groups["part"], "members", ()) == ("part[1]", "part[2]", "part[3]")


def test_a_group_in_a_sequence_is_part_of_the_chain() -> None:
    """Its pieces are kept one after the other, each prompt with one answer, and what follows goes on from the last."""
    work = load(write("a"), pieces("part", ["x", "y"]), write("end", carry=SUMMARY))
    assert told(work.chunks) == {
        "a.summary": "",
        "part[1].summary": "a.summary",
        "part[2].summary": "part[1].summary",
        "end": "part[2].summary",
    }


def test_pairs_and_merges_are_kept_like_others() -> None:
    """A paired group has the pieces of the one it goes over; a merge is one answer."""
    draft = pieces("draft", ["x", "y"])
    work = load(draft, pieces("edit", {"chunk": "draft"}, carry=SUMMARY), mode="parallel")
    assert told(work.chunks) == {"edit[1]": "", "edit[1].summary": "", "edit[2]": "edit[1].summary"}
    merge = {"id": "all", "reduce": {"chunk": "draft", "max_tokens": 500}, "prompt": "{{ parts }}"}
    work = load(draft, merge, write("end", carry=SUMMARY))
    assert told(work.chunks)["end"] == "all.summary"


def test_pieces_that_are_not_known_yet() -> None:
    """What follows such a group goes on from the group; the group remembers to keep its last piece."""
    outline = write("outline")
    work = load(outline, pieces("part", {"chunk": "outline"}, carry=SUMMARY), write("end", carry=SUMMARY))
    part = work.groups["part"]
    assert isinstance(part, ForEach)
    assert [(each.so_far.keeper, each.last) for each in part.kept] == [("outline.summary", True)]
    assert told(work.chunks) == {"outline.summary": "", "end": "part"}
    assert "end.summary" not in work.chunks
    alone = select(work, only=["part"])
    assert [each.last for each in getattr(alone.groups["part"], "kept", ())] == [False]
    assert list(alone.chunks) == ["outline", "outline.summary"]


def test_a_part_of_the_plan_keeps_what_it_tells() -> None:
    """Of a story until chapter 3 the summaries that lead there run, and no other."""
    work = select(load(*STORY), only=["ch3"])
    assert list(work.chunks) == ["ch1", "ch1.summary", "ch2", "ch2.summary", "ch3"]
    assert work.stitch_chunks == ("ch3",)
    assert select(load(*STORY), until=["ch2"]).stitch_chunks == ("ch1", "ch2")
    plain = load(write("a"), pieces("part", {"chunk": "a"}), write("end", carry=SUMMARY))
    assert getattr(select(plain, only=["part"]).groups["part"], "kept", None) == ()
    assert list(select(plain, only=["end"]).chunks) == ["a", "a.summary", "end"]


def test_a_sample_has_the_first_pieces_and_what_they_are_told() -> None:
    """Two pieces need one summary; a group that goes on from all pieces of another cannot be sampled."""
    part = pieces("part", ["w", "x", "y", "z"], carry=SUMMARY)
    assert list(sample(load(part, mode="parallel"), 2).chunks) == ["part[1]", "part[1].summary", "part[2]"]
    more = pieces("more", ["w", "x"], carry=SUMMARY)
    assert {entry_of(name) for name in sample(load(part, more), 2).chunks} == {"part"}


def test_keepers_are_estimated() -> None:
    """Each is a call, counts its budget and one answer, and stands between what it keeps and what is told."""
    found = estimate_workload(load(*STORY), max_concurrency=4)
    assert found.calls == 7
    assert found.before["ch2.summary"] == ("ch2", "ch1.summary")
    assert "ch3.summary" in found.before["ch4"]
    assert found.chunks["ch2.summary"].input_tokens > found.chunks["ch1.summary"].input_tokens + 600
    assert found.chunks["ch3.summary"].input_tokens == found.chunks["ch2.summary"].input_tokens
    assert found.chunks["ch4"].input_tokens == found.chunks["ch2"].input_tokens > found.chunks["ch1"].input_tokens + 600
    later = load(write("outline"), pieces("part", {"chunk": "outline"}, carry=SUMMARY), mode="parallel")
    guessed = estimate_workload(later, max_concurrency=4)
    assert guessed.calls == 1 + 6 + 5
    assert guessed.keeps["part[5].summary"] == "summary"


@pytest.mark.parametrize(
    ("name", "entry"), [("ch1.summary", "ch1"), ("part[3].glossary", "part"), ("part[3.1]", "part")]
)
def test_a_keeper_belongs_to_the_entry_it_keeps(name: str, entry: str) -> None:
    """Ids of the plan hold neither brackets nor dots."""
    assert entry_of(name) == entry


def test_whole_lines_are_kept() -> None:
    """A list is cut between lines; a first line that is too long by itself is cut inside."""
    lines = "Alke: the ferry\nTove: the clerk\nSkarvoy: the island"
    two = "Alke: the ferry\nTove: the clerk"
    assert head_lines(lines, 100) == lines
    assert head_lines(lines, count_tokens(two)) == two
    assert head_lines(lines, count_tokens(two) + 2) == two
    assert 0 < count_tokens(head_lines("word " * 50, 7)) <= 7


def test_plans_without_a_summary_are_as_they_were() -> None:
    """Nothing is added for the end of the answer before."""
    work = load(write("a"), write("b", carry={"tail_tokens": 9}))
    assert list(work.chunks) == ["a", "b"]
    assert work.chunks["b"].told_of == ("a",)
