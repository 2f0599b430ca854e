"""A story of ten chapters with a running summary on the real CLI, down to the bytes that the API saw."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from orchestrator.plan.tokens import count_tokens
from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer, error

BUDGET = 120
ANSWER = 300
"""Tokens, about, of a chapter."""

FIRST = '  - {id: ch1, prompt: "TASK-1. Write chapter 1."}\n'
CHAPTER = (
    '  - {{id: ch{at}, prompt: "TASK-{at}. Write chapter {at}.", carry: {{summary: true, max_tokens: {budget}}}}}\n'
)
PLAN = "mode: sequence\nchunks:\n" + FIRST + "".join(CHAPTER.format(at=at, budget=BUDGET) for at in range(2, 11))
KEEP = "Keep the running summary"


def chapter(request: ApiRequest) -> ApiResponse:
    """About `ANSWER` tokens that name their chapter."""
    at = re.search(r"TASK-(\d+)", request.prompt)
    return answer(f"CHAPTER {at[1] if at else '?'} " + "the ferry went out and the ferry came in again " * 30)


def summary(request: ApiRequest) -> ApiResponse:
    """Ten times what it may take, beginning with the chapter that it was given."""
    (at,) = re.findall(r"CHAPTER (\d+)", request.prompt)
    return answer(f"SUMMARY after {at} " + "and much more than anybody asked for happened " * 150)


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    """The command in a folder with the plan of the story."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "story.yaml").write_text(PLAN)
    standin_api.when("TASK-", chapter)
    standin_api.when(KEEP, summary)
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def asked(api: StandInApi, at: int) -> str:
    """The last prompt of a chapter."""
    return api.requests_for(f"TASK-{at}.")[-1].prompt


def keepings(api: StandInApi) -> list[str]:
    """The prompts of all keepers, in order."""
    return [request.prompt for request in api.requests_for(KEEP)]


def test_chapter_seven_knows_chapter_six(command: Command, standin_api: StandInApi) -> None:
    """Each chapter is told what was kept after the one before, cut to its budget; an edit costs what follows it."""
    done = command.run("story.yaml", "--progress", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    kept = [f"ch{at}.summary" for at in range(1, 10)]
    assert sorted(done.ids("chunk_succeeded")) == sorted([*(f"ch{at}" for at in range(1, 11)), *kept])
    assert len(standin_api.requests) == 19
    assert "SUMMARY" not in asked(standin_api, 1)
    for at in range(2, 11):
        prompt = asked(standin_api, at)
        assert f'<answer id="ch{at - 1}.summary"' in prompt
        assert prompt.count("SUMMARY after") == prompt.count(f"SUMMARY after {at - 1} ") == 1
        assert "CHAPTER" not in prompt
        assert BUDGET < count_tokens(prompt) < 2 * BUDGET
    prompts = keepings(standin_api)
    assert "There is none yet." in prompts[0]
    assert all(f"SUMMARY after {at} " in prompt for at, prompt in enumerate(prompts[1:], 1))
    assert all(count_tokens(prompt) < BUDGET + 1.2 * ANSWER + 450 for prompt in prompts)
    result = (command.folder / "story.result.md").read_text()
    assert re.findall(r"CHAPTER \d+", result) == [f"CHAPTER {at}" for at in range(1, 11)]
    assert "SUMMARY" not in result
    again = command.run("story.yaml", "--progress", "json")
    assert (again.exit_code, len(standin_api.requests)) == (0, 19)
    (command.folder / "story.yaml").write_text(PLAN.replace("Write chapter 3.", "Write chapter 3, in fog."))
    standin_api.when("in fog", answer("CHAPTER 3 lies in fog."))
    edited = command.run("story.yaml", "--progress", "json")
    assert edited.exit_code == 0
    assert edited.ids("chunk_started")[:2] == ["ch3", "ch3.summary"]
    assert not {"ch1", "ch1.summary", "ch2", "ch2.summary"} & set(edited.ids("chunk_started"))


def test_a_chapter_that_fails_costs_no_other(command: Command, standin_api: StandInApi) -> None:
    """Nothing is asked to keep what is not there: the next chapter is told the summary before it, and of the gap."""
    standin_api.when("TASK-3.", error(400, "this prompt will never do"))
    done = command.run("story.yaml", "--until", "ch5", "--progress", "json")
    assert done.exit_code == 1
    assert done.ids("chunk_failed") == ["ch3"]
    assert done.ids("chunk_skipped") == ["ch3.summary"]
    assert len(keepings(standin_api)) == 3
    prompt = asked(standin_api, 4)
    assert "SUMMARY after 2 " in prompt
    assert "[missing: ch3, invalid_request]" in prompt
    assert "SUMMARY after 4 " in asked(standin_api, 5)
    assert "CHAPTER 5" in (command.folder / "story.result.selected.incomplete.md").read_text()


def test_a_killed_story_goes_on_where_it_was(command: Command, standin_api: StandInApi) -> None:
    """Whatever is answered is not asked again, summaries included."""
    standin_api.when("TASK-5.", answer(hang=True), chapter)
    process = command.start("story.yaml", "--until", "ch6", "--progress", "json")
    standin_api.wait_for_requests(9)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = command.run("resume", "last", "--progress", "json")
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.ids("chunk_started")[:2] == ["ch5", "ch5.summary"]
    assert len(standin_api.requests) == 12
    assert "SUMMARY after 4 " in asked(standin_api, 5)
