"""Whole runs through the public API with the simulated runner: what is paid, reused, skipped, stitched and told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator import (
    Failure,
    FailureClass,
    PlanChangedError,
    Request,
    RunControl,
    RunIncompleteError,
    RunnerUnavailableError,
    SimulatedRunner,
    StopLevel,
    UsageError,
    astream_plan,
    run_plan,
)
from orchestrator.events import (
    ChunkCancelled,
    ChunkFailed,
    ChunkProgressed,
    ChunkRetryScheduled,
    ChunkReused,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    Event,
    RunContinued,
    RunEstimated,
    RunFinished,
    RunPaused,
    RunProgressed,
    RunResumed,
    RunStarted,
    RunStitched,
)
from orchestrator.store import open_store
from tests.engine.runs import Story, check_promises, play, play_on

REFUSAL = Failure(error_type=FailureClass.REFUSAL, message="the model declined")


def plan_of(*chunks: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A plan with these chunks."""
    return {"name": "story", "chunks": list(chunks), **rest}


def chunk(chunk_id: str, *needs: str, **rest: Any) -> dict[str, Any]:
    """A chunk that quotes the answers it needs."""
    prompt = " ".join([f"Write {chunk_id}.", *(f"{{{{ chunks.{each} }}}}" for each in needs)])
    return {"id": chunk_id, "prompt": prompt, **rest}


def quick(**answers: Any) -> SimulatedRunner:
    """Answers at once, with the chunk's id in capitals unless told otherwise."""
    names = [f"{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    return SimulatedRunner(latency_s=0, answers={name: name.upper() for name in names} | answers)


EIGHT = plan_of(
    chunk("a"), chunk("b", "a"), chunk("c", "a"), chunk("d", "a"),
    chunk("e", "b"), chunk("f", "c", "d"), chunk("g"), chunk("h", "e", "f", on_missing="gap"),
)  # fmt: skip


def test_a_plan_runs_to_one_result(tmp_path: Path) -> None:
    """Every chunk once, inputs before what needs them, and the unreferenced answers stitched in plan order."""

    async def scene() -> None:
        runner = quick()
        story = await play(EIGHT, tmp_path, runner=runner)
        assert story.result.status == "complete"
        assert story.result.exit_code == 0
        assert story.result.text == "G\n\nH"
        assert sorted(story.started) == list("abcdefgh")
        by_id = {request.chunk_id: request for request in runner.requests}
        assert "\nE\n" in by_id["h"].prompt
        assert list(story.result.chunks) == list("abcdefgh")
        assert story.result.raise_for_failure() is story.result
        kinds = [event.type for event in story.events]
        assert kinds[:2] == [RunStarted.type, RunEstimated.type]
        assert kinds[-2:] == [RunStitched.type, RunFinished.type]

    asyncio.run(scene())


def test_what_is_told_is_stored_already(tmp_path: Path) -> None:
    """At the moment of each event another reader finds it in the store, and an announced answer too."""
    store = open_store(tmp_path / "store.db", create=True)
    seen: list[str] = []

    def on_event(event: Event) -> None:
        if event.type in (RunProgressed.type, ChunkProgressed.type):
            return
        assert store.events(event.run_id)[-1]["seq"] >= event.seq
        if isinstance(event, ChunkSucceeded):
            (record,) = [each for each in store.chunks(event.run_id) if each.chunk_id == event.chunk_id]
            assert record.answer_id is not None
            answer = store.answer(record.answer_id)
            assert answer is not None
            assert answer.text == event.chunk_id.upper()
        seen.append(event.type)

    result = run_plan(EIGHT, runner=quick(), store=store.path, on_event=on_event)
    assert seen.count(ChunkSucceeded.type) == 8
    assert [event["type"] for event in store.events(result.run_id)] == seen


def test_the_second_run_of_an_unchanged_plan_asks_nothing(tmp_path: Path) -> None:
    """Every answer is reused, and the runner is not even made ready."""

    class Unready(SimulatedRunner):
        async def open(self) -> Any:
            raise RunnerUnavailableError("this runner cannot work here", remedy="do without")

    async def scene() -> None:
        first = await play(EIGHT, tmp_path, runner=quick())
        second = await play(EIGHT, tmp_path, runner=Unready())
        assert second.started == []
        assert sorted(second.ids(ChunkReused)) == list("abcdefgh")
        assert second.result.text == first.result.text
        assert second.result.cost_usd == 0
        assert second.only(RunEstimated).calls == 0

    asyncio.run(scene())


def test_an_edit_runs_that_chunk_and_what_depends_on_it(tmp_path: Path) -> None:
    """The store says for each chunk why it ran."""

    async def scene() -> None:
        await play(EIGHT, tmp_path, runner=quick())
        edited = plan_of(*(each | {"prompt": each["prompt"] + "!"} if each["id"] == "c" else each
                           for each in EIGHT["chunks"]))  # fmt: skip
        story = await play(edited, tmp_path, runner=quick(c="C2", f="F2"))
        assert sorted(story.started) == ["c", "f", "h"]
        why = {each.chunk_id: each.why for each in open_store(tmp_path / "store.db").chunks(story.result.run_id)}
        assert why["c"] == "prompt, model or effort changed"
        assert why["f"] == "upstream changed: c"
        assert why["h"] == "upstream changed: f"
        assert why["a"].startswith("same prompt and settings as a in run")

    asyncio.run(scene())


def test_the_same_answer_upstream_stops_an_edit_from_spreading(tmp_path: Path) -> None:
    """Fingerprints follow content: when the edited chunk answers as before, nothing after it runs."""

    async def scene() -> None:
        plan = plan_of(chunk("a"), chunk("b", "a"))
        await play(plan, tmp_path, runner=quick())
        edited = plan_of(chunk("a") | {"prompt": "Write a, please."}, chunk("b", "a"))
        assert (await play(edited, tmp_path, runner=quick())).started == ["a"]

    asyncio.run(scene())


def test_one_failure_of_eight_costs_only_what_needs_it(tmp_path: Path) -> None:
    """Siblings finish, a single reference is skipped, a chunk that accepts a gap runs; the earlier result stays."""

    async def scene() -> None:
        output = tmp_path / "out.md"
        first = await play(EIGHT, tmp_path, runner=quick(), output=output)
        assert output.read_text() == first.result.text
        runner = quick(b=lambda _: REFUSAL)
        story = await play(EIGHT, tmp_path, runner=runner, output=output, fresh=True)
        assert story.result.status == "partial"
        assert story.result.exit_code == 1
        assert story.only(ChunkFailed).chunk_id == "b"
        assert story.only(ChunkFailed).attempt == 1
        assert story.only(ChunkSkipped).chunk_id == "e"
        assert story.only(ChunkSkipped).because == "b"
        (last,) = [request for request in runner.requests if request.chunk_id == "h"]
        assert "[missing: e, skipped since b has no answer]" in last.prompt
        assert output.read_text() == first.result.text
        assert (tmp_path / "out.incomplete.md").read_text() == story.result.text == "G\n\nH"
        with pytest.raises(RunIncompleteError, match="b: the model declined"):
            story.result.raise_for_failure()

    asyncio.run(scene())


def test_a_gap_in_the_result_is_seen_at_its_place(tmp_path: Path) -> None:
    """With the reason; never an error text in place of an answer."""

    async def scene() -> None:
        story = await play(plan_of(chunk("a"), chunk("b"), chunk("c")), tmp_path, runner=quick(b=lambda _: REFUSAL))
        assert story.result.text == "A\n\n[missing: b, refusal]\n\nC"
        assert story.only(RunStitched).gaps == ("b",)
        everything = await play(plan_of(chunk("x")), tmp_path, runner=quick(x=lambda _: REFUSAL))
        assert everything.result.status == "failed"
        assert everything.result.exit_code == 1

    asyncio.run(scene())


def test_transient_failures_are_tried_again_within_the_attempts(tmp_path: Path) -> None:
    """Two crashes and then an answer; four crashes are too many."""
    crash = Failure(error_type=FailureClass.CRASH, message="it died")

    async def scene() -> None:
        runner = SimulatedRunner(
            latency_s=0, answers={"a": "A", "b": "B"}, failures={"a": [crash] * 2, "b": [crash] * 4}
        )
        story = await play(plan_of(chunk("a"), chunk("b")), tmp_path, runner=runner)
        assert story.only(ChunkSucceeded).attempt == 3
        assert len(story.ids(ChunkRetryScheduled)) == 4
        assert story.only(ChunkFailed).error_type == "crash"
        attempts = open_store(tmp_path / "store.db").attempts(story.result.run_id)
        assert sorted((each.chunk_id, each.attempt) for each in attempts) == [
            ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3),
        ]  # fmt: skip

    asyncio.run(scene())


def test_an_empty_answer_is_no_answer(tmp_path: Path) -> None:
    """Whatever a runner says: blank text is a failure, and is tried again."""

    async def scene() -> None:
        story = await play(plan_of(chunk("a")), tmp_path, runner=quick(a=" \n"))
        assert story.only(ChunkFailed).error_type == "empty"
        assert len(story.started) == 3

    asyncio.run(scene())


def test_a_chunk_does_not_wait_for_strangers(tmp_path: Path) -> None:
    """`after_fast` starts and ends while `slow` is still under way."""

    class Paced(SimulatedRunner):
        async def run(self, request: Request, *, on_progress: Any) -> Any:
            if request.chunk_id == "s":
                await released.wait()
            reply = await super().run(request, on_progress=on_progress)
            if request.chunk_id == "t":
                released.set()
            return reply

    released = asyncio.Event()

    async def scene() -> None:
        plan = plan_of(chunk("s"), chunk("f"), chunk("t", "f"))
        story = await asyncio.wait_for(play(plan, tmp_path, runner=Paced(latency_s=0)), 30)
        assert story.result.status == "complete"
        assert story.ids(ChunkSucceeded)[-1] == "s"

    asyncio.run(scene())


def test_a_sequence_runs_in_plan_order_one_by_one(tmp_path: Path) -> None:
    """Also past a failed chunk, unless the next refers to it."""

    async def scene() -> None:
        plan = plan_of(chunk("c"), chunk("a"), chunk("b"), chunk("d", "a"), mode="sequence")
        story = await play(plan, tmp_path, runner=quick(a=lambda _: REFUSAL))
        assert story.started == ["c", "a", "b"]
        assert story.ids(ChunkSkipped) == ["d"]

    asyncio.run(scene())


def test_no_more_than_max_concurrency_are_under_way(tmp_path: Path) -> None:
    """The call's figure wins over the plan's."""

    class Counting(SimulatedRunner):
        """Its first calls wait until as many are under way as may be."""

        now = most = 0

        def __init__(self, expected: int) -> None:
            super().__init__(latency_s=0.01)
            self._expected = expected
            self._enough = asyncio.Event()

        async def run(self, request: Request, *, on_progress: Any) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now == self._expected:
                self._enough.set()
            try:
                await asyncio.wait_for(self._enough.wait(), 30)
                return await super().run(request, on_progress=on_progress)
            finally:
                self.now -= 1

    async def scene() -> None:
        plan = plan_of(*(chunk(f"c{index}") for index in range(12)), limits={"max_concurrency": 5})
        runner = Counting(5)
        await play(plan, tmp_path, runner=runner)
        assert runner.most == 5
        runner = Counting(2)
        await play(plan, tmp_path, runner=runner, max_concurrency=2, fresh=True)
        assert runner.most == 2

    asyncio.run(scene())


def test_prompts_equal_after_rendering_share_one_call(tmp_path: Path) -> None:
    """Equal unrendered prompts are two requests on purpose; equal only after rendering are one."""

    async def scene() -> None:
        plan = plan_of(
            {"id": "a", "prompt": "Write about {{ inputs.x }}"},
            {"id": "b", "prompt": "Write about {{ inputs.y }}"},
            {"id": "c", "prompt": "A name, please."},
            {"id": "d", "prompt": "A name, please."},
            inputs={"x": {"text": "cats"}, "y": {"text": "cats"}},
        )
        story = await play(plan, tmp_path, runner=quick())
        assert len(story.started) == 3
        assert len(story.ids(ChunkReused)) == 1
        chunks = story.result.chunks
        assert chunks["a"].text == chunks["b"].text
        assert chunks["c"].text == "C"
        assert chunks["d"].text == "D"

    asyncio.run(scene())


def test_when_a_shared_call_fails_the_next_one_tries(tmp_path: Path) -> None:
    """A chunk that waited for another's answer is not lost with it."""

    async def scene() -> None:
        plan = plan_of(
            {"id": "a", "prompt": "{{ inputs.x }}"},
            {"id": "b", "prompt": "{{ inputs.y }}"},
            inputs={"x": {"text": "cats"}, "y": {"text": "cats"}},
        )
        story = await play(plan, tmp_path, runner=quick(a=lambda _: REFUSAL))
        assert story.only(ChunkFailed).chunk_id == "a"
        assert story.only(ChunkSucceeded).chunk_id == "b"

    asyncio.run(scene())


@pytest.mark.parametrize("kind", ["auth", "billing", "unknown_model", "environment"])
def test_what_no_chunk_can_pass_stops_the_run(tmp_path: Path, kind: str) -> None:
    """At most `max_concurrency` calls are made in all; the chunks stay to be done, and a resume does them."""
    wall = Failure(error_type=FailureClass(kind), message="log in with `claude /login`")

    async def scene() -> None:
        plan = plan_of(*(chunk(f"c{index}") for index in range(9)), limits={"max_concurrency": 3})
        runner = SimulatedRunner(latency_s=0, answers={f"c{index}": lambda _: wall for index in range(9)})
        story = await play(plan, tmp_path, runner=runner)
        assert len(runner.requests) <= 3
        assert story.result.status == "stopped"
        assert story.result.exit_code == 3
        assert story.only(RunFinished).reason == "log in with `claude /login`"
        assert len(story.ids(ChunkCancelled)) == 9
        again = await play_on(story.result.run_id, tmp_path, runner=quick())
        assert again.result.status == "complete"

    asyncio.run(scene())


def test_equal_failures_in_a_row_stop_the_run(tmp_path: Path) -> None:
    """Instead of paying for the rest."""

    async def scene() -> None:
        plan = plan_of(
            *(chunk(f"c{index}") for index in range(20)), limits={"max_concurrency": 1, "max_same_failure": 4}
        )
        runner = SimulatedRunner(latency_s=0, answers={f"c{index}": lambda _: REFUSAL for index in range(20)})
        story = await play(plan, tmp_path, runner=runner)
        assert len(story.ids(ChunkFailed)) == 4
        assert story.result.exit_code == 4

    asyncio.run(scene())


def test_the_cost_limit_stops_the_run_and_more_money_goes_on(tmp_path: Path) -> None:
    """Clean, resumable, and never passed by more than what was in flight; what was paid counts in the resumed run."""

    async def scene() -> None:
        plan = plan_of(*(chunk(f"c{index}") for index in range(10)), limits={"max_concurrency": 1})
        answer = "word " * 4000
        runner = SimulatedRunner(latency_s=0, answers={f"c{index}": answer for index in range(10)})
        story = await play(plan, tmp_path, runner=runner, max_cost_usd=0.35)
        assert story.result.exit_code == 4
        done = len(story.ids(ChunkSucceeded))
        one = story.result.cost_usd / done
        assert 0.35 - one <= story.result.cost_usd <= 0.35 + one
        assert "cost limit of $0.35" in story.only(RunFinished).reason
        more = await play_on(story.result.run_id, tmp_path, runner=runner, max_cost_usd=5.0)
        assert more.result.status == "complete"
        assert len(more.ids(ChunkReused)) == done
        assert len(runner.requests) == 10
        assert more.result.cost_usd == pytest.approx(10 * one)

    asyncio.run(scene())


def test_a_usage_limit_pauses_the_run_and_one_call_goes_first(tmp_path: Path) -> None:
    """The attempt that met it does not count; without waiting the run stops instead, to be resumed."""

    async def scene() -> None:
        limit = Failure(error_type=FailureClass.USAGE_LIMIT, message="limit reached", resets_at=time.time() + 1.0)
        plan = plan_of(chunk("a"), chunk("b"), chunk("c"), max_attempts=1)
        runner = SimulatedRunner(latency_s=0.2, answers={"a": "A"}, failures={"a": [limit], "b": [limit], "c": [limit]})
        story = await play(plan, tmp_path, runner=runner)
        assert story.result.status == "complete"
        kinds = [event.type for event in story.events]
        assert kinds.count(RunPaused.type) == kinds.count(RunContinued.type) == 1
        after = story.events[kinds.index(RunContinued.type) :]
        pairs = [event.type for event in after if event.type in ("chunk_started", "chunk_succeeded")]
        assert pairs[:2] == ["chunk_started", "chunk_succeeded"], "a canary goes first"
        far = Failure(error_type=FailureClass.USAGE_LIMIT, message="limit reached", resets_at=time.time() + 9999)
        stopped = await play(
            plan, tmp_path, runner=quick(a=lambda _: far), fresh=True, wait_for_limits=False, max_concurrency=1
        )
        assert stopped.result.exit_code == 4
        assert (await play_on(stopped.result.run_id, tmp_path, runner=quick())).result.status == "complete"

    asyncio.run(scene())


def test_a_pause_is_kept_across_a_restart(tmp_path: Path) -> None:
    """A process that resumes a paused run starts nothing before the pause is over."""

    async def scene() -> None:
        until = time.time() + 2.0
        limit = Failure(error_type=FailureClass.USAGE_LIMIT, message="limit reached", resets_at=until)
        control = RunControl()
        story = await _paused(tmp_path, limit, control)
        assert story.result.exit_code == 130
        again = await play_on(story.result.run_id, tmp_path, runner=quick())
        assert again.result.status == "complete"
        assert time.time() >= until

    asyncio.run(scene())


async def _paused(folder: Path, limit: Failure, control: RunControl) -> Story:
    class Stopping(SimulatedRunner):
        async def run(self, request: Request, *, on_progress: Any) -> Any:
            asyncio.get_running_loop().call_later(0.2, control.request_stop)
            return limit

    return await play(plan_of(chunk("a")), folder, runner=Stopping(), control=control)


def test_a_first_stop_lets_paid_calls_finish(tmp_path: Path) -> None:
    """Nothing new starts; what was under way is kept; the rest is cancelled, and a resume does it."""

    async def scene() -> None:
        control = RunControl()

        class Stopping(SimulatedRunner):
            async def run(self, request: Request, *, on_progress: Any) -> Any:
                if request.chunk_id == "b":
                    control.request_stop()
                return await super().run(request, on_progress=on_progress)

        plan = plan_of(*(chunk(name) for name in "abcdef"), limits={"max_concurrency": 2})
        story = await play(plan, tmp_path, runner=Stopping(latency_s=0.05), control=control)
        assert story.result.exit_code == 130
        assert sorted(story.ids(ChunkSucceeded)) == ["a", "b"]
        assert sorted(story.ids(ChunkCancelled)) == ["c", "d", "e", "f"]
        again = await play_on(story.result.run_id, tmp_path, runner=quick())
        assert sorted(again.ids(ChunkReused)) == ["a", "b"]
        assert sorted(again.started) == ["c", "d", "e", "f"]
        first = again.events[0]
        assert isinstance(first, RunResumed)
        assert first.seq == story.events[-1].seq + 1

    asyncio.run(scene())


def test_a_second_stop_ends_what_is_under_way(tmp_path: Path) -> None:
    """The runner's calls are cancelled; the chunk is to be done again."""

    async def scene() -> None:
        control = RunControl()
        ended: list[str] = []

        class Endless(SimulatedRunner):
            async def run(self, request: Request, *, on_progress: Any) -> Any:
                control.request_stop(at_least=StopLevel.TERMINATE)
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.append(request.chunk_id)

        story = await asyncio.wait_for(play(plan_of(chunk("a")), tmp_path, runner=Endless(), control=control), 30)
        assert ended == ["a"]
        assert story.result.exit_code == 130
        assert story.ids(ChunkCancelled) == ["a"]

    asyncio.run(scene())


def test_cancelling_the_coroutine_ends_the_calls_keeps_the_answers_and_propagates(tmp_path: Path) -> None:
    """The store is left in order: the run can be resumed."""

    async def scene() -> None:
        events: list[Event] = []
        under_way = asyncio.Event()

        class Slow(SimulatedRunner):
            async def run(self, request: Request, *, on_progress: Any) -> Any:
                if request.chunk_id == "b":
                    under_way.set()
                    await asyncio.Event().wait()
                return await super().run(request, on_progress=on_progress)

        plan = plan_of(chunk("a"), chunk("b", "a"))
        run = asyncio.create_task(play(plan, tmp_path, runner=Slow(latency_s=0), on_event=events.append))
        await under_way.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        check_promises(events)
        again = await play_on("last", tmp_path, runner=quick())
        assert again.ids(ChunkReused) == ["a"]
        assert again.result.status == "complete"

    asyncio.run(scene())


def test_a_resume_refuses_a_plan_that_changed(tmp_path: Path) -> None:
    """The plan file, or a file that it names; the error says what changed and what to type."""
    (tmp_path / "notes.md").write_text("one")
    path = tmp_path / "p.yaml"
    path.write_text("inputs: {notes: notes.md}\nchunks:\n  - {id: a, prompt: '{{ inputs.notes }}'}\n")

    async def scene() -> None:
        story = await play(path, tmp_path, runner=quick())
        assert (await play_on("last", tmp_path)).result.text == story.result.text == "A"
        (tmp_path / "notes.md").write_text("two")
        with pytest.raises(PlanChangedError, match=r"notes\.md.*orchestrate .*p\.yaml"):
            await play_on("last", tmp_path)
        (tmp_path / "notes.md").write_text("one")
        path.write_text(path.read_text() + "\n# a remark\n")
        with pytest.raises(PlanChangedError, match="the plan"):
            await play_on("last", tmp_path)

    asyncio.run(scene())


def test_only_until_and_redo_choose_what_runs(tmp_path: Path) -> None:
    """`only` stitches the named chunks, `until` leaves out what comes after, `redo` asks again."""

    async def scene() -> None:
        only = await play(EIGHT, tmp_path, runner=quick(), only=["f"])
        assert sorted(only.started) == ["a", "c", "d", "f"]
        assert only.result.text == "F"
        until = await play(EIGHT, tmp_path, runner=quick(), until=["e"])
        assert until.started == ["b", "e"]
        redo = await play(EIGHT, tmp_path, runner=quick(c="C2"), redo=["c"])
        assert sorted(redo.started) == ["c", "f", "g", "h"]
        with pytest.raises(UsageError, match="nothere"):
            await play(EIGHT, tmp_path, runner=quick(), redo=["nothere"])

    asyncio.run(scene())


def test_reuse_never_and_an_age(tmp_path: Path) -> None:
    """`never` asks each time, also for equal prompts; a young answer may be reused under an age."""

    async def scene() -> None:
        plan = plan_of(chunk("a", reuse="never"), chunk("b", reuse="24h"), chunk("c"))
        await play(plan, tmp_path, runner=quick())
        assert (await play(plan, tmp_path, runner=quick())).started == ["a"]

    asyncio.run(scene())


def test_answers_of_one_kind_of_runner_never_stand_in_for_another(tmp_path: Path) -> None:
    """A simulated answer is not reused by a runner of another kind."""

    class Other(SimulatedRunner):
        kind = "other"

    async def scene() -> None:
        plan = plan_of(chunk("a"))
        await play(plan, tmp_path, runner=quick())
        story = await play(plan, tmp_path, runner=Other(latency_s=0))
        assert [event.why for event in story.events if isinstance(event, ChunkStarted)] == [
            "answered only by the simulated runner so far"
        ]

    asyncio.run(scene())


@pytest.mark.parametrize("kind", [ValueError, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_an_observer_that_raises_is_dropped_and_the_run_goes_on(
    kind: type[BaseException], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises, it is logged once; nothing is lost."""
    told: list[Event] = []

    def on_event(event: Event) -> None:
        told.append(event)
        raise kind("an observer's own mistake")

    result = run_plan(EIGHT, runner=quick(), store=tmp_path / "store.db", on_event=on_event)
    assert result.status == "complete"
    assert len(told) == 1
    assert "an observer's own mistake" in caplog.text


def test_declining_pays_nothing(tmp_path: Path) -> None:
    """The run ends before its first call, and can be resumed."""

    async def scene() -> None:
        runner = quick()
        story = await play(EIGHT, tmp_path, runner=runner, confirm=lambda estimated: estimated.calls != 8)
        assert runner.requests == []
        assert story.result.exit_code == 4
        assert not story.result.text

    asyncio.run(scene())


def test_blocking_calls_refuse_a_running_loop(tmp_path: Path) -> None:
    """The error names the coroutine to use."""

    async def scene() -> None:
        with pytest.raises(UsageError, match="await arun_plan"):
            run_plan(EIGHT, store=tmp_path / "store.db")

    asyncio.run(scene())


def test_events_can_be_streamed_and_leaving_the_stream_stops_the_run(tmp_path: Path) -> None:
    """The last event is `run_finished`; closing early cancels, and the answers so far are kept."""

    async def scene() -> None:
        options: Any = {"runner": quick(), "store": tmp_path / "store.db"}
        events = [event async for event in astream_plan(EIGHT, **options)]
        check_promises(events)
        stream = astream_plan(EIGHT, **options | {"fresh": True, "max_concurrency": 1, "runner": quick()})
        async for event in stream:
            if isinstance(event, ChunkSucceeded):
                break
        await stream.aclose()
        again = await play_on("last", tmp_path, runner=quick())
        assert len(again.ids(ChunkReused)) >= 1

    asyncio.run(scene())


def test_an_existing_file_of_somebody_else_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    """No event, no call, not a byte changed."""
    output = tmp_path / "out.md"
    output.write_text("precious")
    runner, events = quick(), list[Event]()
    with pytest.raises(UsageError, match="--force"):
        run_plan(EIGHT, runner=runner, store=tmp_path / "store.db", output=output, on_event=events.append)
    assert (output.read_text(), runner.requests, events) == ("precious", [], [])


def test_a_reader_sees_the_finished_prefix_while_the_run_goes(tmp_path: Path) -> None:
    """`out.partial.md` grows in order and is gone at the end."""
    seen: list[str] = []
    partial = tmp_path / "out.partial.md"

    async def scene() -> None:
        plan = plan_of(chunk("a"), chunk("b"), chunk("c"), mode="sequence")

        class Looking(SimulatedRunner):
            async def run(self, request: Request, *, on_progress: Any) -> Any:
                seen.append(partial.read_text() if partial.exists() else "")
                return await super().run(request, on_progress=on_progress)

        runner = Looking(latency_s=0, answers={"a": "A", "b": "B", "c": "C"})
        story = await play(plan, tmp_path, runner=runner, output=tmp_path / "out.md")
        assert seen == ["", "A", "A\n\nB"]
        assert story.result.output == tmp_path / "out.md"
        assert not partial.exists()

    asyncio.run(scene())


def test_after_an_overload_fewer_go_on_at_once(tmp_path: Path) -> None:
    """Eight at once meet an overload together; the next starts are four at once, and more again as answers come."""
    overload = Failure(error_type=FailureClass.TRANSIENT, message="overloaded")

    class Counting(SimulatedRunner):
        def __init__(self) -> None:
            super().__init__(latency_s=0.01)
            self.now = 0
            self.at_start: list[int] = []
            self.all_there = asyncio.Event()

        async def run(self, request: Request, *, on_progress: Any) -> Any:
            self.now += 1
            self.at_start.append(self.now)
            nth = len(self.at_start)
            if nth == 8:
                self.all_there.set()
            try:
                await self.all_there.wait()
                return overload if nth <= 8 else await super().run(request, on_progress=on_progress)
            finally:
                self.now -= 1

    async def scene() -> None:
        plan = plan_of(*(chunk(f"c{index}") for index in range(24)), limits={"max_concurrency": 8})
        runner = Counting()
        story = await play(plan, tmp_path, runner=runner)
        assert story.result.status == "complete"
        assert max(runner.at_start[:8]) == 8
        assert max(runner.at_start[8:12]) <= 4
        assert max(runner.at_start[12:]) > 4

    asyncio.run(scene())


def test_the_repr_of_a_result_is_short(tmp_path: Path) -> None:
    """Asyncio asks for it at the end of every run: it must not hold the texts."""
    runner = SimulatedRunner(latency_s=0, answers={"a": "x" * 100_000})
    result = run_plan({"chunks": [{"id": "a", "prompt": "p"}]}, runner=runner, store=tmp_path / "s.db")
    assert repr(result) == f"<RunResult {result.run_id} complete, 1 chunks, 100000 characters>"
