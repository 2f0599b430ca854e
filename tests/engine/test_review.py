"""What a plan expects of its answers and its result: sent back, put right, and told when it cannot be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator import Request, RunControl, RunnerInfo, RunnerUnavailableError, SimulatedRunner
from orchestrator.engine.recall import recall_result
from orchestrator.events import (
    ChunkFailed,
    ChunkRetryScheduled,
    ChunksAdded,
    RunEstimated,
    RunFinished,
    RunReviewed,
    RunStitched,
)
from orchestrator.store import open_store
from tests.engine.runs import Story, play, play_on

SENT_BACK = "It was sent back because of this:"


def asked(runner: SimulatedRunner) -> list[str]:
    """The chunks that were asked for, in order."""
    return [request.chunk_id for request in runner.requests]


def in_turn(*texts: str) -> Callable[[Request], str]:
    """Answers one after the other; the last one is kept up."""
    waiting = list(texts)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def run(plan: dict[str, Any], folder: Path, answers: dict[str, Any]) -> tuple[Story, SimulatedRunner]:
    runner = scripted(answers)
    return asyncio.run(play({"name": "p", **plan}, folder, runner=runner)), runner


CHECKED: dict[str, Any] = {
    "chunks": [
        {"id": "a", "prompt": "Write a.", "expect": {"contains": "END"}},
        {"id": "b", "prompt": "Write b after {{ chunks.a }}."},
    ]
}


def test_an_answer_that_is_not_what_is_expected_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    """One more call for that chunk alone; the answer that will do is stored, and a second run asks nothing."""
    story, runner = run(CHECKED, tmp_path, {"a": in_turn("Half.", "Whole. END"), "b": "B."})
    assert asked(runner) == ["a", "a", "b"]
    assert runner.requests[0].prompt == "Write a."
    again = runner.requests[1].prompt
    assert again.startswith("Write a.\n")
    assert f"{SENT_BACK}\n- it does not contain 'END'\n" in again
    assert "\nHalf.\n</answer" in again
    assert story.only(ChunkRetryScheduled).reason == "rejected"
    assert story.result.text == "B."
    assert story.result.status == "complete"
    second, runner = run(CHECKED, tmp_path, {})
    assert (second.result.status, asked(runner)) == ("complete", [])


def test_an_answer_that_never_will_do_leaves_a_gap_with_the_reason(tmp_path: Path) -> None:
    """Its attempts are used up, its siblings are there, and neither its text nor an error stands in the result."""
    plan = {"chunks": [*CHECKED["chunks"][:1], {"id": "c", "prompt": "Write c."}]}
    story, runner = run(plan, tmp_path, {"a": "Never.", "c": "C."})
    assert asked(runner).count("a") == 3
    failed = story.only(ChunkFailed)
    assert (failed.error_type, failed.message) == ("rejected", "it does not contain 'END'")
    assert story.result.text == "[missing: a, rejected]\n\nC."
    assert story.result.status == "partial"
    assert story.result.exit_code == 1


def test_an_expectation_that_is_new_judges_the_stored_answers(tmp_path: Path) -> None:
    """Those that meet it are reused; one that does not is sent back as it is, and only that is paid."""
    plain = {"chunks": [{"id": name, "prompt": f"Write {name}."} for name in ("a", "b")]}
    run(plain, tmp_path, {"a": "A. END", "b": "B."})
    strict = {"chunks": [{**each, "expect": {"contains": "END"}} for each in plain["chunks"]]}
    story, runner = run(strict, tmp_path, {"b": "B. END"})
    assert asked(runner) == ["b"]
    assert "\nB.\n</answer" in runner.requests[0].prompt
    assert story.result.text == "A. END\n\nB. END"
    assert "not what is expected" in story.result.chunks["b"].reason


WHOLE: dict[str, Any] = {
    "chunks": [{"id": "a", "prompt": "Write a."}, {"id": "b", "prompt": "Write b."}],
    "stitch": {"expect": {"contains": "THE END"}},
    "review": {"repair": "b"},
}


def test_what_the_whole_lacks_is_put_right_by_the_chunk_named_for_it(tmp_path: Path) -> None:
    """One repair, an ordinary chunk with its own events; the result has its answer; a second run asks nothing."""
    answers = {"a": "A.", "b": "B.", "b.repair1": "B. THE END"}
    story, runner = run(WHOLE, tmp_path, answers)
    assert sorted(asked(runner)) == ["a", "b", "b.repair1"]
    assert story.result.text == "A.\n\nB. THE END"
    assert story.result.status == "complete"
    assert story.only(ChunksAdded).chunk_ids == ("b.repair1",)
    told = [event for event in story.events if isinstance(event, RunReviewed)]
    assert [(each.round, each.problems, each.repairs) for each in told] == [
        (1, ("it does not contain 'THE END'",), ("b.repair1",)),
        (2, (), ()),
    ]
    assert len([event for event in story.events if isinstance(event, RunStitched)]) == 1
    second, runner = run(WHOLE, tmp_path, {})
    assert (second.result.text, second.result.status, asked(runner)) == (story.result.text, "complete", [])


def test_what_cannot_be_put_right_makes_the_result_partial_and_is_told(tmp_path: Path) -> None:
    """After the rounds the text is what it is, goes to the incomplete file, and says what remained."""
    output = tmp_path / "out.md"
    runner = SimulatedRunner(latency_s=0, answers={"a": "A.", "b": "B.", "b.repair1": "B, again."})
    story = asyncio.run(play({"name": "p", **WHOLE}, tmp_path, runner=runner, output=output))
    assert story.result.status == "partial"
    assert story.result.exit_code == 1
    assert [(each.chunk_id, each.problem) for each in story.result.remaining] == [("", "it does not contain 'THE END'")]
    assert not output.exists()
    assert (tmp_path / "out.incomplete.md").read_text() == "A.\n\nB, again."


def test_nobody_to_put_it_right(tmp_path: Path) -> None:
    """A finding about the whole, and no chunk named for it: nothing more is paid, and it is told."""
    plan = {**WHOLE, "review": None}
    del plan["review"]
    story, runner = run(plan, tmp_path, {"a": "A.", "b": "B."})
    assert sorted(asked(runner)) == ["a", "b"]
    assert story.result.status == "partial"


def verdict(*problems: tuple[str, str]) -> str:
    """What a judge answers."""
    listed = [{"part": part, "problem": problem} for part, problem in problems]
    return json.dumps({"verdict": "fail" if listed else "pass", "problems": listed})


JUDGED: dict[str, Any] = {
    "request": "A guide to pumps.",
    "chunks": [
        {"id": "part", "for_each": ["pumps", "valves"], "prompt": "Write about {{ item.text }}."},
    ],
    "review": {"rubric": "Every part names its danger.", "rounds": 2},
}


def test_a_rubric_is_judged_and_its_findings_go_back_to_the_parts_they_are_in(tmp_path: Path) -> None:
    """The judge sees rubric, request and the marked parts; its words reach the repair and no event."""
    answers = {
        "part[1]": "Pumps leak.",
        "part[2]": "Valves are round.",
        "review.1": verdict(("part[2]", "Name the danger SECRETLY.")),
        "part[2].repair1": "Valves are round and burst.",
        "review.2": verdict(),
    }
    story, runner = run(JUDGED, tmp_path, answers)
    assert asked(runner)[2:] == ["review.1", "part[2].repair1", "review.2"]
    judge = runner.requests[2]
    assert "Every part names its danger." in judge.prompt
    assert "A guide to pumps." in judge.prompt
    assert '<answer id="part[2]"' in judge.prompt
    assert judge.output_schema is not None
    assert "- Name the danger SECRETLY." in runner.requests[3].prompt
    assert "Valves are round and burst." in runner.requests[4].prompt
    assert story.result.text == "Pumps leak.\n\nValves are round and burst."
    assert story.result.status == "complete"
    assert "SECRETLY" not in "".join(map(str, story.events))
    second, runner = run(JUDGED, tmp_path, {})
    assert (second.result.text, asked(runner)) == (story.result.text, [])


def test_a_judge_that_finds_something_where_nothing_is_ends_partial(tmp_path: Path) -> None:
    """A part that is not there cannot be repaired; a judgement in the wrong form is no pass."""
    for judgement in (verdict(("chapter 9", "Too dull.")), "not json", '{"verdict": "fail", "problems": []}'):
        folder = tmp_path / str(len(judgement))
        folder.mkdir()
        story, runner = run(JUDGED, folder, {"review.1": judgement})
        assert [name for name in asked(runner) if "repair" in name] == []
        assert story.result.status == "partial"
        assert len(story.result.remaining) == 1


def test_coverage_and_consistency_send_back_the_part_that_is_nearest(tmp_path: Path) -> None:
    """A point of the outline that no section answers, and a name that one part spells alone."""
    plan: dict[str, Any] = {
        "chunks": [
            {"id": "outline", "prompt": "Outline it."},
            {"id": "a", "prompt": "a {{ chunks.outline }}"},
            {"id": "b", "prompt": "b {{ chunks.outline }}"},
        ],
        "review": {"coverage": "outline", "consistency": ["names"]},
    }
    answers = {
        "outline": "1. Closing valves\n2. Calling the night shift\n",
        "a": "You close the valves, says Kowalski. So it is, says Kowalski.",
        "b": "You sleep at night, says Kowalsky.",
        "b.repair1": "You call the shift at night, says Kowalski.",
    }
    story, runner = run(plan, tmp_path, answers)
    assert asked(runner)[-1] == "b.repair1"
    prompt = runner.requests[-1].prompt
    assert "no section answers this point of the outline: Calling the night shift" in prompt
    assert "it says 'Kowalsky', the other parts say 'Kowalski'" in prompt
    assert story.result.status == "complete"


def test_the_rounds_of_a_review_share_the_time_limit(tmp_path: Path) -> None:
    """It does not begin anew with each: what a round takes alone is allowed, what all take together is not."""
    plan: dict[str, Any] = {
        "name": "p",
        "chunks": [{"id": "a", "prompt": "Write a."}],
        "stitch": {"expect": {"contains": "END"}},
        "review": {"repair": "a", "rounds": 3},
        "limits": {"max_wall_s": 1.8},
    }
    runner = SimulatedRunner(latency_s=1.0, answers=dict.fromkeys(["a", *(f"a.repair{at}" for at in (1, 2, 3))], "No."))
    story = asyncio.run(play(plan, tmp_path, runner=runner))
    assert (story.result.status, story.result.exit_code) == ("stopped", 4)
    assert "the time limit of 1.8 s is reached" in story.only(RunFinished).reason
    assert len(asked(runner)) <= 2


def test_a_result_with_gaps_is_not_reviewed(tmp_path: Path) -> None:
    """It is partial whatever a judge would say: nothing is paid for judging it."""
    plan = {**JUDGED, "chunks": [{**JUDGED["chunks"][0], "expect": {"contains": "END"}}]}
    story, runner = run(plan, tmp_path, {"part[1]": "END", "part[2]": "never"})
    assert "review.1" not in asked(runner)
    assert story.result.status == "partial"


def test_a_part_of_a_plan_is_not_reviewed(tmp_path: Path) -> None:
    """What is expected of the whole cannot be asked of what `only` selects."""
    runner = SimulatedRunner(latency_s=0, answers={"a": "A."})
    story = asyncio.run(play({"name": "p", **WHOLE}, tmp_path, runner=runner, only=["a"]))
    assert (story.result.status, asked(runner)) == ("complete", ["a"])


def test_a_run_that_is_stopped_in_its_review_goes_on_there(tmp_path: Path) -> None:
    """A cost limit that the chunks use up stops the run before the repair; resumed, it makes the repair alone."""
    answers = {"a": "A.", "b": "B.", "b.repair1": "THE END"}
    paid = asyncio.run(play({"name": "p", "chunks": WHOLE["chunks"]}, tmp_path, runner=scripted(answers)))
    limit = paid.result.cost_usd
    first = scripted(answers)
    stopped = asyncio.run(play({"name": "p", **WHOLE}, tmp_path, runner=first, max_cost_usd=limit, fresh=True))
    assert (stopped.result.status, stopped.result.exit_code) == ("stopped", 4)
    assert sorted(asked(first)) == ["a", "b"]
    second = scripted(answers)
    story = asyncio.run(play_on("last", tmp_path, runner=second, max_cost_usd=10 * limit))
    assert asked(second) == ["b.repair1"]
    assert (story.result.text, story.result.status) == ("A.\n\nTHE END", "complete")


def scripted(answers: dict[str, Any]) -> SimulatedRunner:
    return SimulatedRunner(latency_s=0, answers=answers)


def test_invented_answers_are_what_is_expected(tmp_path: Path) -> None:
    """A plan with expectations can be shown offline; what a regular expression asks for cannot be made up."""
    plan: dict[str, Any] = {
        "chunks": [
            {"id": "a", "prompt": "A.", "expect": {"contains": ["Überblick", "END"], "headings": ["One", "## Two"]}},
            {"id": "b", "prompt": "B.", "expect": {"min_words": 500, "no_refusal": True}},
            {"id": "c", "prompt": "C.", "expect": {"max_words": 12, "min_words": 10, "contains": "four words of it"}},
            {
                "id": "d",
                "for_each": ["# Pumps\n\n`run` [x](y) 3 times."],
                "prompt": "{{ item.text }}",
                "expect": {"same_as_source": ["headings", "code", "links", "numbers"]},
            },
        ]
    }
    story, runner = run(plan, tmp_path, {})
    assert story.result.status == "complete", story.result.chunks
    assert sorted(asked(runner)) == ["a", "b", "c", "d[1]"]


LED: dict[str, Any] = {
    "chunks": [{"id": name, "prompt": f"Write {name}."} for name in ("a", "b", "c")],
    "stitch": {"transitions": True},
}


def test_transitions_lead_from_one_answer_to_the_next(tmp_path: Path) -> None:
    """One call between any two sees the end of one and the start of the other; NONE puts nothing there."""
    answers = {"a": "A.", "b": "B.", "c": "C.", "transition.1": "After that,", "transition.2": "None."}
    story, runner = run(LED, tmp_path, answers)
    assert asked(runner)[3:] == ["transition.1", "transition.2"]
    assert '<answer id="a"' in runner.requests[3].prompt
    assert '<answer id="b"' in runner.requests[3].prompt
    assert story.result.text == "A.\n\nAfter that,\n\nB.\n\nC."
    assert story.result.status == "complete"
    second, runner = run(LED, tmp_path, {})
    assert (second.result.text, asked(runner)) == (story.result.text, [])
    stored = open_store(tmp_path / "store.db")
    recalled = recall_result(stored, "last")
    assert recalled is not None
    assert recalled.text == story.result.text


def test_transitions_come_after_repairs_and_not_for_a_result_that_is_wanting(tmp_path: Path) -> None:
    """They lead between texts that stand; where something remains to be put right nothing more is paid."""
    plan = {**LED, "stitch": {"transitions": True, "expect": {"contains": "END"}}, "review": {"repair": "c"}}
    answers = {"a": "A.", "b": "B.", "c": "C.", "c.repair1": "C END", "transition.1": "x", "transition.2": "y"}
    story, runner = run(plan, tmp_path, answers)
    assert asked(runner)[3:] == ["c.repair1", "transition.1", "transition.2"]
    assert "\nC END\n" in runner.requests[-1].prompt
    assert story.result.text == "A.\n\nx\n\nB.\n\ny\n\nC END"
    wanting = tmp_path / "wanting"
    wanting.mkdir()
    story, runner = run(plan, wanting, {**answers, "c.repair1": "C again"})
    assert asked(runner)[3:] == ["c.repair1"]
    assert story.result.status == "partial"


def test_five_rounds_that_never_please_end_by_themselves(tmp_path: Path) -> None:
    """Judge and repair take turns as often as the plan allows, and the pipeline holds that many steps."""
    plan = {**JUDGED, "review": {"rubric": "Perfect.", "rounds": 5}}
    answers = {f"review.{at}": verdict(("part[1]", f"Fault {at}.")) for at in range(1, 7)}
    story, runner = run(plan, tmp_path, answers)
    assert [name for name in asked(runner) if "review" in name] == [f"review.{at}" for at in range(1, 7)]
    assert [name for name in asked(runner) if "repair" in name] == [f"part[1].repair{at}" for at in range(1, 6)]
    assert story.result.status == "partial"


class Opened(SimulatedRunner):
    """Counts how often it was made ready, and can be one that cannot be."""

    def __init__(self, *, works: bool) -> None:
        super().__init__(latency_s=0, answers={"review.1": verdict()})
        self.works = works
        self.opened = 0

    async def open(self) -> RunnerInfo:
        self.opened += 1
        if not self.works:
            raise RunnerUnavailableError("no CLI", remedy="install it")
        return await super().open()


def test_a_review_opens_a_runner_that_had_nothing_to_ask_before(tmp_path: Path) -> None:
    """With all chunks answered the runner is made ready only when the judge is called."""
    unjudged = {key: value for key, value in JUDGED.items() if key != "review"}
    asyncio.run(play({"name": "p", **unjudged}, tmp_path, runner=scripted({})))
    runner = Opened(works=True)
    story = asyncio.run(play({"name": "p", **JUDGED}, tmp_path, runner=runner))
    assert (story.result.status, asked(runner), runner.opened) == ("complete", ["review.1"], 1)


def test_a_result_that_could_not_be_reviewed_is_not_complete(tmp_path: Path) -> None:
    """A runner that cannot be had for the judge stops the run: exit 3, and nothing under the name of a whole result."""
    unjudged = {key: value for key, value in JUDGED.items() if key != "review"}
    asyncio.run(play({"name": "p", **unjudged}, tmp_path, runner=scripted({})))
    output = tmp_path / "out.md"
    story = asyncio.run(play({"name": "p", **JUDGED}, tmp_path, runner=Opened(works=False), output=output))
    assert (story.result.status, story.result.exit_code) == ("stopped", 3)
    assert not output.exists()
    assert (tmp_path / "out.incomplete.md").exists()


def test_what_the_figures_do_not_count_is_said_before_the_first_call(tmp_path: Path) -> None:
    """Judges, repairs and transitions come on top, and a plan without them is not warned."""
    plan = {**JUDGED, "stitch": {"transitions": True}}
    story, _ = run(plan, tmp_path, {"review.1": verdict()})
    told = " ".join(story.only(RunEstimated).warnings)
    assert all(word in told for word in ("judges", "sends back", "transitions"))
    plain, _ = run(CHECKED, tmp_path, {"a": "END"})
    assert plain.only(RunEstimated).warnings == ()


def test_nothing_is_judged_after_a_stop_was_asked_for(tmp_path: Path) -> None:
    """Ctrl-C while the last chunk runs: it finishes, no judge is paid, and the result is not called complete."""
    control = RunControl()

    def last(_: Request) -> str:
        control.request_stop()
        return "Valves."

    output = tmp_path / "out.md"
    runner = scripted({"part[1]": "Pumps.", "part[2]": last, "review.1": verdict()})
    plan = {"name": "p", **JUDGED, "limits": {"max_concurrency": 1}}
    story = asyncio.run(play(plan, tmp_path, runner=runner, control=control, output=output))
    assert asked(runner) == ["part[1]", "part[2]"]
    assert (story.result.status, story.result.exit_code) == ("stopped", 130)
    assert not output.exists()
    after = scripted({"review.1": verdict()})
    total = asyncio.run(play_on("last", tmp_path, runner=after)).result
    assert (total.status, asked(after), output.exists()) == ("complete", ["review.1"], True)
