"""Prompts that prove too long and answers that are cut at the model's limit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Failure, FailureClass, Request, RunControl, SimulatedRunner, StopLevel
from orchestrator.engine.ceilings import MIN_OVERLAP_CHARS, join_continuation
from orchestrator.engine.drafts import MAX_CONTINUATIONS
from orchestrator.events import ChunkFailed, ChunkRetryScheduled, ChunksAdded, ChunkSucceeded
from orchestrator.store import open_store
from tests.engine.runs import play, play_on

TOO_LONG = Failure(error_type=FailureClass.TOO_LONG, message="prompt is too long; split it")


def cut(text: str) -> Failure:
    """An answer that was cut after this text."""
    return Failure(error_type=FailureClass.OUTPUT_CEILING, message="cut", partial_text=text, cost_usd=0.01)


@given(st.text(), st.text(), st.integers(0, 40))
def test_a_continuation_loses_nothing_and_repeats_nothing(beginning: str, rest: str, overlap: int) -> None:
    """What the rest repeats of the end stands once, if it is long enough to be no accident."""
    joined = join_continuation(beginning, rest)
    assert joined.startswith(beginning)
    assert joined.endswith(rest) or beginning.endswith(rest[: len(beginning) + len(rest) - len(joined)])
    repeated = beginning[len(beginning) - min(overlap, len(beginning)) :]
    if len(repeated) >= MIN_OVERLAP_CHARS:
        assert len(join_continuation(beginning, repeated + rest)) <= len(beginning) + len(rest)
    assert len(joined) >= len(beginning) + len(rest) - 2000


def test_an_answer_that_was_cut_is_continued_to_one_clean_answer(tmp_path: Path) -> None:
    """The next call gets what is there and writes the rest; attempts are not used up; the cost is that of all calls."""

    async def scene() -> None:
        runner = SimulatedRunner(
            latency_s=0,
            answers={"a": "in the river, and the end."},
            failures={"a": [cut("Once upon a time "), cut("there was a fish in the river, ")]},
        )
        plan = {"name": "p", "chunks": [{"id": "a", "prompt": "Tell a story.", "max_attempts": 1}]}
        story = await play(plan, tmp_path, runner=runner)
        assert story.result.text == "Once upon a time there was a fish in the river, and the end."
        assert [request.attempt for request in runner.requests] == [1, 2, 3]
        assert runner.requests[0].prompt == "Tell a story."
        assert "Tell a story." in runner.requests[2].prompt
        assert "\nOnce upon a time there was a fish in the river, \n</answer" in runner.requests[2].prompt
        assert len(story.ids(ChunkRetryScheduled)) == 2
        assert story.only(ChunkSucceeded).cost_usd > 0.02

    asyncio.run(scene())


def test_a_beginning_outlives_the_process_that_paid_for_it(tmp_path: Path) -> None:
    """A run that ends between two continuations is resumed, or begun anew, from what it has; the calls that made it are
    not made again. A chunk that may not be reused begins anew in another run, not in its own.
    """
    plan: dict[str, Any] = {"name": "p", "chunks": [{"id": "a", "prompt": "Tell a story."}]}

    class Ends(SimulatedRunner):
        """Is cut once, and after that the run is told to end."""

        def __init__(self, control: RunControl) -> None:
            super().__init__(latency_s=0, failures={"a": [cut("Once upon a time ")]})
            self._control = control

        async def run(self, request: Request, *, on_progress: Any) -> Any:
            if self.requests:
                self._control.request_stop(at_least=StopLevel.TERMINATE)
                await asyncio.Event().wait()
            return await super().run(request, on_progress=on_progress)

    async def scene(reuse: str, *, fresh: bool) -> tuple[str, list[Request]]:
        folder = tmp_path / f"{reuse}-{fresh}"
        folder.mkdir()
        chunk = plan["chunks"][0] | {"reuse": reuse}
        control = RunControl()
        ended = await play({**plan, "chunks": [chunk]}, folder, runner=Ends(control), control=control)
        assert ended.result.status == "stopped"
        runner = SimulatedRunner(latency_s=0, answers={"a": "there was a fish."})
        if fresh:
            story = await play({**plan, "chunks": [chunk]}, folder, runner=runner)
        else:
            story = await play_on("last", folder, runner=runner)
        left = open_store(folder / "store.db").ask(
            lambda connection: connection.execute("SELECT count(*) FROM beginnings").fetchone()[0]
        )
        assert left == 0, "an answer that is whole has no beginning any more"
        return story.result.text, runner.requests

    for reuse, fresh in (("always", False), ("always", True), ("never", False)):
        text, requests = asyncio.run(scene(reuse, fresh=fresh))
        assert text == "Once upon a time there was a fish."
        assert "\nOnce upon a time \n</answer" in requests[0].prompt
    text, requests = asyncio.run(scene("never", fresh=True))
    assert text == "there was a fish."
    assert requests[0].prompt == "Tell a story."


def test_an_answer_without_end_fails_with_the_remedy(tmp_path: Path) -> None:
    """After so many continuations the chunk fails; its beginning is never taken for the answer."""

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0, failures={"a": [cut(f"part {n} ") for n in range(MAX_CONTINUATIONS + 1)]})
        story = await play({"name": "p", "chunks": [{"id": "a", "prompt": "x"}]}, tmp_path, runner=runner)
        assert story.only(ChunkFailed).error_type == "output_ceiling"
        assert len(runner.requests) == MAX_CONTINUATIONS + 1
        assert story.result.text == "[missing: a, output_ceiling]"

    asyncio.run(scene())


def test_a_piece_that_is_too_long_runs_as_several(tmp_path: Path) -> None:
    """Its answer is theirs together, and the next run reuses it; a chunk that is no piece fails with the remedy."""

    class Narrow(SimulatedRunner):
        """Takes prompts of at most 260 characters."""

        async def run(self, request: Request, *, on_progress: Any) -> Any:
            self.requests.append(request)
            return TOO_LONG if len(request.prompt) > 260 else await super().run(request, on_progress=on_progress)

    paragraphs = "\n\n".join(
        f"Paragraph {n} has about seventy characters of text, give or take a few." for n in range(8)
    )
    plan: dict[str, Any] = {
        "name": "p",
        "inputs": {"book": {"text": paragraphs}},
        "chunks": [
            {
                "id": "part",
                "for_each": {"input": "book", "split": "text", "max_tokens": 2000},
                "prompt": "{{ item.text }}",
            },
            {"id": "whole", "prompt": "All of it: {{ inputs.book }}"},
        ],
    }

    async def scene() -> None:
        story = await play(plan, tmp_path, runner=Narrow(latency_s=0))
        added = [chunk_id for event in story.events if isinstance(event, ChunksAdded) for chunk_id in event.chunk_ids]
        assert added[:2] == ["part[1.1]", "part[1.2]"]
        outcome = story.result.chunks["part[1]"]
        leaves = [each for each in added if not any(other.startswith(f"{each[:-1]}.") for other in added)]
        assert outcome.text == "\n\n".join(story.result.chunks[each].text or "" for each in sorted(leaves))
        assert story.only(ChunkFailed).chunk_id == "whole"
        again = await play(plan, tmp_path, runner=Narrow(latency_s=0))
        assert again.started == ["whole"]
        assert again.result.chunks["part[1]"].text == outcome.text

    asyncio.run(scene())
