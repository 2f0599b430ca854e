"""A long handbook through `for_each` and `reduce` on the real CLI, down to the bytes that the API saw."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.plan.tokens import count_tokens
from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer, error

PLAN = """
inputs: {handbook: handbook.md}
chunks:
  - id: part
    for_each: {input: handbook, split: markdown, max_tokens: 60000}
    prompt: "TASK-part\\n{{ item.text }}"
  - id: summary
    reduce: {chunk: part, max_tokens: 1200, final_prompt: "TASK-last\\n{{ parts }}"}
    prompt: "TASK-merge\\n{{ parts }}"
stitch: {output: summary.md}
"""
SECTION = """
## Section {at}: how stage {at} works

Stage {at} takes what stage {before} made and hands it on, unless the gauge at valve {at} shows more than {limit} bar.
When it does, the crew closes the valve, notes the time in the book, and asks the tower for a second reading.

```sh
# Step {at} is no heading.
open-valve --stage {at} --limit {limit}
```

| reading | meaning |
|---|---|
| {limit} | normal for stage {at} |
| {more} | close at once |
"""


def handbook(sections_wanted: int = 4900) -> str:
    """Markdown with fences and tables, two megabytes of it unless less is wanted."""
    numbers = range(1, sections_wanted)
    sections = [SECTION.format(at=at, before=at - 1, limit=at % 90, more=at % 90 + 10) for at in numbers]
    return "# The handbook\n" + "".join(sections)


def summary_of(request: ApiRequest) -> ApiResponse:
    """About 300 tokens that name the first section of the piece."""
    first = re.search(r"## Section (\d+)", request.prompt)
    return answer(f"PART from {first[1] if first else '?'}: " + "the crew closes the valve and notes the time " * 30)


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    """The command in a folder with the handbook and its plan."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "handbook.md").write_text(handbook(), encoding="utf-8")
    (folder / "plan.yaml").write_text(PLAN)
    standin_api.when("TASK-part", summary_of)
    standin_api.when("TASK-merge", answer("MERGED. " + "valves and books " * 90))
    standin_api.when("TASK-last", answer("The whole handbook in a line."))
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def parts_in(request: ApiRequest) -> list[str]:
    """The ids of the answers in a merge prompt, in order."""
    return re.findall(r'<answer id="([^"]+)"', request.prompt)


def test_a_handbook_of_two_megabytes_becomes_one_summary(command: Command, standin_api: StandInApi) -> None:
    """Every byte reaches one prompt, every answer one merge, no prompt is above its budget; then an edit is cheap."""
    done = command.run("plan.yaml", "--progress", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (command.folder / "summary.md").read_text() == "The whole handbook in a line."
    bodies = {request.prompt for request in standin_api.requests_for("TASK-part")}
    pieces = sorted((body.removeprefix("TASK-part\n") for body in bodies), key=handbook().find)
    assert "".join(pieces) == handbook()
    assert len(pieces) >= 8
    assert all(count_tokens(piece) <= 60000 for piece in pieces)
    assert all(piece.count("```") % 2 == 0 for piece in pieces), "no cut in a fence"
    merges = standin_api.requests_for("TASK-merge")
    merged = [each for request in sorted(merges, key=lambda request: parts_in(request)) for each in parts_in(request)]
    assert sorted(each for each in merged if each.startswith("part")) == sorted(
        f"part[{at}]" for at in range(1, len(pieces) + 1)
    )
    (last,) = standin_api.requests_for("TASK-last")
    assert all(each.startswith("summary[") for each in parts_in(last))
    assert all(count_tokens(each.prompt.partition("\n")[2]) <= 1200 for each in [*merges, last])
    handbook_file = command.folder / "handbook.md"
    handbook_file.write_text(handbook().replace("Stage 2000 takes", "Stage 2000 gladly takes"), encoding="utf-8")
    edited = command.run("plan.yaml", "--progress", "json")
    assert len([each for each in edited.ids("chunk_started") if each.startswith("part")]) == 1
    assert edited.exit_code == 0


def test_a_piece_that_fails_for_good_leaves_a_gap_in_the_summary(command: Command, standin_api: StandInApi) -> None:
    """The merge goes on and says so; the result is written beside the complete one, and the exit code is 1."""
    (command.folder / "handbook.md").write_text(handbook(400), encoding="utf-8")
    (command.folder / "plan.yaml").write_text(PLAN.replace("60000", "10000"))
    standin_api.when("## Section 200:", *([error(400, "this prompt will never do")] * 4))
    done = command.run("plan.yaml", "--progress", "json")
    assert done.exit_code == 1
    (failed,) = done.ids("chunk_failed")
    shown = [request for request in standin_api.requests if f"[missing: {failed}, invalid_request]" in request.prompt]
    assert len(shown) == 1
    assert (command.folder / "summary.incomplete.md").read_text() == "The whole handbook in a line."
    assert not (command.folder / "summary.md").exists()


def test_a_text_that_was_split_is_not_split_again(command: Command, standin_api: StandInApi) -> None:
    """Another prompt over the same text sends the same pieces, as the store kept them: no split is added to it."""
    (command.folder / "handbook.md").write_text(handbook(1000), encoding="utf-8")
    bodies: list[set[str]] = []
    for words in ("TASK-part", "TASK-part again"):
        (command.folder / "plan.yaml").write_text(PLAN.replace("TASK-part", words).replace("60000", "12000"))
        standin_api.when(f"{words}\n", summary_of)
        assert command.run("plan.yaml", "--progress", "json").exit_code == 0
        sent = {request.prompt for request in standin_api.requests_for(f"{words}\n")}
        bodies.append({body.removeprefix(f"{words}\n") for body in sent})
        with closing(sqlite3.connect(command.folder / ".orchestrate" / "store.db")) as store:
            (kept,) = store.execute("SELECT key, used_at FROM texts WHERE value LIKE '%The handbook%'").fetchall()
        bodies[-1].add(kept[0])
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > 8
