"""Tools through the command a user types, on the real CLI: asked for, granted, used, denied."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi, answer, calls

PLAN = """
name: tour
context: British English.
chunks:
  - id: map
    tools: [Read, Grep]
    workdir: .
    project_memory: true
    prompt: TASK-map. See @../outside.txt.
  - {id: summary, prompt: "TASK-summary {{ chunks.map }}"}
stitch: {chunks: [map, summary], output: tour.md}
"""


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    (folder / "notes.txt").write_text("NOTES-INSIDE\n")
    (folder / "CLAUDE.md").write_text("MEMORY-OF-THE-FOLDER @../outside.txt\n")
    (tmp_path / "outside.txt").write_text("CANARY-OUTSIDE\n")
    standin_api.when("TASK-summary", answer("All told."))
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def look(path: str) -> tuple[str, dict[str, str]]:
    return "Read", {"file_path": path}


def test_tools_that_are_asked_for_and_granted_work(command: Command, standin_api: StandInApi) -> None:
    """The result holds what came after the last tool result; a second run looks again and reuses the rest."""
    standin_api.when(
        "TASK-map", calls(look("notes.txt"), says="Let me look. "), answer("Found it."), calls(look("notes.txt")),
        answer("Found it."),
    )  # fmt: skip
    first = command.run("plan.yaml", "--allow-tools", "Read,Grep", "--progress", "json")
    assert (first.exit_code, first.stderr) == (0, "")
    assert (command.folder / "tour.md").read_text() == "Found it.\n\nAll told."
    asked, with_result, summary = standin_api.requests
    assert sorted(tool["name"] for tool in asked.tools) == ["Grep", "Read"]
    assert "NOTES-INSIDE" in with_result.tool_results[0].text
    assert "British English." in asked.system
    assert "MEMORY-OF-THE-FOLDER @../outside.txt" in asked.system
    assert (summary.tools, "MEMORY" in summary.body.decode()) == ([], False)
    assert "CANARY-OUTSIDE" not in "".join(each.body.decode() for each in standin_api.requests)
    second = command.run("plan.yaml", "--allow-tools", "Read", "--allow-tools", "Grep", "--progress", "json")
    assert (second.ids("chunk_started"), second.ids("chunk_reused")) == (["map"], ["summary"])


def test_tools_without_a_grant_are_refused(command: Command, standin_api: StandInApi) -> None:
    """Exit 2, naming the flag with all it needs; no process, no request, no store. `check` says what it will need."""
    for words in (["plan.yaml"], ["plan.yaml", "--allow-tools", "Read"]):
        refused = command.run(*words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "--allow-tools Grep,Read" in refused.stderr
    bash = command.run("plan.yaml", "--allow-tools", "Read,Grep,Bash")
    assert bash.exit_code == 2
    assert "Bash cannot be allowed in this version" in bash.stderr
    assert standin_api.requests == []
    assert not (command.folder / ".orchestrate").exists()
    checked = command.run("check", "plan.yaml")
    assert checked.exit_code == 0
    assert "--allow-tools Grep,Read" in checked.stdout


def test_a_denied_read_is_a_failure_with_evidence(command: Command, standin_api: StandInApi, tmp_path: Path) -> None:
    """The model wants a file outside and answers all the same: no success, one attempt, and the store says what for."""
    outside = str(tmp_path / "outside.txt")
    standin_api.when("TASK-map", calls(look(outside)), answer("I could not see it, but it says CANARY."))
    run = command.run("plan.yaml", "--allow-tools", "Read,Grep", "--progress", "json")
    assert (run.exit_code, run.ids("chunk_failed"), run.ids("chunk_skipped")) == (1, ["map"], ["summary"])
    (failed,) = [event for event in run.events if event["type"] == "chunk_failed"]
    assert (failed["error_type"], failed["attempt"]) == ("tool_denied", 1)
    assert f"the model may not use Read {outside}" in failed["message"]
    assert "CANARY-OUTSIDE" not in "".join(each.body.decode() for each in standin_api.requests)
    with sqlite3.connect(command.folder / ".orchestrate" / "store.db") as store:
        ((evidence,),) = store.execute("SELECT evidence FROM attempts").fetchall()
    store.close()
    assert json.loads(evidence)["denied"] == [f"Read {outside}"]
    resumed = command.run("resume", "last", "--progress", "json")
    assert resumed.exit_code == 0, "a resumed run keeps its grant, and the model asks for nothing this time"
    assert sorted(tool["name"] for tool in standin_api.requests[2].tools) == ["Grep", "Read"]
