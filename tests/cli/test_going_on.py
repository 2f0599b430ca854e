"""The command that is printed when work is left really goes on, and `status` prints the same one."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.going_on import Past, command_to_go_on
from orchestrator.store import ChunkRecord
from tests.cli.command import orchestrate
from tests.cli.test_run import read_until, start
from tests.cli.test_status_lines import RUN
from tests.equipment.fake_claude import FakeClaude

KEY = {"ANTHROPIC_API_KEY": "made-up"}
KEPT: dict[str, Any] = {
    "runner": "claude",
    "claude": None,
    "output": "/x/guide.result.md",
    "max_concurrency": None,
    "max_cost_usd": None,
    "wait_for_limits": True,
    "only": (),
    "until": (),
    "root": None,
    "is_file": True,
}
STOPPED = replace(RUN, state="stopped", options=KEPT)
HERE = Path("/x")
SAME = "3 chunks in a row failed for the same reason: declined"
LIMITED = "the usage limit lasts until 2026-03-01 14:00 UTC: 5-hour limit"


def past(reason: str, *, paid_usd: float = 0.0, estimate: tuple[int, float] | None = None, **kept: Any) -> Past:
    """A stopped run with one chunk that is paid and one that is not; `estimate` is (calls, highest cost)."""
    return Past(
        run=replace(STOPPED, reason=reason, options=KEPT | kept),
        chunks=(
            ChunkRecord(chunk_id="a", position=0, status="succeeded", cost_usd=paid_usd),
            ChunkRecord(chunk_id="b", position=1, status="cancelled"),
        ),
        estimate={"calls": estimate[0], "cost_usd_high": estimate[1]} if estimate else None,
    )


@pytest.mark.parametrize(
    ("told", "helps"),
    [
        ("lasts until 2026-03-01 14:00 UTC, longer than max_wait: 5-hour limit", " --max-wait 26h"),
        ("does not say when it ends (worth a try at 2026-03-01 14:00 UTC), longer than max_wait: x", " --max-wait 26h"),
        ("of account a lasts until 2026-02-28 13:00 UTC, longer than max_wait: x", " --max-wait 1h"),
        ("lasts until 2026-02-28 12:00 UTC, longer than max_wait: 5-hour limit", ""),
    ],
)
def test_a_limit_longer_than_max_wait(told: str, helps: str) -> None:
    """The command carries a wait that is long enough by then, and nothing once the limit is over."""
    stopped = replace(past(f"the usage limit {told}"), now=datetime(2026, 2, 28, 12, 30, tzinfo=UTC))
    assert command_to_go_on(stopped, store=None, here=HERE) == f"orchestrate resume r1{helps}"


@pytest.mark.parametrize(
    ("limit_usd", "paid_usd", "estimate", "amount"),
    [
        (5.0, 5.1, (2, 3.0), "11"),
        (5.0, 5.1, (2, 40.0), "26"),
        (5.0, 5.1, None, "11"),
        (0.000001, 0.0, (2, 0.0), "0.000002"),
        (0.015, 0.0151, (2, 0.0), "0.031"),
        (120.0, 0.0, None, "240"),
        (123.0, 0.0, None, "250"),
    ],
)
def test_cost_limit(limit_usd: float, paid_usd: float, estimate: tuple[int, float] | None, amount: str) -> None:
    """After a cost limit the command carries one that is at least twice as high, and pays for all that is left."""
    stopped = past("the cost limit of $5.00 is reached; raise it", paid_usd=paid_usd, estimate=estimate)
    stopped = replace(stopped, run=replace(stopped.run, options=KEPT | {"max_cost_usd": limit_usd}))
    assert command_to_go_on(stopped, store=None, here=HERE) == f"orchestrate resume r1 --max-cost {amount}"


def test_cost_limit_of_the_plan() -> None:
    """A limit that stands in the plan is raised just so."""
    stopped = past("the cost limit of $0.25 is reached; raise it with --max-cost")
    assert command_to_go_on(stopped, store=Path("my s.db"), here=HERE) == (
        "orchestrate resume r1 --max-cost 0.5 --store 'my s.db'"
    )


def test_token_limit() -> None:
    """After a token limit the command carries twice as many, and a run made anew is given the same."""
    stopped = past("the limit of 5,000 tokens is reached; raise it with --max-tokens")
    assert command_to_go_on(stopped, store=None, here=HERE) == "orchestrate resume r1 --max-tokens 10000"
    kept = KEPT | {"max_tokens": 5000, "max_wall_s": 90.0, "accounts": {"spare": str(HERE / "logins/spare")}}
    again = past(SAME)
    again = replace(again, run=replace(again.run, options=kept))
    assert "--max-tokens 5000 --max-wall 90 --account spare=logins/spare" in command_to_go_on(
        again, store=None, here=HERE
    )


@pytest.mark.parametrize("reason", ["the time limit of 60 s is reached", "interrupted", "not logged in", ""])
def test_plain(reason: str) -> None:
    """Where nothing stands in the way the command is plain, whether the run would wait or not."""
    for waits in (True, False):
        assert command_to_go_on(past(reason, wait_for_limits=waits), store=None, here=HERE) == "orchestrate resume r1"


def test_usage_limit() -> None:
    """A run that did not want to wait for a usage limit goes on when it does."""
    stopped = past(LIMITED, wait_for_limits=False)
    assert command_to_go_on(stopped, store=None, here=HERE) == "orchestrate resume r1 --wait"
    assert command_to_go_on(past(LIMITED), store=None, here=HERE) == "orchestrate resume r1", "it was too long to wait"


def test_same_failure() -> None:
    """What fails again and again is not asked again as it is: the plan is run anew, as it was run before."""
    assert command_to_go_on(past(SAME), store=None, here=HERE) == "orchestrate guide.yaml -o guide.result.md"
    stopped = past(
        SAME,
        runner="simulated:latency_s=0",
        claude="/opt/claude",
        output="-",
        max_concurrency=2,
        max_cost_usd=1.5,
        wait_for_limits=False,
        only=("a",),
        until=("b",),
        root="/x",
    )
    inputs = {
        "diff": {"given": "file", "sha256": "", "path": "/y/a.diff"},
        "topic": {"given": "set", "sha256": "", "text": "it's me"},
        "long": {"given": "set", "sha256": "", "text": "x" * 5000},
        "piped": {"given": "stdin", "sha256": "", "text": "y"},
        "own": {"given": "plan", "sha256": ""},
    }
    stopped = replace(stopped, run=replace(stopped.run, inputs=inputs))
    assert shlex.split(command_to_go_on(stopped, store=Path("s.db"), here=Path("/elsewhere"))) == [
        "orchestrate", "/x/guide.yaml", "--runner", "simulated:latency_s=0", "--claude", "/opt/claude",
        "--input", "diff=/y/a.diff", "--set", "topic=it's me", "--input", "long=FILE", "--input", "piped=-",
        "--root", "/x", "--only", "a", "--until", "b", "-j", "2", "--max-cost", "1.5", "--no-wait",
        "-o", "-", "--store", "s.db",
    ]  # fmt: skip


def test_same_failure_without_a_plan_file() -> None:
    """A plan that stands in no file can only be resumed."""
    assert command_to_go_on(past(SAME, is_file=False), store=None, here=HERE) == "orchestrate resume r1"


def test_every_answer_is_there_and_will_not_do() -> None:
    """To resume would end the same: what the review found something in is asked again, after an edit or as it is."""
    found = past("")
    chunks = tuple(replace(chunk, status="succeeded") for chunk in found.chunks)
    found = replace(found, run=replace(found.run, state="partial"), chunks=chunks)
    again = "orchestrate guide.yaml -o guide.result.md"
    assert command_to_go_on(found, store=None, here=HERE) == again
    assert command_to_go_on(replace(found, faulty=("b",)), store=None, here=HERE) == f"{again} --redo b"
    nowhere = replace(found, run=replace(found.run, options=KEPT | {"is_file": False}))
    assert command_to_go_on(nowhere, store=None, here=HERE) == "orchestrate resume r1"


def test_result_that_could_not_be_written() -> None:
    """The result goes to another place, of which it is sure that it takes it."""
    lost = past("cannot write /full/guide.md: No space left on device; all answers are stored")
    lost = replace(lost, run=replace(lost.run, state="complete"))
    assert command_to_go_on(lost, store=None, here=HERE) == "orchestrate resume r1 -o -"


def test_nothing_to_go_on_with() -> None:
    """A complete run is complete."""
    complete = past("")
    complete = replace(complete, run=replace(complete.run, state="complete"))
    assert command_to_go_on(complete, store=None, here=HERE) == ""


PLAN = """\
name: guide
model: sonnet
chunks:
  - {id: a, prompt: "Question one"}
  - {id: b, prompt: "Question two"}
  - {id: c, prompt: "Question three"}
mode: sequence
limits: {max_same_failure: 2%s}
"""


def next_words(folder: Path, done: subprocess.CompletedProcess[str]) -> list[str]:
    """The words of the command that `done` printed, which is the one that `status` prints."""
    printed = [line for line in done.stdout.splitlines() if line.startswith("to go on: orchestrate ")]
    assert len(printed) == 1, done.stdout
    command = printed[0].removeprefix("to go on: ")
    assert json.loads(orchestrate("status", "--json", cwd=folder).stdout)["next_command"] == command
    return shlex.split(command)[1:]


def test_raised_cost_limit_is_enough(tmp_path: Path) -> None:
    """The command printed after a cost limit, typed as it stands, comes to the end."""
    (tmp_path / "plan.yaml").write_text(PLAN % ", max_cost_usd: 0.0001")
    done = orchestrate("plan.yaml", "--runner", "simulated:latency_s=0", cwd=tmp_path)
    assert done.returncode == 4
    words = next_words(tmp_path, done)
    assert "--max-cost" in words
    assert orchestrate(*words, cwd=tmp_path).returncode == 0


def test_wall_time_is_for_each_process(tmp_path: Path) -> None:
    """After a time limit the plain command goes on."""
    (tmp_path / "plan.yaml").write_text(PLAN % ", max_wall_s: 0.5")
    done = orchestrate("plan.yaml", "--runner", "simulated:latency_s=0.4", cwd=tmp_path)
    assert done.returncode == 4
    words = next_words(tmp_path, done)
    assert words[0] == "resume"
    assert len(words) == 2
    assert "2/3" in orchestrate(*words, cwd=tmp_path).stdout


def test_waiting_after_no_wait(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """A run that stopped at a usage limit goes on with --wait, and a plain resume keeps what the run was told."""
    limit = {"is_error": True, "api_error_status": 429, "terminal_reason": "api_error"}
    limit["result"] = "You've hit your limit · resets Jan 2, 9:05am (UTC)"
    fake_claude.play("read_prompt", "init", {"error": limit["result"]}, {"result": limit})
    (tmp_path / "plan.yaml").write_text(PLAN % "")
    done = orchestrate("plan.yaml", "--no-wait", "--claude", str(fake_claude.path), cwd=tmp_path, env=KEY)
    assert done.returncode == 4, done.stdout + done.stderr
    words = next_words(tmp_path, done)
    assert words[2:] == ["--wait"]
    assert orchestrate(*words[:2], cwd=tmp_path, env=KEY).returncode == 4
    fake_claude.play("read_prompt", "init", {"text": "fake answer"}, "result")
    done = orchestrate(*words, cwd=tmp_path, env=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads(orchestrate("status", "--json", cwd=tmp_path).stdout)["options"]
    assert kept["wait_for_limits"] is True


def test_same_failure_after_mending(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """After the same failure again and again the plan is run anew, once it is mended."""
    refused = {"is_error": True, "api_error_status": 400, "terminal_reason": "api_error", "result": "API Error: 400"}
    fake_claude.play("read_prompt", "init", {"error": "API Error: 400"}, {"result": refused})
    (tmp_path / "plan.yaml").write_text(PLAN % "")
    done = orchestrate("plan.yaml", "--claude", str(fake_claude.path), cwd=tmp_path, env=KEY)
    assert done.returncode == 4, done.stdout + done.stderr
    words = next_words(tmp_path, done)
    assert words[0] == "plan.yaml"
    (tmp_path / "plan.yaml").write_text((PLAN % "").replace("Question", "Mended question"))
    fake_claude.play("read_prompt", "init", {"text": "fake answer"}, "result")
    assert orchestrate(*words, cwd=tmp_path, env=KEY).returncode == 0


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    """A complete run without its file: exit 3, and the command that is printed, by `status` too, shows the result."""
    (tmp_path / "plan.yaml").write_text(PLAN % "")
    with start(tmp_path, "--runner", "simulated:latency_s=0.3") as child:
        read_until(child, "[1/3] ")
        (tmp_path / "guide.result.md").write_text("somebody else was faster")
        done = subprocess.CompletedProcess([], child.wait(timeout=60), stdout=read_until(child, None))
    assert done.returncode == 3
    words = next_words(tmp_path, done)
    assert words[2:] == ["-o", "-"]
    assert "to go on: " in orchestrate("status", cwd=tmp_path).stdout
    shown = orchestrate(*words, cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout == orchestrate("show", "last", cwd=tmp_path).stdout


def test_resumed_run_prints_where_it_printed(tmp_path: Path) -> None:
    """A run that was started with `-o -` prints its result to stdout when it is resumed, its progress to stderr."""
    (tmp_path / "plan.yaml").write_text(PLAN % "")
    first = orchestrate("plan.yaml", "--runner", "simulated:latency_s=0", "-o", "-", cwd=tmp_path)
    again = orchestrate("resume", "last", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "goes on, 3 chunks" in again.stderr


def test_stdout_for_one_resume_alone(tmp_path: Path) -> None:
    """`resume RUN -o -` prints the result; a plain resume after it writes the file of the run again."""
    (tmp_path / "plan.yaml").write_text(PLAN % "")
    orchestrate("plan.yaml", "--runner", "simulated:latency_s=0", "-o", "guide.md", cwd=tmp_path)
    text = (tmp_path / "guide.md").read_text()
    (tmp_path / "guide.md").unlink()
    printed = orchestrate("resume", "last", "-o", "-", cwd=tmp_path)
    assert printed.stdout == text
    assert not (tmp_path / "guide.md").exists()
    plain = orchestrate("resume", "last", cwd=tmp_path)
    assert plain.stdout != text
    assert (tmp_path / "guide.md").read_text() == text


def test_changed_plan_is_run_as_it_was_run_before(tmp_path: Path) -> None:
    """The command that a refused resume names has the runner, the inputs and the rest, and works as it stands."""
    (tmp_path / "plan.yaml").write_text(
        "name: p\ninputs: {topic: required}\nchunks: [{id: a, prompt: 'On {{ inputs.topic }}'}]\n"
    )
    (tmp_path / "topic.txt").write_text("tests")
    runner = "simulated:latency_s=0"
    given = ("--runner", runner, "--input", "topic=topic.txt", "--max-cost", "5", "-o", "out.md")
    assert orchestrate("plan.yaml", *given, cwd=tmp_path).returncode == 0
    (tmp_path / "topic.txt").write_text("tests and more")
    refused = orchestrate("resume", "last", cwd=tmp_path)
    assert refused.returncode == 2
    named = re.search(r"`orchestrate (.*?)` starts a new run", refused.stderr)
    assert named
    words = shlex.split(named[1])
    assert words == ["plan.yaml", "--runner", runner, "--input", "topic=topic.txt", "--max-cost", "5.0", "-o", "out.md"]
    assert orchestrate(*words, cwd=tmp_path).returncode == 0


def test_a_review_that_is_not_content(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """The printed command asks again for what was found wanting, and for nothing else; `status` prints the same."""
    chunks = [{"id": "a", "prompt": "One."}, {"id": "b", "prompt": "Two."}]
    plan = {"name": "p", "chunks": chunks, "review": {"consistency": ["names"], "rounds": 0}}
    (tmp_path / "p.yaml").write_text(json.dumps(plan))
    fake_claude.when("One.", "read_prompt", "init", {"text": "He is Kowalski. So says Kowalski."}, "result")
    fake_claude.when("Two.", "read_prompt", "init", {"text": "There is Kowalsky."}, "result")
    done = orchestrate("p.yaml", "--claude", str(fake_claude.path), cwd=tmp_path, env=KEY)
    assert done.returncode == 1, done.stdout
    command = done.stdout.splitlines()[-1].removeprefix("to go on: ")
    assert command == "orchestrate p.yaml --claude fake/claude -o p.result.md --redo b"
    assert json.loads(orchestrate("status", "--json", cwd=tmp_path).stdout)["next_command"] == command
    fake_claude.when("Two.", "read_prompt", "init", {"text": "There is Kowalski."}, "result")
    done = orchestrate(*shlex.split(command)[1:], cwd=tmp_path, env=KEY)
    assert (done.returncode, len(fake_claude.calls())) == (0, 3)
