"""What comes before the first call can be watched and stopped, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.api import arun_plan, run_plan
from orchestrator.engine.control import RunControl
from orchestrator.errors import LoadingStoppedError
from orchestrator.events import ChunkCancelled, Event, RunEstimated, RunFinished, RunStarted
from orchestrator.plan.loading import Loading, OnLoading
from orchestrator.runners.simulated import SimulatedRunner
from tests.engine.runs import Story, check_promises, play
from tests.plan.split.documents import article

BOOK = article(seed=1, sections=2_000)


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """A plan over a book of some hundred kilobytes."""
    (tmp_path / "book.md").write_text(BOOK)
    split = {"input": "book", "split": "markdown", "max_tokens": 20_000}
    return {"inputs": {"book": "book.md"}, "chunks": [{"id": "part", "for_each": split, "prompt": "{{ item.text }}"}]}


def options(folder: Path, **more: Any) -> Any:
    return {"store": folder / "store.db", "base_dir": folder, "runner": SimulatedRunner(latency_s=0)} | more


def run(plan: dict[str, Any], folder: Path, on_loading: OnLoading) -> Story:
    return asyncio.run(play(plan, folder, runner=SimulatedRunner(latency_s=0), on_loading=on_loading))


def test_a_stop_while_it_splits(plan: dict[str, Any], tmp_path: Path) -> None:
    """The call raises, no event is told, and no store is made."""
    control, events = RunControl(), list[Event]()
    control.request_stop()
    with pytest.raises(LoadingStoppedError) as caught:
        run_plan(plan, **options(tmp_path, control=control, on_event=events.append))
    assert caught.value.exit_code == 130
    assert events == []
    assert [path.name for path in tmp_path.iterdir()] == ["book.md"]


def test_cancelling_ends_the_work(plan: dict[str, Any], tmp_path: Path) -> None:
    """The thread that splits ends too: the loop's own threads are free again."""
    told: list[Loading] = []

    async def scene() -> None:
        task = asyncio.create_task(arun_plan(plan, **options(tmp_path, on_loading=lambda each: cancel(task, each))))
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.get_running_loop().shutdown_default_executor()

    def cancel(task: asyncio.Task[Any], loading: Loading) -> None:
        told.append(loading)
        task.cancel()

    asyncio.run(scene())
    assert len(told) < 5
    assert [path.name for path in tmp_path.iterdir()] == ["book.md"]


def test_a_stop_while_it_counts(tmp_path: Path) -> None:
    """A run that has begun ends as any stopped run: each chunk is cancelled, nothing is asked or estimated."""
    (tmp_path / "a.md").write_text(BOOK)
    (tmp_path / "b.md").write_text(BOOK + "x")
    each = {"id": "part", "for_each": {"input": "files"}, "prompt": "{{ item.text }}"}
    control, events = RunControl(), list[Event]()

    def stop(event: Event) -> None:
        events.append(event)
        if isinstance(event, RunStarted):
            control.request_stop()

    given = options(tmp_path, control=control, on_event=stop)
    result = run_plan({"inputs": {"files": {"files": "*.md"}}, "chunks": [each]}, **given)
    check_promises(events)
    assert (result.status, result.exit_code) == ("stopped", 130)
    assert not any(isinstance(event, RunEstimated) for event in events)
    assert sum(isinstance(event, ChunkCancelled) for event in events) == 2
    assert isinstance(events[-1], RunFinished)


def test_the_second_run_splits_and_counts_nothing(plan: dict[str, Any], tmp_path: Path) -> None:
    """All of it comes from the store; after an edit it is split again, and the answers of other pieces are reused."""
    plan["chunks"].append({"id": "whole", "prompt": "{{ inputs.book | head(9) }}"})
    told: list[Loading] = []
    first = run(plan, tmp_path, told.append)
    assert {each.doing for each in told} >= {"reading the plan: splitting book"}
    told.clear()
    second = run(plan, tmp_path, told.append)
    assert told == []
    assert second.started == []
    assert second.result.text == first.result.text
    (tmp_path / "book.md").write_text(BOOK + "\nOne more line.\n")
    third = run(plan, tmp_path, told.append)
    assert told
    assert 0 < len(third.started) < len(first.started)


def test_a_watcher_that_raises_is_dropped(plan: dict[str, Any], tmp_path: Path) -> None:
    """It is told once, and the run goes on."""
    told: list[Loading] = []

    def fail(loading: Loading) -> None:
        told.append(loading)
        raise ValueError("no")

    story = run(plan, tmp_path, fail)
    assert story.result.status == "complete"
    assert len(told) == 1
