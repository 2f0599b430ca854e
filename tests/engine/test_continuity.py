"""Running summaries in a run: what each prompt shows, what a failure costs, and how much a prompt can grow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.groups import stored_members
from orchestrator.events import ChunkReused, ChunkSkipped
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.values import Answer
from orchestrator.runners.base import Failure, FailureClass
from orchestrator.runners.simulated import SimulatedRunner
from tests.engine.runs import Story, play, play_on

REFUSED = Failure(error_type=FailureClass.REFUSAL, message="no")
SUMMARY = {"summary": True}


def go(plan: Any, folder: Path, **options: Any) -> Story:
    """A run from its beginning to its end."""
    return asyncio.run(play(plan, folder, **options))


def runner(answers: dict[str, Any] | None = None, **more: Any) -> SimulatedRunner:
    """A runner without latency that answers with the given texts."""
    return SimulatedRunner(latency_s=0, answers=answers or {}, **more)


def prompts(ran: SimulatedRunner) -> dict[str, str]:
    """The last prompt of each chunk."""
    return {request.chunk_id: request.prompt for request in ran.requests}


def story(*carrying: int, chapters: int = 5, carry: dict[str, Any] = SUMMARY) -> dict[str, Any]:
    """Chapters in order, of which some carry; all but the first unless others are named."""
    who = carrying or tuple(range(2, chapters + 1))
    chunks = [
        {"id": f"ch{at}", "prompt": f"Chapter {at}", **({"carry": carry} if at in who else {})}
        for at in range(1, chapters + 1)
    ]
    return {"mode": "sequence", "chunks": chunks}


KEPT = {f"ch{at}.summary": f"Kept after {at}." for at in range(1, 6)}


def test_a_keeper_gets_the_summary_so_far_and_the_new_answer(tmp_path: Path) -> None:
    """Both between marks, as data; what it writes stands in front of the next prompt, before the end of the last."""
    ran = runner({"ch1": "One.", "ch2": "Two.", **KEPT})
    played = go(story(carry={"summary": True, "tail_tokens": 50}, chapters=3), tmp_path, runner=ran)
    seen = prompts(ran)
    assert seen["ch1"] == "Chapter 1"
    assert str(Answer("ch1.summary", "Kept after 1.")) in seen["ch2.summary"]
    assert str(Answer("ch2", "Two.")) in seen["ch2.summary"]
    assert "One." not in seen["ch2.summary"]
    summary, tail = str(Answer("ch2.summary", "Kept after 2.")), str(Answer("ch2", "Two."))
    assert seen["ch3"].index(summary) < seen["ch3"].index(tail) < seen["ch3"].index("Chapter 3")
    assert seen["ch3"].endswith(f"{tail}\n\nChapter 3")
    assert "ch3.summary" not in seen
    assert played.result.text.startswith("One.\n\nTwo.\n\n")
    assert "Kept" not in played.result.text


@pytest.mark.parametrize("kind", ["summary", "glossary"])
def test_prompts_are_bounded_whatever_is_answered(tmp_path: Path, kind: str) -> None:
    """What a keeper writes too much is cut, between lines in a glossary; no prompt grows from chapter to chapter."""
    line = "the ferry: it goes out at six and comes in at nine\n"
    answers = {f"ch{at}.{kind}": f"after {at}\n" + line * 400 for at in range(1, 12)}
    answers |= {f"ch{at}": "word " * 200 for at in range(1, 12)}
    ran = runner(answers)
    go(story(chapters=12, carry={kind: True, "max_tokens": 100}), tmp_path, runner=ran)
    sizes = {name: count_tokens(prompt) for name, prompt in prompts(ran).items()}
    assert all(100 < sizes[f"ch{at}"] < 100 + 130 for at in range(2, 13))
    assert max(sizes[f"ch{at}.{kind}"] for at in range(2, 12)) < 100 + 200 + 450
    told = prompts(ran)["ch12"].partition(f'<answer id="ch11.{kind}"')[2].partition("</answer")[0]
    assert count_tokens(told.partition("\n")[2]) <= 101
    assert told.endswith("comes in at nine\n") == (kind == "glossary")


def test_an_answer_that_fails_is_passed_over(tmp_path: Path) -> None:
    """Its keeper makes no call and says why; what was kept before is told on, with a visible gap, and kept on."""
    ran = runner(KEPT, failures={"ch3": [REFUSED]})
    played = go(story(), tmp_path, runner=ran)
    assert played.only(ChunkSkipped).because == "ch3"
    assert "ch3.summary" not in played.started
    seen = prompts(ran)
    for name in ("ch4", "ch4.summary"):
        assert "Kept after 2." in seen[name]
        assert "[missing: ch3, refusal]" in seen[name]
    assert "Kept after 4." in seen["ch5"]
    assert "missing" not in seen["ch5"].partition("<answer")[2]
    assert played.result.exit_code == 1


def test_a_keeper_that_fails_is_passed_over(tmp_path: Path) -> None:
    """The last summary there is stands in; which answer it lacks is named, and the sequence goes on."""
    ran = runner(KEPT, failures={"ch2.summary": [REFUSED], "ch3.summary": [REFUSED]})
    played = go(story(), tmp_path, runner=ran)
    seen = prompts(ran)
    assert "Kept after 1." in seen["ch4"]
    assert "[missing: ch2.summary, refusal]\n[missing: ch3.summary, refusal]" in seen["ch4"]
    assert "Kept after 4." in seen["ch5"]
    assert (played.result.status, "missing" in played.result.text) == ("partial", False)


def test_many_failures_do_not_fill_a_prompt(tmp_path: Path) -> None:
    """Only the last few gaps are named."""
    failures = {f"ch{at}": [REFUSED] for at in range(1, 12)}
    ran = runner(failures=failures)
    go({**story(chapters=12), "limits": {"max_same_failure": 50}}, tmp_path, runner=ran)
    gaps = [line for line in prompts(ran)["ch12"].splitlines() if line.startswith("[missing: ")]
    assert gaps == [f"[missing: ch{at}, refusal]" for at in (9, 10, 11)]


def test_a_fast_failure_does_not_outrun_the_summary_before(tmp_path: Path) -> None:
    """A chapter that is told nothing may fail while a summary is still being kept: the next one waits for that."""
    ran = SimulatedRunner(latency_s=0.2, answers=KEPT, failures={"ch2": [REFUSED]})
    go(story(3, chapters=3), tmp_path, runner=ran)
    assert "Kept after 1." in prompts(ran)["ch3"]
    assert "[missing: ch2, refusal]" in prompts(ran)["ch3"]


GROUP: dict[str, Any] = {
    "mode": "sequence",
    "chunks": [
        {"id": "outline", "prompt": "Outline"},
        {"id": "part", "for_each": {"chunk": "outline"}, "prompt": "On {{ item.text }}", "carry": {"glossary": True}},
        {"id": "edit", "for_each": {"chunk": "part"}, "prompt": "Edit {{ item.text }}"},
        {"id": "all", "prompt": "All", "carry": {"glossary": True}},
        {"id": "sum", "reduce": {"chunk": "part", "max_tokens": 900}, "prompt": "Merge {{ parts }}"},
    ],
}
TERMS = {f"{group}[{at}].glossary": f"Terms of {group} {at}" for group in ("part", "edit") for at in (1, 2, 3)}
OUTLINE = '["fog", "ice", "sun"]'


def test_pieces_that_become_known_are_kept_too(tmp_path: Path) -> None:
    """Each is told what was kept of all before it, in its own group and before; keepers are no pieces of it."""
    ran = runner({"outline": OUTLINE, "outline.glossary": "Terms of outline", **TERMS})
    played = go(GROUP, tmp_path, runner=ran)
    seen = prompts(ran)
    assert "Terms of outline" in seen["part[1]"]
    assert "Terms of part 1" in seen["part[2]"]
    assert "Terms of part 2" in seen["part[3].glossary"]
    assert "Terms of part 3" in seen["edit[1].glossary"]
    assert "Terms of edit 3" in seen["all"]
    assert "Terms of part" not in seen["all"]
    assert "Terms of" not in seen["sum"] + seen["edit[2]"]
    assert [each for each in seen if each.startswith("all.")] == []
    assert played.result.status == "complete"
    assert "Terms" not in played.result.text
    assert stored_members("part", list(played.result.chunks)) == ("part[1]", "part[2]", "part[3]")
    again = go(GROUP, tmp_path, runner=runner())
    assert again.started == []
    assert len(again.ids(ChunkReused)) == len(played.result.chunks)


def test_pieces_that_never_become_known_are_passed_over(tmp_path: Path) -> None:
    """Without an outline there are no pieces; who comes after is told what was kept before, and that it is missing."""
    plan = {
        "mode": "sequence",
        "chunks": [
            {"id": "intro", "prompt": "Intro"},
            *GROUP["chunks"][:2],
            {"id": "end", "prompt": "End", "carry": {"glossary": True}},
        ],
    }
    ran = runner({"intro.glossary": "Terms of intro"}, failures={"outline": [REFUSED]})
    go(plan, tmp_path, runner=ran)
    assert "Terms of intro" in prompts(ran)["end"]
    assert "[missing: outline, refusal]" in prompts(ran)["end"]


def test_a_sample_of_pieces_that_become_known_takes_the_first(tmp_path: Path) -> None:
    """Pieces that go on from one another run from the start, and the last of a sample is kept for nobody."""
    ran = runner({"outline": OUTLINE, **TERMS})
    played = go(GROUP, tmp_path, runner=ran, sample=2)
    assert [each for each in played.started if each.startswith("part")] == ["part[1]", "part[1].glossary", "part[2]"]


def test_an_edit_asks_again_from_there_on(tmp_path: Path) -> None:
    """What was kept before the edited chapter stays; a run that goes on asks for nothing twice."""
    go(story(), tmp_path, runner=runner())
    plan = story()
    plan["chunks"][2]["prompt"] = "Chapter 3, in fog"
    edited = go(plan, tmp_path, runner=runner({"ch3": "Fog."}))
    assert edited.started == ["ch3", "ch3.summary", "ch4", "ch4.summary", "ch5"]
    assert edited.ids(ChunkReused) == ["ch1", "ch1.summary", "ch2", "ch2.summary"]


def test_a_stopped_run_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    """Pieces known only at run time and their keepers are found again."""
    broken = Failure(error_type=FailureClass.AUTH, message="who are you?")
    stopped = go(GROUP, tmp_path, runner=runner({"outline": OUTLINE, **TERMS}, failures={"part[3]": [broken]}))
    assert stopped.result.status == "stopped"
    resumed = asyncio.run(play_on(stopped.result.run_id, tmp_path, runner=runner(TERMS)))
    assert resumed.result.status == "complete"
    assert resumed.started[:2] == ["part[3]", "part[3].glossary"]
