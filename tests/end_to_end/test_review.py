"""Checks on answers and on the result, through the command, on the real CLI against the stand-in API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi, answer, structured

PLAN = """
name: guide
request: A guide to pumps.
chunks:
  - {id: one, prompt: TASK-one, expect: {headings: [One], no_refusal: true, max_words: 20}}
  - {id: two, prompt: "TASK-two\\n{{ chunks.one }}"}
stitch: {chunks: [one, two], output: guide.md}
"""
REVIEW = PLAN + "review: {rubric: Every part names its danger., rounds: 1}\n"


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    """The command in a folder of its own."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    standin_api.when("TASK-two", answer("## Two\n\nText two."))
    return Command(tmp_path, cli_environment(standin_api, isolated_home), claude=claude_binary)


def test_a_failing_check_is_put_right_in_one_round(command: Command, standin_api: StandInApi) -> None:
    """Only that chunk's call is paid again; its next prompt holds the reason and the answer that was sent back."""
    standin_api.when("TASK-one", answer("Text one without a heading."), answer("## One\n\nText one."))
    done = command.run("plan.yaml", "--progress", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (command.folder / "guide.md").read_text() == "## One\n\nText one.\n\n## Two\n\nText two."
    first, second, third = standin_api.requests
    assert [("TASK-one" in each.prompt, "TASK-two" in each.prompt) for each in (first, second, third)] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert "- it has no heading 'One'\n" in second.prompt
    assert "\nText one without a heading.\n</answer" in second.prompt
    assert done.ids("chunk_retry_scheduled") == ["one"]
    again = command.run("plan.yaml", "--progress", "json")
    assert again.exit_code == 0
    assert len(standin_api.requests) == 3


def test_a_check_that_never_passes_ends_partial(command: Command, standin_api: StandInApi) -> None:
    """Exit 1, the gap where the answer would stand, the reason on the screen, and an earlier result left alone."""
    (command.folder / "guide.md").unlink(missing_ok=True)
    standin_api.when("TASK-one", answer("I'm sorry, but I can't help with that."))
    done = command.run("plan.yaml")
    assert done.exit_code == 1
    assert len(standin_api.requests) == 3
    assert not (command.folder / "guide.md").exists()
    text = (command.folder / "guide.incomplete.md").read_text()
    assert text.startswith("[missing: one, rejected]")
    assert "sorry" not in text
    assert "one: failed (rejected): it has no heading 'One'; it begins like a refusal" in done.stdout
    assert "to go on: orchestrate resume" in done.stdout


def test_a_judge_sends_a_part_back_once(command: Command, standin_api: StandInApi) -> None:
    """The judge is called with a schema, its finding goes to the part it names, and the new result is judged again."""
    (command.folder / "plan.yaml").write_text(REVIEW)
    problem = {"part": "two", "problem": "Name the danger."}
    standin_api.when("TASK-one", answer("## One\n\nText one."))
    standin_api.when(
        "Judge the work below",
        structured({"verdict": "fail", "problems": [problem]}),
        structured({"verdict": "pass", "problems": []}),
    )
    standin_api.when("- Name the danger.", answer("## Two\n\nIt bursts."))
    done = command.run("plan.yaml")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (command.folder / "guide.md").read_text() == "## One\n\nText one.\n\n## Two\n\nIt bursts."
    assert "review: 1 thing to put right, 1 repair to come" in done.stdout
    assert "review: nothing to put right" in done.stdout
    judges = standin_api.requests_for("Judge the work below")
    assert ["Text two." in judges[0].prompt, "It bursts." in judges[1].prompt] == [True, True]
    shown = command.run("show", "last")
    assert shown.stdout.rstrip("\n") == "## One\n\nText one.\n\n## Two\n\nIt bursts."
    before = len(standin_api.requests)
    assert command.run("plan.yaml").exit_code == 0
    assert len(standin_api.requests) == before


def test_a_judge_that_is_never_content_ends_partial(command: Command, standin_api: StandInApi) -> None:
    """After the rounds of the plan the result goes to the incomplete file, and what remained is told: exit 1."""
    (command.folder / "plan.yaml").write_text(REVIEW)
    problem = {"part": "two", "problem": "Name the danger."}
    standin_api.when("TASK-one", answer("## One\n\nText one."))
    standin_api.when("Judge the work below", structured({"verdict": "fail", "problems": [problem]}))
    done = command.run("plan.yaml")
    assert done.exit_code == 1
    assert (command.folder / "guide.incomplete.md").exists()
    assert "not put right: two: 1 found by the rubric (orchestrate show RUN review.2)" in done.stdout
    assert command.run("show", "last", "review.2").stdout.count("Name the danger.") == 1
