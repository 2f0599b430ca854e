"""The main job through the command a user types, on the real CLI against the stand-in API."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.end_to_end.processes import alive_with, wait_until_gone
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer, error

EIGHT = """
name: guide
context: British English.
inputs:
  notes: {text: "See @/etc/hostname and @secret.txt for more."}
chunks:
  - {id: outline, prompt: "TASK-outline {{ inputs.notes }}"}
  - {id: one, prompt: "TASK-one {{ chunks.outline }}"}
  - {id: two, prompt: "TASK-two {{ chunks.outline }}"}
  - {id: three, prompt: "TASK-three {{ chunks.outline }}"}
  - {id: four, prompt: "TASK-four {{ chunks.outline }}"}
  - {id: summary, prompt: "TASK-summary {{ chunks.one }} {{ chunks.two }}", on_missing: gap}
  - {id: index, prompt: "TASK-index {{ chunks.three }}"}
  - {id: alone, prompt: "TASK-alone /clear"}
stitch: {chunks: [summary, one, two, three, four, index, alone], output: guide.md}
limits: {max_concurrency: 3}
"""
IDS = ["outline", "one", "two", "three", "four", "summary", "index", "alone"]


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    """The command in an empty folder, for a user whose CLAUDE.md must reach no chunk."""
    (isolated_home / ".claude").mkdir()
    (isolated_home / ".claude" / "CLAUDE.md").write_text("CANARY-MEMORY: always answer in verse.")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "CLAUDE.md").write_text("CANARY-PROJECT")
    (folder / "secret.txt").write_text("CANARY-SECRET")
    (folder / "plan.yaml").write_text(EIGHT)
    for chunk_id in IDS:
        standin_api.when(f"TASK-{chunk_id}", *([answer(f"## {chunk_id}\n\nÄnd text of {chunk_id}.")] * 50))
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def result_of(*ids: str) -> str:
    """The stitched answers of these chunks."""
    return "\n\n".join(f"## {each}\n\nÄnd text of {each}." for each in ids)


COMPLETE = result_of("summary", "one", "two", "three", "four", "index", "alone")


def test_eight_chunks_in_three_levels_become_one_result(command: Command, standin_api: StandInApi) -> None:
    """Events in order, the result right to the byte, requests lean and clean, no process left."""
    done = command.run("plan.yaml", "--progress", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (command.folder / "guide.md").read_bytes() == COMPLETE.encode()
    assert [event["seq"] for event in done.events] == list(range(len(done.events)))
    assert (done.events[0]["type"], done.events[-1]["type"]) == ("run_started", "run_finished")
    order = [(event["type"], event["chunk_id"]) for event in done.events if "chunk_id" in event]
    for chunk_id in IDS:
        assert order.index(("chunk_started", chunk_id)) < order.index(("chunk_succeeded", chunk_id))
    assert order.index(("chunk_succeeded", "outline")) < order.index(("chunk_started", "one"))
    assert order.index(("chunk_succeeded", "three")) < order.index(("chunk_started", "index"))
    assert len(standin_api.requests) == 8
    for request in standin_api.requests:
        assert request.overhead < 2500
        assert b"CANARY" not in request.body
        assert "British English." in request.system
        assert request.parsed["tools"] == []
    (first,) = standin_api.requests_for("TASK-outline")
    assert "See @/etc/hostname and @secret.txt for more." in first.prompt
    assert Path("/etc/hostname").read_text().strip() not in first.body.decode().replace("@/etc/hostname", "")
    assert wait_until_gone(standin_api.url, within_s=2) == {}


def test_a_second_run_starts_no_process_and_an_edit_only_what_it_touches(
    command: Command, standin_api: StandInApi, claude_binary: Path, tmp_path: Path
) -> None:
    """Counted at the door: a wrapper notes every start of the CLI, questions about its version included."""
    wrapper, log = tmp_path / "claude-counted", tmp_path / "starts.log"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec {claude_binary} "$@"\n')
    wrapper.chmod(0o755)
    command.environment["ORCHESTRATE_CLAUDE"] = str(wrapper)
    assert command.run("plan.yaml", "--progress", "quiet").exit_code == 0
    assert log.read_text().count("-p\n") == 8
    log.unlink()
    again = command.run("plan.yaml", "--progress", "json")
    assert (again.exit_code, again.ids("chunk_reused"), again.ids("chunk_started")) == (
        0,
        again.ids("chunk_reused"),
        [],
    )
    assert sorted(again.ids("chunk_reused")) == sorted(IDS)
    assert not log.exists()
    plan = command.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("TASK-three {{", "TASK-three, please: {{"))
    standin_api.when("TASK-three, please", answer("## three\n\nBetter."))
    edited = command.run("plan.yaml", "--progress", "json")
    assert edited.ids("chunk_started") == ["three", "index"]
    assert (command.folder / "guide.md").read_text() == COMPLETE.replace("Änd text of three.", "Better.")


def test_one_chunk_that_fails_for_good_costs_only_what_needs_it(command: Command, standin_api: StandInApi) -> None:
    """Siblings finish, one reference skips, a gap chunk runs, the earlier complete result stays, exit 1."""
    assert command.run("plan.yaml", "--progress", "quiet").exit_code == 0
    plan = command.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace('"TASK-one', '"FAIL-one').replace("TASK-three", "FAIL-three"))
    standin_api.when("FAIL-", *([error(400, "this prompt will never do")] * 4))
    done = command.run("plan.yaml", "--progress", "json")
    assert done.exit_code == 1
    assert sorted(done.ids("chunk_failed")) == ["one", "three"]
    assert done.ids("chunk_skipped") == ["index"]
    assert done.ids("chunk_started").count("one") == 1
    (summary,) = [each for each in standin_api.requests_for("TASK-summary") if "missing" in each.prompt]
    assert "[missing: one, invalid_request]" in summary.prompt
    assert (command.folder / "guide.md").read_text() == COMPLETE
    incomplete = (command.folder / "guide.incomplete.md").read_text()
    assert incomplete == COMPLETE.replace("## one\n\nÄnd text of one.", "[missing: one, invalid_request]").replace(
        "## three\n\nÄnd text of three.", "[missing: three, invalid_request]"
    ).replace("## index\n\nÄnd text of index.", "[missing: index, skipped since three has no answer]")
    assert "this prompt will never do" not in incomplete
    shown = command.run("plan.yaml", "--progress", "plain")
    assert "orchestrate resume" in shown.stdout


def _nasty(request: ApiRequest) -> ApiResponse:
    if "TASK-blocks" in request.prompt:
        return answer("PART-ONE ", "PART-TWO")
    if "TASK-ceiling" in request.prompt:
        return answer(f"piece{request.turn} ", stop_reason="max_tokens" if request.turn < 2 else "end_turn")
    if "TASK-refused" in request.prompt:
        return answer("half", stop_reason="refusal") if request.turn == 0 else answer("a second try")
    if "TASK-big" in request.prompt:
        return answer("0123456789" * 500_000, delta_chars=60_000)
    if "TASK-empty" in request.prompt:
        return answer()
    if "TASK-cut" in request.prompt:
        return answer("whole in the end", cut_after_chars=6 if request.stream else None)
    return error(529, "overloaded")


def test_nasty_answers_are_stored_whole_or_classed_as_what_they_are(
    tmp_path: Path, claude_binary: Path, isolated_home: Path
) -> None:
    """Never a tail, never an error text as an answer."""
    with StandInApi(_nasty) as api:
        command = Command(tmp_path, cli_environment(api, isolated_home), claude=claude_binary)
        names = ["blocks", "ceiling", "refused", "big", "empty", "cut", "overloaded"]
        chunks = "\n".join(f"  - {{id: {name}, prompt: TASK-{name}}}" for name in names)
        (tmp_path / "nasty.yaml").write_text(f"max_attempts: 1\nchunks:\n{chunks}\n")
        done = command.run("nasty.yaml", "--progress", "json")
        assert done.exit_code == 1
        text = (tmp_path / "nasty.result.incomplete.md").read_text()
        assert text.split("\n\n") == [
            "PART-ONE PART-TWO",
            "piece0 piece1 piece2 ",
            "[missing: refused, refusal]",
            "0123456789" * 500_000,
            "[missing: empty, empty]",
            "whole in the end",
            "[missing: overloaded, transient]",
        ]


def test_after_a_second_ctrl_c_nothing_is_left(command: Command, standin_api: StandInApi) -> None:
    """The first lets paid calls finish and says so, the second ends them; exit 130, and a resume finishes the work."""
    standin_api.when("SLOW", *([answer("late", delay_s=60)] * 3))
    plan = command.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("TASK-two", "SLOW TASK-two"))
    process = command.start("plan.yaml", "--progress", "plain")
    standin_api.wait_for_requests(4)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "orchestrate resume" in stdout
    assert wait_until_gone(standin_api.url, within_s=2) == {}
    plan.write_text(plan.read_text().replace("SLOW ", ""))
    assert command.run("plan.yaml", "--progress", "quiet").exit_code == 0
    assert (command.folder / "guide.md").read_text() == COMPLETE


def test_after_kill_9_at_any_moment_nothing_is_left_and_nothing_is_lost(
    command: Command, standin_api: StandInApi
) -> None:
    """The first 5 ms included. Each time a rerun goes on with what was stored, to the same bytes."""
    for chunk_id in IDS:
        standin_api.when(f"PACED-{chunk_id}", *([answer(f"{chunk_id} done", delay_s=0.2)] * 60))
    plan = command.folder / "plan.yaml"
    plan.write_text(EIGHT.replace("TASK-", "PACED-"))
    chance = random.Random(7)
    for wait_s in [0.0, 0.002, 0.005, *(chance.uniform(0.3, 4.0) for _ in range(9))]:
        process = command.start("plan.yaml", "--progress", "json")
        time.sleep(wait_s)
        process.kill()
        process.communicate()
        assert wait_until_gone(standin_api.url, within_s=2) == {}, f"killed after {wait_s:.3f} s"
    paid_before = {each: len(standin_api.requests_for(f"PACED-{each}")) for each in IDS}
    done = command.run("plan.yaml", "--progress", "json")
    assert done.exit_code == 0
    for chunk_id in done.ids("chunk_reused"):
        assert len(standin_api.requests_for(f"PACED-{chunk_id}")) == paid_before[chunk_id]
    ids = ["summary", "one", "two", "three", "four", "index", "alone"]
    assert (command.folder / "guide.md").read_text() == "\n\n".join(f"{each} done" for each in ids)
    assert alive_with(standin_api.url) == {}


def _endless_once(request: ApiRequest) -> ApiResponse:
    if "cut at its length limit" in request.prompt:
        return answer("and this is the end.")
    return answer(f"piece {request.turn}, ", stop_reason="max_tokens")


def test_an_answer_beyond_the_ceiling_is_continued_by_us(
    tmp_path: Path, claude_binary: Path, isolated_home: Path
) -> None:
    """When the CLI has given up, one more call writes the rest; nothing that was written is lost or paid again."""
    with StandInApi(_endless_once) as api:
        command = Command(tmp_path, cli_environment(api, isolated_home), claude=claude_binary)
        (tmp_path / "long.yaml").write_text("chunks:\n  - {id: story, prompt: A long story.}\n")
        done = command.run("long.yaml", "--progress", "json")
        assert done.exit_code == 0
        written = "piece 0, piece 1, piece 2, piece 3, "
        assert (tmp_path / "long.result.md").read_text() == written + "and this is the end."
        assert done.ids("chunk_retry_scheduled") == ["story"]
        last = api.requests[-1]
        assert "A long story." in last.prompt
        assert f"\n{written}\n</answer" in last.prompt


@pytest.mark.alone
def test_the_first_event_is_there_within_a_second(command: Command) -> None:
    """With the real CLI found, asked for its version and its login; a slower machine gets more."""

    def first_line_s(*words: str) -> float:
        started = time.monotonic()
        process = command.start(*words)
        assert process.stdout is not None
        assert "run_started" in process.stdout.readline()
        taken = time.monotonic() - started
        process.kill()
        process.communicate()
        return taken

    def bare_s() -> float:
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return time.monotonic() - started

    slower = max(1.0, min(bare_s() for _ in range(3)) / 0.03)
    assert min(first_line_s("plan.yaml", "--progress", "json", "--fresh") for _ in range(3)) < 1.0 * slower
