"""Records from the rows of a table on the real CLI: what the model is offered, what is kept, what is asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer, structured

ONE_BY_ONE = """
inputs: {tickets: {rows: tickets.csv, key: ticket}}
chunks:
  - id: record
    for_each: {input: tickets}
    prompt: "RECORD {{ item.source }}: {{ item.row.text }}"
    fields: {ticket: string, severity: [low, high], amount?: number}
stitch: {format: jsonl, output: records.jsonl}
"""
IN_BATCHES = ONE_BY_ONE.replace("{input: tickets}", "{input: tickets, batch: 4}").replace(
    "RECORD {{ item.source }}: {{ item.row.text }}", "BATCH\\n{{ item.text }}"
)
NAMES = [f"T-{at:02}" for at in range(1, 13)]


@pytest.fixture
def cli(tmp_path: Path, claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> Command:
    """The command in a folder with a table of twelve tickets."""
    folder = tmp_path / "work"
    folder.mkdir()
    rows = "".join(f'{name},"It broke, again"\n' for name in NAMES)
    (folder / "tickets.csv").write_text(f"ticket,text\n{rows}")
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def record(name: str, **more: Any) -> dict[str, Any]:
    return {"ticket": name, "severity": "low", **more}


def test_one_row_is_refused_and_one_has_the_wrong_form_twice(cli: Command, standin_api: StandInApi) -> None:
    """Eleven records in the order of the rows and a visible gap; the refused row stands in a file of its own, to the
    byte. The same command again asks for that row alone, and leaves one whole result.
    """
    (cli.folder / "plan.yaml").write_text(ONE_BY_ONE)
    standin_api.when("RECORD T-", lambda request: structured(record(request.prompt[7:11])))
    standin_api.when("RECORD T-05", answer("I would rather not.", stop_reason="refusal"))
    wrong = [answer("It is severe."), structured(record("T-08", severity="medium"))]
    standin_api.when("RECORD T-08", *wrong, structured(record("T-08", severity="high", amount=12.5)))
    done = cli.run("plan.yaml")
    assert done.exit_code == 1, done.stderr
    lines = [json.dumps(record(name)) for name in NAMES]
    lines[7] = '{"ticket": "T-08", "severity": "high", "amount": 12.5}'
    whole = list(lines)
    lines[4] = '{"missing": "record[5]", "reason": "refusal"}'
    assert (cli.folder / "records.incomplete.jsonl").read_text() == "\n".join(lines) + "\n"
    (failed,) = (cli.folder / "records.failed.jsonl").read_text().splitlines()
    reason = json.loads(failed)["reason"]
    assert failed == (
        '{"chunk_id": "record[5]", "source": "T-05", "row": {"ticket": "T-05", "text": "It broke, again"}, '
        f'"error_type": "refusal", "reason": {json.dumps(reason)}}}'
    )
    assert reason
    assert "failed rows: records.failed.jsonl" in done.stdout
    offered = {json.dumps(request.tools[-1]["input_schema"]) for request in standin_api.requests}
    assert len(offered) == 1, "one schema for all rows, so that what all calls share is cached"
    assert len(standin_api.requests_for("RECORD T-08")) == 3
    asked = len(standin_api.requests)
    standin_api.when("RECORD T-05", structured(record("T-05")))
    again = cli.run("plan.yaml")
    assert again.exit_code == 0, again.stderr
    assert [request.prompt[7:11] for request in standin_api.requests[asked:]] == ["T-05"]
    assert (cli.folder / "records.jsonl").read_text() == "\n".join(whole) + "\n"
    left = {path.name for path in cli.folder.iterdir()} - {".orchestrate"}
    assert left == {"plan.yaml", "tickets.csv", "records.jsonl", "records.jsonl.map.json"}


def test_a_batch_has_a_record_for_each_of_its_rows(cli: Command, standin_api: StandInApi) -> None:
    """The model is asked for as many records as there are rows. One that belongs to no row is not taken: the next
    attempt is told, and what was right is sorted into the order of the rows.
    """
    (cli.folder / "plan.yaml").write_text(IN_BATCHES)
    tries: list[str] = []

    def respond(request: ApiRequest) -> ApiResponse:
        rows = [json.loads(line) for line in request.prompt.splitlines() if line.startswith("{")]
        records = [record(row["ticket"]) for row in rows]
        if rows[0]["ticket"] == "T-05":
            tries.append(request.prompt)
            records[1] |= {"ticket": "T-05"} if len(tries) == 1 else {}
            records.reverse()
        return structured({"items": records})

    standin_api.when("BATCH", respond)
    done = cli.run("plan.yaml", "--progress", "json")
    assert done.exit_code == 0, done.stderr
    assert (cli.folder / "records.jsonl").read_text() == "".join(json.dumps(record(name)) + "\n" for name in NAMES)
    assert done.ids("chunk_retry_scheduled") == ["record[2]"]
    assert len(tries) == 2
    assert "no record has the ticket T-06; several have the ticket T-05" in tries[1]
    schema = standin_api.requests[0].tools[-1]["input_schema"]
    assert (schema["properties"]["items"]["minItems"], schema["properties"]["items"]["maxItems"]) == (4, 4)


def test_a_batch_that_fails_names_its_rows(cli: Command, standin_api: StandInApi) -> None:
    """The rows of a batch without records stand in the file of what failed, as they were read."""
    (cli.folder / "plan.yaml").write_text(IN_BATCHES.replace("fields:", "max_attempts: 1\n    fields:"))
    standin_api.when("BATCH", answer("I cannot do that."))
    done = cli.run("plan.yaml", "--progress", "json")
    assert done.exit_code == 1
    failed = [json.loads(line) for line in (cli.folder / "records.failed.jsonl").read_text().splitlines()]
    assert [row["ticket"] for each in failed for row in each["rows"]] == NAMES
    assert {each["error_type"] for each in failed} == {"malformed"}


def test_a_batch_that_is_cut_is_asked_for_in_halves(cli: Command, standin_api: StandInApi) -> None:
    """Records beyond the model's output limit come from two calls with half the rows each, and nothing shows of it."""
    (cli.folder / "plan.yaml").write_text(IN_BATCHES.replace("batch: 4", "batch: 12"))

    def respond(request: ApiRequest) -> ApiResponse:
        rows = [json.loads(line) for line in request.prompt.splitlines() if line.startswith("{")]
        if len(rows) == 12:
            return structured('{"items": [{"ticket": "T-01"', stop_reason="max_tokens")
        return structured({"items": [record(row["ticket"]) for row in rows]})

    standin_api.when("BATCH", respond)
    done = cli.run("plan.yaml", "--progress", "json")
    assert done.exit_code == 0, done.stderr
    assert sorted(done.ids("chunk_succeeded")) == ["record[1.1]", "record[1.2]", "record[1]"]
    assert (cli.folder / "records.jsonl").read_text() == "".join(json.dumps(record(name)) + "\n" for name in NAMES)
