"""What is told of a run before it begins: reasons, estimates that learn, and samples that foretell."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.api import forecast_plan, run_plan
from orchestrator.engine.costs.outlook import Outlook
from orchestrator.events import ChunkReused, ChunkStarted, Event, RunEstimated
from orchestrator.plan.tokens import count_tokens
from orchestrator.runners.base import Failure, FailureClass, Reply, Request, Usage
from orchestrator.runners.invented import WORDS
from orchestrator.runners.simulated import SimulatedRunner

CHUNKS: list[dict[str, Any]] = [
    {"id": "outline", "prompt": "An outline."},
    {"id": "part", "for_each": {"items": ["one", "two", "three"]}, "prompt": "{{ item.text }}: {{ chunks.outline }}"},
    {"id": "topic", "for_each": {"chunk": "outline"}, "prompt": "{{ item.text }}"},
    {"id": "summary", "reduce": {"chunk": "part", "max_tokens": 4000}, "prompt": "Sum: {{ parts }}"},
]


def look(folder: Path, chunks: list[dict[str, Any]] = CHUNKS, **options: Any) -> Outlook:
    runner = options.pop("runner", "simulated:latency_s=0")
    return forecast_plan({"chunks": chunks}, base_dir=folder, store=folder / "store.db", runner=runner, **options)


def run(folder: Path, chunks: list[dict[str, Any]] = CHUNKS, **options: Any) -> Any:
    runner = options.pop("runner", "simulated:latency_s=0")
    return run_plan({"chunks": chunks}, base_dir=folder, store=folder / "store.db", runner=runner, **options)


def reasons(found: Outlook) -> dict[str, dict[str, int]]:
    return {entry.id: dict(entry.reasons) for entry in found.entries}


def test_nothing_is_started_and_nothing_written(tmp_path: Path) -> None:
    """Without a store, everything is new; what only the run will tell of is guessed and marked; no file appears."""
    found = look(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert reasons(found)["outline"] == {"new": 1}
    assert reasons(found)["part"] == {"new": 3}
    topic = found.entries[2]
    assert topic.open
    assert topic.chunks
    assert not any(chunk.known for chunk in topic.chunks)
    assert found.estimate.cost_usd_low < found.estimate.cost_usd_high
    assert found.critical_path[0] == "outline"
    assert found.critical_path_s > 0


def test_after_a_run_nothing_runs_again(tmp_path: Path) -> None:
    """What is answered is reused, group by group; asking again for one names it, and what follows from it."""
    run(tmp_path)
    again = look(tmp_path)
    assert reasons(again) == {"outline": {}, "part": {}, "topic": {}, "summary": {}}
    assert not any(entry.open for entry in again.entries)
    assert again.estimate.calls == 0
    redone = look(tmp_path, redo=["outline"])
    assert reasons(redone)["outline"] == {"asked to run again": 1}
    assert reasons(redone)["part"] == {"upstream runs: outline": 3}


def test_reasons_name_what_changed(tmp_path: Path) -> None:
    """A new prompt, a changed item, a failure before, and what waits for them."""
    failing = SimulatedRunner(
        latency_s=0, failures={"part[2]": [Failure(error_type=FailureClass.REFUSAL, message="no")] * 3}
    )
    run(tmp_path, runner=failing)
    assert reasons(look(tmp_path))["part"] == {"failed before: refusal": 1}
    changed = [{**CHUNKS[0], "prompt": "Another outline."}, *CHUNKS[1:]]
    assert reasons(look(tmp_path, changed))["outline"] == {"prompt, model or effort changed": 1}
    items = [CHUNKS[0], {**CHUNKS[1], "for_each": {"items": ["one", "2", "three", "four"]}}, *CHUNKS[2:]]
    assert reasons(look(tmp_path, items))["part"] == {"an input or the context changed": 1, "new": 1}
    simulated = "answered only by the simulated runner so far"
    real = reasons(look(tmp_path, runner="claude"))
    assert real["outline"] == {simulated: 1}
    assert real["part"] == {simulated: 2, "upstream runs: outline": 1}
    assert reasons(look(tmp_path, fresh=True))["outline"] == {"asked to reuse nothing": 1}


def test_a_reason_compares_with_the_latest_run_of_the_same_kind_of_runner(tmp_path: Path) -> None:
    """A trial with another kind in between says nothing of what was answered before it."""

    class Other(SimulatedRunner):
        """The same, of another kind."""

        kind = "other"

    chunks = CHUNKS[:1]
    run(tmp_path, chunks, runner=Other(latency_s=0))
    run(tmp_path, chunks)
    changed = [{**chunks[0], "prompt": "Another outline."}]
    assert reasons(look(tmp_path, chunks, runner=Other()))["outline"] == {}
    run(tmp_path, changed)
    assert reasons(look(tmp_path, changed, runner=Other()))["outline"] == {"prompt, model or effort changed": 1}


def test_only_a_part(tmp_path: Path) -> None:
    """What is not selected is not told of."""
    assert [entry.id for entry in look(tmp_path, only=["part[2]"]).entries] == ["outline", "part"]


class Counting(SimulatedRunner):
    """Reports 1.31 tokens for each of ours, and 900 more for each call."""

    async def run(self, request: Request, **more: Any) -> Reply | Failure:
        reply = await super().run(request, **more)
        assert isinstance(reply, Reply)
        counted = count_tokens(request.prompt)
        return replace(reply, usage=Usage(input_tokens=round(1.31 * counted + 900), output_tokens=50))


def test_estimates_learn_how_a_model_counts(tmp_path: Path) -> None:
    """After one run the tokens of other prompts are foretold within 10 %, and so is the length of like answers."""
    chance = random.Random(1)

    def prompts(count: int) -> list[dict[str, Any]]:
        return [
            {"id": f"c{at}", "prompt": " ".join(chance.choices(WORDS, k=chance.randrange(50, 2000)))}
            for at in range(count)
        ]

    before = look(tmp_path, prompts(1))
    run(tmp_path, prompts(8), runner=Counting(latency_s=0))
    others = prompts(5)
    found = look(tmp_path, others)
    assert before.estimate.calls == 1
    for chunk, entry in zip(others, found.entries, strict=True):
        reported = 1.31 * count_tokens(chunk["prompt"]) + 900
        assert entry.chunks[0].estimate.input_tokens == pytest.approx(reported, rel=0.1)
    known = look(tmp_path, [{**each, "reuse": "never"} for each in others[:1]])
    assert known.estimate.output_tokens == 1000
    run(tmp_path, others, runner=Counting(latency_s=0))
    assert look(tmp_path, others, fresh=True).estimate.output_tokens == 5 * 50


def pieces(chance: random.Random) -> list[str]:
    lengths = [min(1500, max(30, round(chance.lognormvariate(5, 0.7)))) for _ in range(200)]
    return [" ".join(chance.choices(WORDS, k=length)) for length in lengths]


def answer(request: Request) -> str:
    """About as long as its prompt, give or take a third."""
    chance = random.Random(request.prompt)
    return " ".join(chance.choices(WORDS, k=max(5, round(len(request.prompt.split()) * chance.uniform(0.6, 1.1)))))


def test_a_sample_foretells_the_whole(tmp_path: Path) -> None:
    """After 5 of 200 pieces of varied length, the range told holds the true cost in at least 9 of 10 cases, is no wider
    than 30 % to each side, and the whole run pays for the rest alone.
    """
    held = 0
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        chunks = [
            {"id": "part", "for_each": {"items": pieces(random.Random(seed))}, "prompt": "Rewrite:\n{{ item.text }}"}
        ]
        answers: dict[str, Any] = {f"part[{at}]": answer for at in range(1, 201)}
        runner = SimulatedRunner(latency_s=0, answers=answers)
        sampled = run(folder, chunks, runner=runner, sample=5)
        assert len(sampled.chunks) == 5
        told = look(folder, chunks, runner=runner).estimate
        assert told.calls == 195
        middle = (told.cost_usd_low + told.cost_usd_high) / 2
        assert told.cost_usd_high <= 1.3 * middle
        events: list[Any] = []
        whole = run(folder, chunks, runner=runner, on_event=events.append)
        assert sum(isinstance(event, ChunkReused) for event in events) == 5
        assert sum(isinstance(event, ChunkStarted) for event in events) == 195
        held += told.cost_usd_low <= whole.cost_usd <= told.cost_usd_high
    assert held >= 9


def test_a_sample_of_an_answer(tmp_path: Path) -> None:
    """Pieces known only at run time are sampled when they are known; the result lies beside the whole one's."""
    runner = SimulatedRunner(latency_s=0, answers={"outline": "\n".join(f"- Point {at}" for at in range(20))})
    chunks = [CHUNKS[0], CHUNKS[2]]
    found = run(tmp_path, chunks, runner=runner, sample=4, output=tmp_path / "guide.md")
    assert len(found.chunks) == 5
    assert (tmp_path / "guide.sample.md").exists()
    assert not (tmp_path / "guide.md").exists()


def test_what_the_figures_do_not_count_is_told_beside_them(tmp_path: Path) -> None:
    """The same warnings as the run itself gives; none where nothing has to be asked."""
    told: list[RunEstimated] = []

    def watch(event: Event) -> None:
        if isinstance(event, RunEstimated):
            told.append(event)

    plan = {"chunks": CHUNKS, "stitch": {"expect": {"max_words": 100_000}, "transitions": True}}
    options: Any = {"base_dir": tmp_path, "store": tmp_path / "store.db", "runner": "simulated:latency_s=0"}
    for limit in (1e-9, 100.0):
        found = forecast_plan(plan, **options, max_cost_usd=1e-9)
        run_plan(plan, **options, max_cost_usd=limit, on_event=watch)
        assert found.warnings[:2] == told[-1].warnings[:2]
        assert "more than the limit of $0.000000001" in found.warnings[2]
    assert any("sends back is asked again" in each for each in told[0].warnings)
    assert any("transitions make one more" in each for each in told[0].warnings)
    assert forecast_plan(plan, **options).warnings == ()
