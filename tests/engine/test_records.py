"""Answers that have a form: checked before they are stored, asked for again with the reason, put together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import (
    Failure,
    FailureClass,
    PlanError,
    Request,
    RunIncompleteError,
    SimulatedRunner,
    plan_request,
    run_plan,
)
from orchestrator.api import recall_result
from orchestrator.events import ChunkFailed, ChunkRetryScheduled, ChunkReused, ChunkSucceeded, RunStitched
from tests.engine.runs import play

ROWS = "".join(f'{{"id": "R{at}", "text": "x"}}\n' for at in range(1, 6))
FIELDS = {"id": "string", "ok": "boolean"}


def plan_of(**chunk: Any) -> dict[str, Any]:
    """Five rows in batches of two, each with an id and a verdict."""
    made = {"id": "r", "prompt": "Judge\n{{ item.text }}", "fields": FIELDS} | chunk
    made.setdefault("for_each", {"input": "rows", "batch": 2})
    inputs = {"rows": {"rows": "rows.jsonl", "key": "id"}}
    return {"name": "p", "inputs": inputs, "chunks": [made], "stitch": {"format": "jsonl", "output": "out.jsonl"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text(ROWS)
    return tmp_path


def records(*names: str, ok: bool = True) -> str:
    return json.dumps({"items": [{"id": name, "ok": ok} for name in names]})


def wanted(request: Request) -> list[str]:
    """The ids of the rows in a prompt."""
    return [json.loads(line)["id"] for line in request.prompt.splitlines() if line.startswith("{")]


def test_made_up_records_belong_to_their_rows(folder: Path) -> None:
    """A plan with `fields` runs offline: a record for each row, in order."""

    async def scene() -> None:
        story = await play(plan_of(), folder, runner=SimulatedRunner(latency_s=0))
        assert story.result.status == "complete"
        assert story.result.data == [{"id": f"R{at}", "ok": False} for at in range(1, 6)]
        assert (folder / "out.jsonl").read_text() == story.result.text
        assert not (folder / "out.failed.jsonl").exists()

    asyncio.run(scene())


WRONG = {
    "prose": ("Here they are.", "it is no JSON"),
    "bare list": ('[{"id": "R1", "ok": true}]', "it is no object with `items` alone"),
    "too few": (records("R1"), "it has 1 elements, not at least 2"),
    "wrong type": (records("R1", "R2").replace("true", '"yes"'), "`[0].ok` is string, not boolean"),
    "unknown field": (records("R1", "R2").replace('"ok"', '"okay"'), "`[0]`"),
    "unknown row": (records("R1", "R9"), "no record has the id R2; 1 have a id of no row"),
    "one row twice": (records("R2", "R2"), "no record has the id R1; several have the id R2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_form_is_told_to_the_next_attempt(name: str, folder: Path) -> None:
    """It is a failure of the class `malformed` with what it has cost; the prompt of the next attempt says what was
    wrong, and nothing of it is stored.
    """
    text, reason = WRONG[name]

    def respond(request: Request) -> str:
        return text if request.attempt == 1 else records("R2", "R1")

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0, answers={"r[1]": respond})
        story = await play(plan_of(), folder, runner=runner)
        first, second = (request for request in runner.requests if request.chunk_id == "r[1]")
        assert first.prompt == 'Judge\n{"id": "R1", "text": "x"}\n{"id": "R2", "text": "x"}'
        assert second.prompt.startswith(first.prompt)
        assert reason in second.prompt
        assert [event.reason for event in story.events if isinstance(event, ChunkRetryScheduled)] == ["malformed"]
        assert story.result.chunks["r[1]"].text == '[{"id":"R1","ok":true},{"id":"R2","ok":true}]'
        (told,) = [each for each in story.events if isinstance(each, ChunkSucceeded) and each.chunk_id == "r[1]"]
        assert told.output_tokens > len(text) // 4
        again = await play(plan_of(), folder, runner=SimulatedRunner(latency_s=0))
        assert again.started == []

    asyncio.run(scene())


def test_never_the_right_form(folder: Path) -> None:
    """After its attempts the chunk has failed; the rows stand in the file of what failed, until they have records."""

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0, answers={"r[2]": "No."})
        story = await play(plan_of(max_attempts=2), folder, runner=runner)
        failed = story.only(ChunkFailed)
        assert (failed.chunk_id, failed.error_type, failed.attempt) == ("r[2]", "malformed", 2)
        assert story.result.status == "partial"
        (line,) = (folder / "out.failed.jsonl").read_text().splitlines()
        told = json.loads(line)
        assert (told["chunk_id"], told["source"], told["error_type"]) == ("r[2]", "R3, R4", "malformed")
        assert [row["id"] for row in told["rows"]] == ["R3", "R4"]
        assert story.only(RunStitched).failed_path == str(folder / "out.failed.jsonl")
        again = await play(plan_of(max_attempts=2), folder, runner=SimulatedRunner(latency_s=0))
        assert again.started == ["r[2]"]
        assert again.only(RunStitched).failed_path is None

    asyncio.run(scene())
    assert sorted(path.name for path in folder.glob("out*")) == ["out.jsonl", "out.jsonl.map.json"]


def test_a_failed_row_keeps_its_numbers(tmp_path: Path) -> None:
    """As they stand in the table; so they do in the prompt."""
    row = '{"id": "R1", "price": 1.10, "big": 1e400}'
    (tmp_path / "rows.jsonl").write_text(row + "\n")
    plan = {
        "inputs": {"rows": {"rows": "rows.jsonl", "key": "id"}},
        "chunks": [
            {
                "id": "r",
                "for_each": {"input": "rows"},
                "prompt": "{{ item.text }} {{ item.row.price }}",
                "fields": {"ok": "boolean"},
                "max_attempts": 1,
            }
        ],
        "stitch": {"format": "jsonl", "output": "out.jsonl"},
    }
    runner = SimulatedRunner(latency_s=0, answers={"r[1]": "No."})
    asyncio.run(play(plan, tmp_path, runner=runner))
    assert runner.requests[0].prompt == f"{row} 1.10"
    assert f'"row": {row}' in (tmp_path / "out.failed.jsonl").read_text()


def test_a_file_of_failed_rows_that_is_not_ours_is_refused(folder: Path) -> None:
    """Before anything is paid."""
    (folder / "out.failed.jsonl").write_text("mine")
    with pytest.raises(Exception, match=r"out\.failed\.jsonl"):
        run_plan(plan_of(), base_dir=folder, store=folder / "store.db", runner=SimulatedRunner(latency_s=0))
    assert (folder / "out.failed.jsonl").read_text() == "mine"


def test_a_list_that_is_cut_is_asked_for_in_halves(folder: Path) -> None:
    """A batch whose records exceed the output limit runs as two; their records are those of the batch."""

    def respond(request: Request) -> str | Failure:
        names = wanted(request)
        if len(names) > 2:
            return Failure(error_type=FailureClass.OUTPUT_CEILING, message="cut", partial_text='{"items": [')
        return records(*names)

    async def scene() -> None:
        batch = {"input": "rows", "batch": 5}
        names = ("r[1]", "r[1.1]", "r[1.2]", "r[1.2.1]", "r[1.2.2]")
        runner = SimulatedRunner(latency_s=0, answers=dict.fromkeys(names, respond))
        story = await play(plan_of(for_each=batch), folder, runner=runner)
        assert [wanted(request) for request in runner.requests] == [
            ["R1", "R2", "R3", "R4", "R5"],
            ["R1", "R2"],
            ["R3", "R4", "R5"],
            ["R3"],
            ["R4", "R5"],
        ]
        assert story.result.data == [{"id": f"R{at}", "ok": True} for at in range(1, 6)]
        again = await play(plan_of(for_each=batch), folder, runner=SimulatedRunner(latency_s=0))
        assert again.started == []

    asyncio.run(scene())


def test_answers_of_another_form_never_stand_in(folder: Path) -> None:
    """A field more, a batch of another size, or text instead of records: each is asked for anew; the same is reused."""
    runs: list[dict[str, Any]] = [
        plan_of(for_each={"input": "rows"}),
        plan_of(for_each={"input": "rows"}, fields={**FIELDS, "more": "string"}),
        plan_of(for_each={"input": "rows"}, fields={"ok": "boolean"}),
        plan_of(for_each={"input": "rows"}, fields=None),
    ]

    async def scene() -> None:
        for plan in runs:
            plan["chunks"][0] = {key: value for key, value in plan["chunks"][0].items() if value is not None}
            story = await play(plan, folder, runner=SimulatedRunner(latency_s=0))
            assert len(story.started) == 5
        for plan in runs:
            story = await play(plan, folder, runner=SimulatedRunner(latency_s=0))
            assert len(story.ids(ChunkReused)) == 5

    asyncio.run(scene())


def test_a_result_that_does_not_fit_the_plan_is_not_complete(tmp_path: Path) -> None:
    """Every chunk has its answer, and still: status partial, exit 1, the reason told, the file beside the target."""
    plan: dict[str, Any] = {
        "name": "p",
        "chunks": [{"id": name, "prompt": name} for name in ("a", "b")],
        "stitch": {
            "format": "json",
            "combine": "merge",
            "output": "out.json",
            "output_schema": {"type": "object", "required": ["total"]},
        },
    }

    async def scene() -> None:
        runner = SimulatedRunner(latency_s=0, answers={"a": '{"x": 1.50}', "b": '{"y": 2}'})
        story = await play(plan, tmp_path, runner=runner)
        assert (story.result.status, story.result.exit_code) == ("partial", 1)
        assert story.only(RunStitched).problems == ("the result does not fit `output_schema`: it lacks `total`",)
        assert (tmp_path / "out.incomplete.json").read_text() == '{\n  "x": 1.50,\n  "y": 2\n}\n'
        assert not (tmp_path / "out.json").exists()
        with pytest.raises(RunIncompleteError, match="lacks `total`"):
            story.result.raise_for_failure()
        plan["stitch"]["output_schema"] = {"type": "object", "required": ["x"]}
        again = await play(plan, tmp_path, runner=SimulatedRunner(latency_s=0))
        assert (again.result.status, again.started) == ("complete", [])

    asyncio.run(scene())
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.json", "out.json.map.json"]


def test_a_conflict_that_no_rule_settles_is_not_complete(tmp_path: Path) -> None:
    """With a rule it is, and a note says what was settled."""
    plan: dict[str, Any] = {
        "name": "p",
        "chunks": [{"id": name, "prompt": name} for name in ("a", "b")],
        "stitch": {"format": "json", "combine": "merge"},
    }

    async def scene() -> None:
        answers: dict[str, Any] = {"a": '{"x": 1}', "b": '{"x": 2}'}
        story = await play(plan, tmp_path, runner=SimulatedRunner(latency_s=0, answers=answers))
        assert story.result.status == "partial"
        assert "`x` of b" in story.result.problems[0]
        plan["stitch"]["conflicts"] = "last"
        settled = await play(plan, tmp_path, runner=SimulatedRunner(latency_s=0))
        assert (settled.result.status, settled.result.data) == ("complete", {"x": 2})
        assert "the last was kept" in settled.only(RunStitched).notes[0]

    asyncio.run(scene())


def test_an_array_of_its_own_schema(tmp_path: Path) -> None:
    """An `output_schema` of an array is asked for inside an object; the answer is the array."""
    schema = {"type": "array", "items": {"type": "number"}, "minItems": 2}
    plan = {"name": "p", "chunks": [{"id": "a", "prompt": "x", "output_schema": schema}], "stitch": {"format": "json"}}

    async def scene() -> None:
        answers: dict[str, Any] = {"a": '{"items": [1.10, 12345678901234567890]}'}
        story = await play(plan, tmp_path, runner=SimulatedRunner(latency_s=0, answers=answers))
        assert story.result.chunks["a"].text == "[1.10,12345678901234567890]"

    asyncio.run(scene())


def test_each_line_says_where_it_comes_from(tmp_path: Path) -> None:
    """The file, item or row of a piece; what is no object stands under `value`. `show` gives the same again."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(name)
    (tmp_path / "plan.yaml").write_text(
        """
inputs: {files: {files: "*.txt"}}
chunks:
  - {id: r, for_each: {input: files}, prompt: "{{ item.text }}"}
  - {id: plain, prompt: x}
stitch: {format: jsonl, source_field: file}
"""
    )
    answers: dict[str, Any] = {"r[1]": '[{"n": 1.10}, {"n": 2, "file": "c.txt"}]', "r[2]": "text", "plain": "{}"}
    store = tmp_path / "store.db"
    runner = SimulatedRunner(latency_s=0, answers=answers)
    result = run_plan(tmp_path / "plan.yaml", runner=runner, store=store)
    assert result.text.splitlines() == [
        '{"file": "a.txt", "n": 1.10}',
        '{"file": "a.txt", "n": 2}',
        '{"file": "b.txt", "value": "text"}',
        '{"file": "plain"}',
    ]
    assert recall_result(result.run_id, store=store) == result.text


def test_lines_of_a_batch_say_their_row(folder: Path) -> None:
    """Where the records name their rows; otherwise the plan is refused, since their order alone proves nothing."""
    plan = plan_of()
    plan["stitch"]["source_field"] = "row"
    plan["chunks"][0]["fields"] = {"ok": "boolean"}
    options: dict[str, Any] = {"base_dir": folder, "store": folder / "store.db", "runner": SimulatedRunner(latency_s=0)}
    with pytest.raises(PlanError, match="answers for several rows at once"):
        run_plan(plan, **options)
    plan["chunks"][0]["fields"] = FIELDS
    result = run_plan(plan, **options)
    assert [row["row"] for row in result.data] == [row["id"] for row in result.data] == ["R1", "R2", "R3", "R4", "R5"]


def test_a_record_is_judged_by_what_is_expected_too(folder: Path) -> None:
    """The form first, then `expect`; made-up answers meet an expected schema as well."""

    async def scene() -> None:
        plan = plan_of(expect={"contains": "true"}, max_attempts=2, for_each={"input": "rows", "batch": 5})
        runner = SimulatedRunner(latency_s=0, answers={"r[1]": records(*(f"R{at}" for at in range(1, 6)), ok=False)})
        story = await play(plan, folder, runner=runner)
        assert story.only(ChunkFailed).error_type == "rejected"
        wanted_form = {"id": "a", "prompt": "x", "expect": {"json_schema": {"type": "object", "required": ["n"]}}}
        told = await play({"name": "q", "chunks": [wanted_form]}, folder, runner=SimulatedRunner(latency_s=0))
        assert told.result.status == "complete"

    asyncio.run(scene())


def test_the_schema_of_the_whole_is_not_that_of_a_part(tmp_path: Path) -> None:
    """A part of a plan, and the planner's own answer, are complete without fitting it."""
    stitch = {
        "format": "json",
        "output_schema": {"type": "object", "required": ["a", "b"]},
        "expect": {"contains": "a"},
    }
    options: dict[str, Any] = {"store": tmp_path / "store.db", "runner": SimulatedRunner(latency_s=0)}
    plan = {"name": "p", "chunks": [{"id": name, "prompt": name} for name in ("a", "b")], "stitch": stitch}
    assert run_plan(plan, only=["b"], **options).status == "complete"
    assert run_plan(plan, **options).status == "complete"
    planned = plan_request({"name": "q", "request": "Two facts.", "stitch": stitch}, max_cost_usd=1.0, **options)
    assert planned.run.status == "complete"
    assert planned.plan is not None
