"""What a run refuses, what it charges, and what it never overwrites."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import (
    Failure,
    FailureClass,
    OutputWriteError,
    PlanChangedError,
    Request,
    SimulatedRunner,
    Usage,
    UsageError,
    resume_run,
    run_plan,
)
from orchestrator.api import recall_result
from orchestrator.events import ChunkStarted, ChunkSucceeded, Event
from orchestrator.store import open_store
from tests.engine.runs import play, play_on

PLAN: dict[str, Any] = {
    "name": "p",
    "chunks": [{"id": each, "prompt": f"Write {each}"} for each in ("zeta", "mid", "alpha")],
}


def quick(**answers: Any) -> SimulatedRunner:
    """Answers at once."""
    return SimulatedRunner(latency_s=0, answers={"zeta": "Z", "mid": "M", "alpha": "A"} | answers)


def test_chunks_stand_in_plan_order_everywhere(tmp_path: Path) -> None:
    """In the result and in the store, whatever their names."""
    result = run_plan(PLAN, runner=quick(), store=tmp_path / "s.db")
    assert list(result.chunks) == ["zeta", "mid", "alpha"]
    assert [chunk.chunk_id for chunk in open_store(tmp_path / "s.db").chunks(result.run_id)] == list(result.chunks)


def test_half_a_character_in_an_answer_is_replaced_not_lost(tmp_path: Path) -> None:
    """It could neither be stored nor written."""
    result = run_plan(PLAN, runner=quick(mid="half \ud800 done"), store=tmp_path / "s.db", output=tmp_path / "o.md")
    assert result.status == "complete"
    assert (tmp_path / "o.md").read_text() == result.text == "Z\n\nhalf \ufffd done\n\nA"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_cost_usd": 0}, "max_cost_usd must be a number above 0"),
        ({"max_cost_usd": float("nan")}, "above 0"),
        ({"max_wall_s": -1}, "max_wall_s must be a number above 0"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number above 0"),
        ({"max_concurrency": 0}, "from 1 to 256"),
        ({"max_concurrency": -3}, "from 1 to 256"),
        ({"max_concurrency": "x"}, "from 1 to 256"),
        ({"max_concurency": 3}, "did you mean max_concurrency"),
        ({"redo": ["zet"]}, "no chunk 'zet'"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    """One clear error, and no store is made."""
    with pytest.raises(UsageError, match=says):
        run_plan(PLAN, runner=quick(), store=tmp_path / "s.db", **options)
    assert list(tmp_path.iterdir()) == []


class Dear(SimulatedRunner):
    """Every answer costs $0.60, whatever its length."""

    async def run(self, request: Request, *, on_progress: Any) -> Any:
        return replace(await super().run(request, on_progress=on_progress), cost_usd=0.6)


PARTS: dict[str, Any] = {
    "name": "parts",
    "inputs": {"names": {"items": [f"name {at}" for at in range(20)]}},
    "chunks": [{"id": "part", "for_each": {"input": "names"}, "prompt": "About {{ item.text }}"}],
}


def test_answers_dearer_than_foreseen_stop_at_the_limit(tmp_path: Path) -> None:
    """With four at once and a limit of $1, answers of $0.60 end the run after the second; a resumed run goes on so."""
    story = asyncio.run(play(PARTS, tmp_path, runner=Dear(latency_s=0.01), max_concurrency=4, max_cost_usd=1.0))
    assert (story.result.exit_code, story.result.cost_usd) == (4, 1.2)
    assert story.result.reason == "the cost limit of $1.00 is reached; raise it with --max-cost"
    on = asyncio.run(play_on("last", tmp_path, runner=Dear(latency_s=0.01), max_cost_usd=2.9))
    assert (on.result.exit_code, on.result.cost_usd) == (4, 3.0)


class Wordy(SimulatedRunner):
    """Every answer takes 900 tokens to send and 100 to write, whatever its length."""

    async def run(self, request: Request, *, on_progress: Any) -> Any:
        usage = Usage(input_tokens=200, cache_read_tokens=600, cache_write_tokens=100, output_tokens=100)
        return replace(await super().run(request, on_progress=on_progress), usage=usage)


def test_tokens_are_a_budget_too(tmp_path: Path) -> None:
    """With a limit of 5,000 tokens and 1,000 for each call the fifth is the last; a resumed run goes on to its own."""
    runner = Wordy(latency_s=0.01)
    story = asyncio.run(play(PARTS | {"limits": {"max_tokens": 5000}}, tmp_path, runner=runner, max_concurrency=4))
    assert (story.result.exit_code, len(story.ids(ChunkSucceeded))) == (4, 5)
    assert story.result.reason == "the limit of 5,000 tokens is reached; raise it with --max-tokens"
    on = asyncio.run(play_on("last", tmp_path, runner=runner, max_tokens=12_000))
    assert (on.result.exit_code, len(on.ids(ChunkSucceeded))) == (4, 7)
    assert asyncio.run(play_on("last", tmp_path, runner=runner, max_tokens=99_000)).result.status == "complete"


def test_a_time_limit_of_the_call_stops_the_run_and_another_lets_it_go_on(tmp_path: Path) -> None:
    """`max_wall_s` overrides the plan; each process has it anew."""
    runner = SimulatedRunner(latency_s=0.2)
    plan = PLAN | {"limits": {"max_wall_s": 60.0, "max_concurrency": 1}}
    story = asyncio.run(play(plan, tmp_path, runner=runner, max_wall_s=0.1))
    assert (story.result.exit_code, story.ids(ChunkSucceeded)) == (4, ["zeta"])
    assert story.result.reason == "the time limit of 0.1 s is reached; go on, or allow more with --max-wall"
    again = asyncio.run(play_on("last", tmp_path, runner=runner))
    assert (again.result.exit_code, again.ids(ChunkSucceeded)) == (4, ["mid"])
    assert asyncio.run(play_on("last", tmp_path, runner=runner, max_wall_s=60.0)).result.status == "complete"


def _die_in_the_middle(folder: Path) -> None:
    run_plan(PLAN, runner=SimulatedRunner(latency_s=60), store=folder / "s.db", max_concurrency=2)


def test_a_killed_attempt_is_charged_what_was_reserved_for_it(tmp_path: Path) -> None:
    """A crash does not forget the money in flight, and attempts go on counting."""
    process = multiprocessing.get_context("spawn").Process(target=_die_in_the_middle, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not _running(tmp_path / "s.db"):
        time.sleep(0.02)
    process.kill()
    process.join()
    assert _running(tmp_path / "s.db") == 2
    events: list[Event] = []
    result = resume_run(store=tmp_path / "s.db", runner=quick(), on_event=events.append)
    assert result.status == "complete"
    alone = run_plan(PLAN, runner=quick(), store=tmp_path / "other.db").cost_usd
    assert result.cost_usd > alone
    assert sorted(event.attempt for event in events if isinstance(event, ChunkStarted)) == [1, 2, 2]
    lost = open_store(tmp_path / "s.db").attempts(result.run_id)
    assert [attempt.message for attempt in lost] == ["the process that ran it died"] * 2


def _running(path: Path) -> int:
    if not path.exists() or not path.stat().st_size:
        return 0
    store = open_store(path)
    run_id = store.latest_run_id()
    return sum(chunk.status == "running" for chunk in store.chunks(run_id)) if run_id else 0


def test_a_pause_for_a_usage_limit_is_no_wall_time(tmp_path: Path) -> None:
    """The run goes on after a pause that is longer than its time limit."""
    limit = Failure(error_type=FailureClass.USAGE_LIMIT, message="limit reached", resets_at=time.time() + 2.0)
    plan = PLAN | {"limits": {"max_wall_s": 1.0}}
    result = run_plan(plan, runner=SimulatedRunner(latency_s=0, failures={"zeta": [limit]}), store=tmp_path / "s.db")
    assert result.status == "complete"


def test_the_time_limit_stops_the_run(tmp_path: Path) -> None:
    """Nothing new starts; what is under way finishes; exit 4."""
    plan = PLAN | {"limits": {"max_wall_s": 0.2, "max_concurrency": 1}}
    result = run_plan(plan, runner=SimulatedRunner(latency_s=0.4), store=tmp_path / "s.db")
    assert (result.exit_code, result.chunks["zeta"].status) == (4, "succeeded")
    assert result.reason.startswith("the time limit of 0.2 s is reached")


def test_a_part_of_a_plan_leaves_the_whole_result_alone(tmp_path: Path) -> None:
    """What `only` and `until` leave of a plan is written beside its result, unless the call names the file."""
    plan = tmp_path / "p.yaml"
    plan.write_text("chunks:\n  - {id: zeta, prompt: z}\n  - {id: mid, prompt: m}\nstitch: {output: whole.md}\n")
    options: Any = {"runner": quick(), "store": tmp_path / "s.db"}
    for _ in range(2):
        result = run_plan(plan, only=["mid"], **options)
        assert result.output == tmp_path / "whole.selected.md"
        assert not (tmp_path / "whole.md").exists()
    for every in ({}, {"until": ["zeta", "mid"]}):
        result = run_plan(plan, **options, **every)
        assert result.output == tmp_path / "whole.md"
    assert (tmp_path / "whole.md").read_text() == "Z\n\nM"
    run_plan(plan, only=["mid"], output=tmp_path / "whole.md", **options)
    assert (tmp_path / "whole.md").read_text() == "M"


def test_what_was_not_reviewed_as_the_plan_asks_is_no_whole(tmp_path: Path) -> None:
    """All chunks of a plan, chosen by `until`, without what the plan expects of its result."""
    plan = tmp_path / "p.yaml"
    plan.write_text("chunks:\n  - {id: zeta, prompt: z}\nstitch: {output: whole.md, expect: {max_words: 90}}\n")
    result = run_plan(plan, runner=quick(), store=tmp_path / "s.db", until=["zeta"])
    assert result.output == tmp_path / "whole.selected.md"


def test_a_result_that_was_edited_while_the_run_went_on_is_not_overwritten(tmp_path: Path) -> None:
    """The answers are stored, and a resume writes them elsewhere."""
    output = tmp_path / "o.md"

    class Editing(SimulatedRunner):
        async def run(self, request: Request, *, on_progress: Any) -> Any:
            output.write_text("my own notes")
            return await super().run(request, on_progress=on_progress)

    with pytest.raises(OutputWriteError, match="changed while the run went on"):
        run_plan(PLAN, runner=Editing(latency_s=0), store=tmp_path / "s.db", output=output)
    assert output.read_text() == "my own notes"
    again = resume_run(store=tmp_path / "s.db", runner=quick(), output=tmp_path / "other.md")
    assert again.status == "complete"
    assert (tmp_path / "other.md").read_text() == again.text


def test_a_result_with_gaps_goes_when_the_whole_is_there(tmp_path: Path) -> None:
    """It is out of date then."""
    refusal = Failure(error_type=FailureClass.REFUSAL, message="no")
    options: Any = {"store": tmp_path / "s.db", "output": tmp_path / "o.md"}
    run_plan(PLAN, runner=quick(mid=lambda _: refusal), **options)
    assert (tmp_path / "o.incomplete.md").exists()
    run_plan(PLAN, runner=quick(), **options)
    assert sorted(path.name for path in tmp_path.glob("o*")) == ["o.md", "o.md.map.json"]


def test_the_plan_and_its_inputs_are_never_overwritten(tmp_path: Path) -> None:
    """Not even with force."""
    plan, notes = tmp_path / "p.yaml", tmp_path / "notes.md"
    notes.write_text("n")
    plan.write_text("inputs: {n: notes.md}\nchunks:\n  - {id: zeta, prompt: '{{ inputs.n }}'}\n")
    for path in (plan, notes):
        with pytest.raises(UsageError, match="what the run is made of"):
            run_plan(plan, runner=quick(), store=tmp_path / "s.db", output=path, force=True)
    assert notes.read_text() == "n"


def test_one_file_under_two_names_is_one_file(tmp_path: Path) -> None:
    """A link is followed; `sub/..` is nothing."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.md").symlink_to(tmp_path / "o.md")
    options: Any = {"runner": quick(), "store": tmp_path / "s.db"}
    for name in ("o.md", "sub/../o.md", "link.md"):
        assert run_plan(PLAN, output=tmp_path / name, **options).output == tmp_path / "o.md"
    assert (tmp_path / "link.md").is_symlink()


def test_a_stored_result_is_shown_though_the_plan_changed(tmp_path: Path) -> None:
    """Everything that it needs is in the store; only a resume needs the plan as it was."""
    plan = tmp_path / "p.yaml"
    plan.write_text("chunks:\n  - {id: zeta, prompt: z}\n  - {id: mid, prompt: m}\n")
    result = run_plan(plan, runner=quick(), store=tmp_path / "s.db")
    plan.unlink()
    assert recall_result(result.run_id, store=tmp_path / "s.db") == "Z\n\nM"
    with pytest.raises(PlanChangedError, match="it is gone"):
        resume_run(result.run_id, runner=quick(), store=tmp_path / "s.db")


def test_what_is_said_on_resume_about_no_file_holds_for_that_process_alone(tmp_path: Path) -> None:
    """A later resume writes the file of the run again."""

    async def scene() -> None:
        story = await play(PLAN, tmp_path, runner=quick(), output=tmp_path / "o.md")
        (tmp_path / "o.md").unlink()
        silent = await play_on(story.result.run_id, tmp_path, output="-")
        assert silent.result.output is None
        assert silent.ids(ChunkSucceeded) == []
        assert (await play_on(story.result.run_id, tmp_path)).result.output == tmp_path / "o.md"

    asyncio.run(scene())
