"""Runs that would cost money, with a stand-in `claude`: who is asked first, and what is told when chunks fail."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import command, environment, orchestrate
from tests.cli.terminal import Terminal
from tests.equipment.fake_claude import FakeClaude

KEY = {"ANTHROPIC_API_KEY": "made-up"}


@pytest.fixture
def expensive(tmp_path: Path) -> Path:
    """A folder with a plan that is estimated above a dollar."""
    chunks = [{"id": f"c{number}", "prompt": f"Question {number}", "complexity": "complex"} for number in range(12)]
    (tmp_path / "plan.yaml").write_text(json.dumps({"name": "big", "model": "opus", "chunks": chunks}))
    return tmp_path


def words(fake: FakeClaude, *more: str) -> list[str]:
    return command("plan.yaml", "--claude", str(fake.path), *more)


def test_no_at_the_question_pays_nothing(expensive: Path, fake_claude: FakeClaude) -> None:
    """A no ends the run before the first call: exit 4, and how to go on."""
    with Terminal(words(fake_claude), env=environment(expensive, **KEY), cwd=expensive) as terminal:
        terminal.read_until("Go on? [y/N] ")
        terminal.type("n\n")
        code, _ = terminal.finish()
    assert code == 4
    assert "to go on: orchestrate resume " in terminal.shown
    assert fake_claude.calls() == []


def test_ctrl_c_at_the_question(expensive: Path, fake_claude: FakeClaude) -> None:
    """Ctrl-C at the question is an interruption: exit 130, nothing is paid."""
    with Terminal(words(fake_claude), env=environment(expensive, **KEY), cwd=expensive) as terminal:
        terminal.read_until("Go on? [y/N] ")
        terminal.child.send_signal(2)
        code, _ = terminal.finish()
    assert code == 130
    assert fake_claude.calls() == []


@pytest.mark.parametrize("way", ["yes typed", "--yes", "no terminal"])
def test_yes_runs(way: str, expensive: Path, fake_claude: FakeClaude) -> None:
    """A yes, --yes, or nobody there to ask: the run goes on."""
    if way == "no terminal":
        done = orchestrate("plan.yaml", "--claude", str(fake_claude.path), cwd=expensive, env=KEY)
        assert "Go on?" not in done.stdout + done.stderr
        assert done.returncode == 0
        return
    more = ["--yes"] if way == "--yes" else []
    with Terminal(words(fake_claude, *more), env=environment(expensive, **KEY), cwd=expensive) as terminal:
        if not more:
            terminal.read_until("Go on? [y/N] ")
            terminal.type("y\n")
        code, _ = terminal.finish(timeout_s=100)
    assert code == 0
    assert len(fake_claude.calls()) == 12
    assert ("Go on?" in terminal.shown) is (not more)


def test_failed_and_skipped_chunks_are_listed(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """Exit 1: each failed or skipped chunk with its reason, made harmless, and the command to go on."""
    refused = {"is_error": True, "api_error_status": 400, "terminal_reason": "api_error", "result": "API Error: 400"}
    fake_claude.when("Question bad", "init", {"error": "API Error: 400 bad\x1b[2J\nword"}, {"result": refused})
    (tmp_path / "plan.yaml").write_text(
        "chunks:\n"
        "  - {id: good, prompt: Question good}\n"
        "  - {id: bad, prompt: Question bad}\n"
        "  - {id: after, prompt: 'Use {{ chunks.bad }}'}\n"
    )
    done = orchestrate("plan.yaml", "--claude", str(fake_claude.path), cwd=tmp_path, env=KEY)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("  bad: failed (invalid_request): ") for line in lines)
    assert "  after: skipped: bad has no answer" in lines
    assert lines[-1].startswith("to go on: orchestrate resume ")
    assert "1 failed, 1 skipped" in lines[-4]
    assert lines[-4].endswith("incomplete result: plan.result.incomplete.md")
    assert "\x1b" not in done.stdout
    status = orchestrate("status", cwd=tmp_path).stdout
    assert "invalid_request" in status
    assert "bad has no answer" in status
    shown = orchestrate("show", "last", cwd=tmp_path).stdout
    assert shown == (tmp_path / "plan.result.incomplete.md").read_text()
    assert "has no answer" in orchestrate("show", "last", "bad", cwd=tmp_path).stderr
    record = json.loads(orchestrate("show", "last", "bad", "--json", cwd=tmp_path).stdout)
    assert record["answer"] is None
    assert record["failed_attempts"][0]["error_type"] == "invalid_request"


def test_simulated_text_does_not_replace_a_paid_result(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """A trial of a plan that was run for real is refused before it starts; a real run replaces simulated text."""
    (tmp_path / "plan.yaml").write_text("name: one\nchunks: [{id: a, prompt: A question.}]\n")
    simulated = ("plan.yaml", "--runner", "simulated:latency_s=0")
    result = tmp_path / "one.result.md"
    assert orchestrate(*simulated, cwd=tmp_path).returncode == 0
    assert orchestrate("plan.yaml", "--claude", str(fake_claude.path), cwd=tmp_path, env=KEY).returncode == 0
    assert result.read_text() == "fake answer"
    refused = orchestrate(*simulated, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "holds the result of a run with the Claude CLI; choose another file with -o" in refused.stderr
    assert result.read_text() == "fake answer"
    assert orchestrate(*simulated, "--force", cwd=tmp_path).returncode == 0
    assert result.read_text() != "fake answer"


def test_doctor_finds_a_working_cli(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """`doctor` with everything in place: version, login, exit 0."""
    done = orchestrate("doctor", "--claude", str(fake_claude.path), cwd=tmp_path, env=KEY)
    assert done.returncode == 0, done.stdout
    assert "API key from ANTHROPIC_API_KEY" in done.stdout
    assert "WRONG" not in done.stdout


def test_doctor_names_a_login_that_is_missing(tmp_path: Path, fake_claude: FakeClaude) -> None:
    """Nobody logged in: exit 3 with the remedy, from `doctor` and from a run alike, and no event is told."""
    fake_claude.describe(auth={"loggedIn": False, "authMethod": "none", "apiProvider": "firstParty"})
    (tmp_path / "plan.yaml").write_text("chunks: [{id: a, prompt: x}]\n")
    for line in (("doctor",), ("plan.yaml", "--progress", "json")):
        done = subprocess.run(
            command(*line, "--claude", str(fake_claude.path)),
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 3
        assert "Log in" in done.stdout + done.stderr
        assert '"type"' not in done.stdout
