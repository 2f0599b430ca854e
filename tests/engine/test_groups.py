"""Groups in a run: pieces, pairs and merges, known before the run or only while it goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.events import (
    ChunkFailed,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    RunEstimated,
)
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.values import Answer
from orchestrator.runners.base import Failure, FailureClass, OnProgress, Reply, Request, RunnerInfo
from orchestrator.runners.simulated import SimulatedRunner
from orchestrator.store import open_store
from tests.engine.runs import Story, play, play_on


def go(plan: Any, folder: Path, **options: Any) -> Story:
    """A run from its beginning to its end."""
    return asyncio.run(play(plan, folder, **options))


def go_on(run_id: str, folder: Path, **options: Any) -> Story:
    """What a resumed run did."""
    return asyncio.run(play_on(run_id, folder, **options))


REFUSED = Failure(error_type=FailureClass.REFUSAL, message="no")


def runner(answers: dict[str, Any] | None = None, **more: Any) -> SimulatedRunner:
    """A runner without latency that answers with the given texts."""
    return SimulatedRunner(latency_s=0, answers=answers or {}, **more)


def prompts(ran: SimulatedRunner) -> dict[str, str]:
    """The last prompt of each chunk."""
    return {request.chunk_id: request.prompt for request in ran.requests}


def marked(chunk_id: str, text: str) -> str:
    """An answer as a prompt shows it."""
    return str(Answer(chunk_id, text))


NAMES: dict[str, Any] = {
    "inputs": {"names": ["billing", "search"]},
    "chunks": [{"id": "part", "for_each": {"input": "names"}, "prompt": "On {{ item.text }}, {{ item.index }}."}],
}


def test_one_chunk_for_each_item(tmp_path: Path) -> None:
    """Pieces are known from the start, ask for their own item, and stand in order in the result."""
    ran = runner({"part[1]": "B", "part[2]": "S"})
    story = go(NAMES, tmp_path, runner=ran)
    assert story.events[0].chunk_ids == ("part[1]", "part[2]")  # pyright: ignore
    assert prompts(ran) == {"part[1]": "On billing, 1.", "part[2]": "On search, 2."}
    assert (story.result.status, story.result.text) == ("complete", "B\n\nS")
    assert list(story.result.chunks) == ["part[1]", "part[2]"]


def test_a_group_is_shown_looped_over_and_referred_to_by_piece(tmp_path: Path) -> None:
    """The whole under labels, each by a loop, one by its number."""
    more = [
        {"id": "whole", "prompt": "{{ chunks.part }}"},
        {"id": "loop", "prompt": "{% for p in chunks.part %}{{ p.item.source }}={{ p.text | raw }};{% endfor %}"},
        {"id": "one", "prompt": "{{ chunks.part[2] }}"},
    ]
    ran = runner({"part[1]": "B", "part[2]": "S"})
    story = go({**NAMES, "chunks": [*NAMES["chunks"], *more]}, tmp_path, runner=ran)
    assert story.result.status == "complete"
    seen = prompts(ran)
    assert seen["whole"] == f"billing:\n{marked('part[1]', 'B')}\n\nsearch:\n{marked('part[2]', 'S')}"
    assert seen["loop"] == "billing=B;search=S;"
    assert seen["one"] == marked("part[2]", "S")


class Closed(SimulatedRunner):
    """A runner that must not even be opened."""

    async def open(self) -> RunnerInfo:
        """Fails: there is nothing to ask."""
        raise AssertionError("opened, though all answers are stored")


OUTLINE: dict[str, Any] = {
    "chunks": [
        {"id": "outline", "prompt": "Outline."},
        {"id": "part", "for_each": {"chunk": "outline"}, "prompt": "Write {{ item.text }}"},
        {"id": "check", "for_each": {"chunk": "part"}, "prompt": "Check {{ item.text }} for {{ item.original }}"},
    ]
}


def test_the_pieces_of_an_answer_become_known_while_the_run_goes(tmp_path: Path) -> None:
    """Chunks are added when the outline is there, those of a paired group with them."""
    ran = runner({"outline": '["one", "two"]', "part[1]": "1", "part[2]": "2", "check[1]": "c1", "check[2]": "c2"})
    story = go(OUTLINE, tmp_path, runner=ran)
    added = [event.chunk_ids for event in story.events if isinstance(event, ChunksAdded)]
    assert added == [("part[1]", "part[2]"), ("check[1]", "check[2]")]
    assert prompts(ran)["part[2]"] == f"Write {marked('outline', 'two')}"
    assert prompts(ran)["check[2]"] == f"Check {marked('part[2]', '2')} for {marked('outline', 'two')}"
    assert (story.result.status, story.result.text) == ("complete", "c1\n\nc2")
    again = go(OUTLINE, tmp_path, runner=Closed(latency_s=0))
    assert again.started == []
    assert (again.result.status, again.result.text) == ("complete", "c1\n\nc2")
    assert again.only(RunEstimated).calls == 0


def test_an_empty_list_makes_a_group_without_pieces(tmp_path: Path) -> None:
    """Nothing to do is no failure."""
    story = go(OUTLINE, tmp_path, runner=runner({"outline": "[]"}))
    assert (story.result.status, story.result.text) == ("complete", "")
    assert story.started == ["outline"]


def test_an_outline_that_fails_leaves_one_gap(tmp_path: Path) -> None:
    """A group that never got its pieces shows under its own name."""
    story = go(OUTLINE, tmp_path, runner=runner(failures={"outline": [REFUSED]}))
    assert story.result.status == "failed"
    assert story.result.text == "[missing: check, skipped since outline has no answer]"


class Waiting(SimulatedRunner):
    """Answers `draft[3]` only once `revise[1]` was asked."""

    async def run(self, request: Request, *, on_progress: OnProgress) -> Reply | Failure:
        """As the simulated runner, in that order."""
        if request.chunk_id == "revise[1]":
            self.asked.set()
        if request.chunk_id == "draft[3]":
            await self.asked.wait()
        return await super().run(request, on_progress=on_progress)

    asked: asyncio.Event


def test_pairs_run_without_a_barrier(tmp_path: Path) -> None:
    """A file goes through all its steps while the first step of another is still under way."""
    revise = "{{ item.source }} {{ item.original }} {{ item.chunks.draft | raw }} {{ item.text | raw }}"
    plan = {
        "inputs": {"names": ["a", "b", "c"]},
        "chunks": [
            {"id": "draft", "for_each": {"input": "names"}, "prompt": "Draft {{ item.text }}"},
            {"id": "critique", "for_each": {"chunk": "draft"}, "prompt": "Critique {{ item.source }}: {{ item.text }}"},
            {"id": "revise", "for_each": {"chunk": "critique"}, "prompt": revise},
        ],
    }
    answers = {f"{step}[{at}]": f"{step}{at}" for step in ("draft", "critique") for at in (1, 2, 3)}
    ran = Waiting(latency_s=0, answers=answers)
    ran.asked = asyncio.Event()
    story = go(plan, tmp_path, runner=ran)
    assert story.result.status == "complete"
    assert prompts(ran)["revise[2]"] == "b b draft2 critique2"


def test_a_refused_piece_skips_its_pair_and_leaves_a_gap_in_what_follows(tmp_path: Path) -> None:
    """One refusal among many costs its own pair, and nothing else."""
    plan = {
        "inputs": {"names": ["a", "b"]},
        "chunks": [
            {"id": "draft", "for_each": {"input": "names"}, "prompt": "Draft {{ item.text }}"},
            {"id": "critique", "for_each": {"chunk": "draft"}, "prompt": "{{ item.text }}"},
            {"id": "all", "prompt": "{{ chunks.critique | raw }}"},
        ],
    }
    ran = runner({"critique[2]": "C2"}, failures={"draft[1]": [REFUSED]})
    story = go(plan, tmp_path, runner=ran)
    assert (story.ids(ChunkFailed), story.ids(ChunkSkipped)) == (["draft[1]"], ["critique[1]"])
    assert prompts(ran)["all"] == "[missing: critique[1], skipped since draft[1] has no answer]\n\nC2"
    assert story.result.status == "partial"
    strict = {**plan, "chunks": [*plan["chunks"][:2], {**plan["chunks"][2], "on_missing": "skip"}]}  # pyright: ignore
    story = go(strict, tmp_path, runner=runner(failures={"draft[1]": [REFUSED]}))
    assert story.ids(ChunkSkipped) == ["critique[1]", "all"]


LONG_IDS = [f"part[{at}]" for at in range(1, 10)] + [f"sum[{level}.{at}]" for level in (1, 2) for at in range(1, 99)]


def merging(count: int, max_tokens: int, **more: Any) -> dict[str, Any]:
    """A plan that merges so many pieces."""
    return {
        "inputs": {"names": [f"n{at}" for at in range(1, count + 1)]},
        "chunks": [
            {"id": "part", "for_each": {"input": "names"}, "prompt": "On {{ item.text }}"},
            {"id": "sum", "reduce": {"chunk": "part", "max_tokens": max_tokens} | more, "prompt": "MERGE\n{{ parts }}"},
        ],
    }


def test_parts_that_fit_are_merged_at_once(tmp_path: Path) -> None:
    """One merge under the plan's own id, with the last prompt where there is one."""
    ran = runner({"part[1]": "A", "part[2]": "B", "sum": "S"})
    story = go(merging(2, 1000, final_prompt="LAST {{ parts }}"), tmp_path, runner=ran)
    assert prompts(ran)["sum"] == f"LAST {marked('part[1]', 'A')}\n\n{marked('part[2]', 'B')}"
    assert (story.result.status, story.result.text) == ("complete", "S")


def test_a_tree_of_merges_of_several_levels(tmp_path: Path) -> None:
    """In order, every part once, no prompt above the budget; a refused piece is a gap among the parts."""
    words = "lorem ipsum dolor sit amet " * 8
    parts = {f"part[{at}]": f"PART{at} {words}" for at in range(1, 10)}
    merges = {f"sum[{level}.{at}]": f"M{level}.{at} {words}" for level in (1, 2, 3) for at in range(1, 9)}
    ran = runner({**parts, **merges, "sum": "END"}, failures={"part[5]": [REFUSED]})
    story = go(merging(9, 260, final_prompt="LAST\n{{ parts }}"), tmp_path, runner=ran)
    seen = prompts(ran)
    first = [marked(f"part[{at}]", f"PART{at} {words}") for at in (1, 2, 3)]
    assert seen["sum[1.1]"] == "MERGE\n" + "\n\n".join(first)
    assert all(count_tokens(seen[each].partition("\n")[2]) <= 260 for each in seen if each.startswith("sum"))
    levels = {chunk_id.partition("[")[2].partition(".")[0] for chunk_id in story.started if "sum[" in chunk_id}
    assert levels == {"1", "2"}
    level_one = "".join(seen[each] for each in seen if each.startswith("sum[1."))
    order = [level_one.find(f"PART{at} ") for at in (1, 2, 3, 4, 6, 7, 8, 9)]
    assert order == sorted(order)
    assert min(order) >= 0
    assert "[missing: part[5], refusal]" in level_one
    assert seen["sum"].startswith('LAST\n<answer id="sum[2.1]"')
    assert story.result.text == "END"
    assert story.result.status == "partial"
    added = [each for event in story.events if isinstance(event, ChunksAdded) for each in event.chunk_ids]
    assert sorted(added) == sorted(each for each in seen if each.startswith("sum["))


def test_merges_that_do_not_get_shorter_are_given_up(tmp_path: Path) -> None:
    """Where each merge is as long as all it merges, the run stops paying for more, and says what to do."""
    long = "lorem ipsum dolor sit amet " * 60
    story = go(merging(9, 260), tmp_path, runner=runner(dict.fromkeys(LONG_IDS, long)))
    assert len(story.started) < 100
    assert story.ids(ChunkFailed) == ["sum"]
    assert "raise max_tokens" in story.result.chunks["sum"].reason
    assert "[missing: sum, too_long]" in story.result.text


def test_a_merged_run_is_reused_and_an_edit_runs_what_it_touches(tmp_path: Path) -> None:
    """Nothing runs again; a changed item runs its piece and the merges above it alone."""
    words = "lorem ipsum dolor sit amet " * 8

    def own(request: Request) -> str:
        return f"{request.prompt[-30:]} {words}"

    plan = merging(8, 260)
    ids = [f"part[{at}]" for at in range(1, 10)] + [f"sum[{level}.{at}]" for level in (1, 2) for at in range(1, 9)]
    answers = dict.fromkeys(ids, own)
    first = go(plan, tmp_path, runner=runner(answers))
    assert first.result.status == "complete"
    again = go(plan, tmp_path, runner=Closed(latency_s=0))
    assert (again.started, again.result.text) == ([], first.result.text)
    names = [*plan["inputs"]["names"]]
    names[7] = "other"
    edited = go({**plan, "inputs": {"names": names}}, tmp_path, runner=runner(answers))
    pieces = [each for each in edited.started if each.startswith("part")]
    merges = [each for each in edited.started if each.startswith("sum[1")]
    assert (pieces, merges) == (["part[8]"], ["sum[1.3]"])
    assert "sum" in edited.started
    inserted = {**plan, "inputs": {"names": ["new", *plan["inputs"]["names"]]}}
    story = go(inserted, tmp_path, runner=runner(answers))
    assert [each for each in story.started if each.startswith("part")] == ["part[1]"]


def test_a_run_stopped_inside_a_group_goes_on_from_there(tmp_path: Path) -> None:
    """After a stop, what was answered is not asked again, pieces and merges that were not known at first included."""
    plan = {
        "chunks": [
            {"id": "outline", "prompt": "Outline."},
            {"id": "part", "for_each": {"chunk": "outline"}, "prompt": "Write {{ item.text }}"},
            {"id": "sum", "reduce": {"chunk": "part", "max_tokens": 200}, "prompt": "{{ parts }}"},
        ],
        "limits": {"max_concurrency": 1},
    }
    merges = [f"sum[{level}.{at}]" for level in (1, 2, 3) for at in range(1, 9)]
    items = str([f"topic {at}" for at in range(6)]).replace("'", '"')
    broken = Failure(error_type=FailureClass.AUTH, message="who are you?")
    stopped = go(plan, tmp_path, runner=runner({"outline": items, "sum[1.1]": broken}))
    assert stopped.result.status == "stopped"
    before = set(stopped.ids(ChunkSucceeded))
    assert {"outline", "part[6]"} <= before
    resumed = go_on(stopped.result.run_id, tmp_path, runner=runner(dict.fromkeys(merges, "Short.")))
    assert resumed.result.status == "complete"
    assert set(resumed.ids(ChunkReused)) == before
    assert not before & set(resumed.started)


def test_carried_text_stands_in_front(tmp_path: Path) -> None:
    """Each piece is told the end of the answer before, within its tokens; they run one after the other."""
    plan = {
        "chunks": [
            {
                "id": "ch",
                "for_each": ["fog", "ice", "sun"],
                "carry": {"tail_tokens": 3},
                "prompt": "Write {{ item.text }}",
            }
        ]
    }
    ran = runner({"ch[1]": "one two three four five", "ch[2]": "six"})
    story = go(plan, tmp_path, runner=ran)
    assert story.started == ["ch[1]", "ch[2]", "ch[3]"]
    seen = prompts(ran)
    assert seen["ch[1]"] == "Write fog"
    carried = marked("ch[1]", " three four five")
    text = "The end of the part before this one follows. Go on from it; do not repeat it."
    assert seen["ch[2]"] == f"{text}\n\n{carried}\n\nWrite ice"
    assert story.result.text.startswith("one two three four five\n\nsix\n\n")


def test_a_sequence_carries_from_chunk_to_chunk(tmp_path: Path) -> None:
    """Carrying is no reference: all chapters are in the result, and one that failed leaves a visible gap."""
    chapters = [{"id": f"ch{at}", "prompt": f"Chapter {at}", "carry": {"tail_tokens": 50}} for at in (1, 2, 3)]
    ran = runner({"ch1": "One.", "ch3": "Three."}, failures={"ch2": [REFUSED]})
    story = go({"mode": "sequence", "chunks": chapters}, tmp_path, runner=ran)
    assert "[missing: ch2, refusal]" in prompts(ran)["ch3"]
    assert prompts(ran)["ch2"].count(marked("ch1", "One.")) == 1
    assert story.result.text == "One.\n\n[missing: ch2, refusal]\n\nThree."


def test_pieces_run_in_order_in_a_sequence(tmp_path: Path) -> None:
    """`mode: sequence` orders pieces too, those that become known later among them."""
    plan = {"mode": "sequence", **OUTLINE, "chunks": [*OUTLINE["chunks"], {"id": "end", "prompt": "End."}]}
    story = go(plan, tmp_path, runner=runner({"outline": '["one", "two", "three"]'}))
    groups = [f"{name}[{at}]" for name in ("part", "check") for at in (1, 2, 3)]
    assert story.started == ["outline", *groups, "end"]


@pytest.mark.parametrize(("name", "again"), [("part", ["part[1]", "part[2]"]), ("part[2]", ["part[2]"])])
def test_redo_of_a_group_or_a_piece(tmp_path: Path, name: str, again: list[str]) -> None:
    """A group's name stands for all its pieces."""
    go(NAMES, tmp_path, runner=runner())
    story: Story = go(NAMES, tmp_path, runner=runner(), redo=[name])
    assert story.started == again


def test_only_one_piece(tmp_path: Path) -> None:
    """`--only part[2]` runs that piece and what it needs, and the result is its answer."""
    plan = {
        **NAMES,
        "chunks": [*NAMES["chunks"], {"id": "fix", "for_each": {"chunk": "part"}, "prompt": "{{ item.text }}"}],
    }
    story = go(plan, tmp_path, runner=runner({"fix[2]": "F"}), only=["fix[2]"])
    assert story.ids(ChunkStarted) == ["part[2]", "fix[2]"]
    assert (story.result.status, story.result.text) == ("complete", "F")


def test_a_merge_says_which_pieces_changed(tmp_path: Path) -> None:
    """An edit of one piece is named as the reason of what merges it, and of what quotes the group."""

    async def scene() -> None:
        plan: dict[str, Any] = {
            "name": "p",
            "chunks": [
                {"id": "part", "for_each": ["a", "b", "c"], "prompt": "Write {{ item.text }}"},
                {"id": "all", "reduce": {"chunk": "part", "max_tokens": 2000}, "prompt": "Merge {{ parts }}"},
                {"id": "quote", "prompt": "Quote {{ chunks.part }}"},
            ],
        }
        await play(plan, tmp_path, runner=SimulatedRunner(latency_s=0))
        edited = {**plan, "chunks": [{**plan["chunks"][0], "for_each": ["a", "B", "c"]}, *plan["chunks"][1:]]}
        story = await play(edited, tmp_path, runner=SimulatedRunner(latency_s=0))
        why = {each.chunk_id: each.why for each in open_store(tmp_path / "store.db").chunks(story.result.run_id)}
        assert why["all"] == why["quote"] == "upstream changed: part[2]"

    asyncio.run(scene())
