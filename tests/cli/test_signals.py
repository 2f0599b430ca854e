"""Signals at awkward moments: in a pause, while the planner answers, while a result is written; and how one leaves."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import command, environment, orchestrate
from tests.cli.test_run import AT_ONCE, PLAN, read_until, wait_for_start
from tests.equipment.fake_claude import FakeClaude

INTERRUPTED = 130
KEY = {"ANTHROPIC_API_KEY": "made-up"}
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ONE = "chunks: [{id: a, prompt: Alpha.}, {id: b, prompt: Beta.}]\nlimits: {max_concurrency: 1}\n"

PLANNED = {
    "strategy": "parallel",
    "reason": "Two sides.",
    "chunks": [{"id": "one", "title": "One", "prompt": "CHUNK"}, {"id": "two", "title": "Two", "prompt": "CHUNK"}],
    "stitch": ["one", "two"],
}

STEPPED = """
import os, signal, sys
from orchestrator.cli.start import main

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_qualname == {step!r}:
        sys.setprofile(None)
        for _ in range({times}):
            os.kill(os.getpid(), signal.{number})

sys.setprofile(watch)
sys.argv = ["orchestrate", *{words!r}]
main()
"""
"""The command, which gets signals at the moment when it enters a function in its main thread."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the plans `plan.yaml` and `one.yaml`."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "one.yaml").write_text(ONE)
    return tmp_path


@contextlib.contextmanager
def started(folder: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(*words, "--progress", "plain"), cwd=folder, env=environment(folder, **KEY, **more),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            yield child
        finally:
            child.kill()


def wait_for(path: Path) -> None:
    end_s = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end_s, f"{path} never came"
        time.sleep(0.01)


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def use_up_the_limit(fake: FakeClaude) -> None:
    """From now on each call is told that the allowance is used up for an hour."""
    info = {"status": "rejected", "resetsAt": int(time.time()) + 3600, "rateLimitType": "five_hour"}
    failed = {"is_error": True, "api_error_status": 429, "terminal_reason": "api_error", "result": "API Error: 429"}
    fake.play(
        "read_prompt", "init", {"raw": json.dumps({"type": "rate_limit_event", "rate_limit_info": info})},
        {"error": "API Error: 429"}, {"result": failed}, {"exit": 1},
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_a_pause(number: signal.Signals, folder: Path, fake_claude: FakeClaude) -> None:
    """A run that waits for a usage limit ends at the first signal; going on, it still waits, and asks nobody."""
    use_up_the_limit(fake_claude)
    with started(folder, "one.yaml", "--claude", str(fake_claude.path)) as child:
        read_until(child, "paused")
        begun_s = time.monotonic()
        child.send_signal(number)
        rest = read_until(child, None)
        assert child.wait(timeout=15) == INTERRUPTED
        assert time.monotonic() - begun_s < 5
    go_on = re.search(r"to go on: orchestrate (resume \S+)", rest)
    assert go_on, rest
    assert len(fake_claude.calls()) == 1
    with started(folder, *go_on[1].split()) as child:
        read_until(child, "paused")
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=15) == INTERRUPTED
    assert len(fake_claude.calls()) == 1


def test_ctrl_c_while_the_planner_answers(folder: Path, fake_claude: FakeClaude) -> None:
    """Its answer is waited for and kept, since it is paid for; nothing of the plan starts, and going on asks it not."""
    changes = {"structured_output": PLANNED, "stop_reason": "tool_use", "num_turns": 2}
    fake_claude.play("read_prompt", "init", {"text": "CHUNK"}, "result")
    fake_claude.when("Plan the work", "init", {"mark": "planning"}, {"sleep": 1.5}, {"result": changes})
    words = ["ask", "Explain both sides", "--max-cost", "1", "-o", "out.md", "--claude", str(fake_claude.path)]
    with started(folder, *words) as child:
        wait_for(fake_claude.folder / "planning")
        child.send_signal(signal.SIGINT)
        rest = read_until(child, None)
        assert child.wait(timeout=30) == INTERRUPTED
        assert child.stderr
        assert "Traceback" not in child.stderr.read()
    assert len(fake_claude.calls()) == 1
    go_on = re.search(r"to go on: orchestrate (resume \S+)", rest)
    assert go_on, rest
    done = orchestrate(*go_on[1].split(), cwd=folder, env=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "out.md").read_text() == "CHUNK\n\nCHUNK"
    assert ["Plan the work" in call["stdin"] for call in fake_claude.calls()] == [True, False, False]


def test_sigterm_while_the_planner_answers(folder: Path, fake_claude: FakeClaude) -> None:
    """The planner's process is ended; exit 130 and how to go on, which asks it again."""
    fake_claude.play("read_prompt", "init", {"mark": "planning"}, {"sleep": 3600})
    words = ["ask", "Explain both sides", "--max-cost", "1", "-o", "out.md", "--claude", str(fake_claude.path)]
    with started(folder, *words) as child:
        wait_for(fake_claude.folder / "planning")
        child.send_signal(signal.SIGTERM)
        rest = read_until(child, None)
        assert child.wait(timeout=30) == INTERRUPTED
    assert gone(fake_claude.pids())
    assert "to go on: orchestrate resume " in rest


def test_children_that_do_not_listen(folder: Path, fake_claude: FakeClaude) -> None:
    """They and what they started are gone within 10 s of the signal, and the run can go on."""
    fake_claude.play("ignore_sigterm", "grandchild", "read_prompt", "init", {"mark": "here"}, {"sleep": 3600})
    with started(folder, "one.yaml", "--claude", str(fake_claude.path)) as child:
        wait_for(fake_claude.folder / "here")
        begun_s = time.monotonic()
        child.send_signal(signal.SIGTERM)
        rest = read_until(child, None)
        assert child.wait(timeout=30) == INTERRUPTED
        assert time.monotonic() - begun_s < 12
    assert len(fake_claude.pids()) == 2
    assert gone(fake_claude.pids())
    fake_claude.play("read_prompt", "init", {"text": "fine"}, "result")
    go_on = re.search(r"to go on: orchestrate (resume \S+)", rest)
    assert go_on, rest
    assert orchestrate(*go_on[1].split(), cwd=folder, env=KEY).returncode == 0


@pytest.mark.alone
def test_a_third_ctrl_c_ends_stubborn_children_at_once(folder: Path, fake_claude: FakeClaude) -> None:
    """No grace is left for them, and the run still says how to go on."""
    fake_claude.play("ignore_sigterm", "grandchild", "read_prompt", "init", {"mark": "here"}, {"sleep": 3600})
    with started(folder, "one.yaml", "--claude", str(fake_claude.path)) as child:
        wait_for(fake_claude.folder / "here")
        child.send_signal(signal.SIGINT)
        read_until(child, "finishing 1 running chunk")
        child.send_signal(signal.SIGINT)
        read_until(child, "ending the running chunks")
        begun_s = time.monotonic()
        child.send_signal(signal.SIGINT)
        rest = read_until(child, None)
        assert child.wait(timeout=30) == INTERRUPTED
        assert time.monotonic() - begun_s < 3
    assert "to go on: orchestrate resume " in rest
    assert gone(fake_claude.pids())


@pytest.mark.parametrize(
    ("step", "number", "times"),
    [
        ("Delivery.stitch", "SIGINT", 1),
        ("RunSession.review", "SIGTERM", 1),
        ("Delivery.deliver", "SIGINT", 2),
        ("RunSession._finish", "SIGHUP", 2),
    ],
)
def test_while_the_result_is_written(step: str, number: str, times: int, folder: Path) -> None:
    """Nothing is left to stop: the result is written whole, the run is complete, exit 0."""
    code = STEPPED.format(step=step, number=number, times=times, words=["plan.yaml", *AT_ONCE])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "result: guide.result.md" in done.stdout
    assert json.loads(orchestrate("status", "--json", cwd=folder).stdout)["state"] == "complete"
    whole = (folder / "guide.result.md").read_bytes()
    assert orchestrate("plan.yaml", *AT_ONCE, cwd=folder).returncode == 0
    assert (folder / "guide.result.md").read_bytes() == whole


def test_a_run_that_hangs_can_be_left(folder: Path) -> None:
    """A store that somebody else has locked holds a run up: the third Ctrl-C leaves all the same."""
    words = ["plan.yaml", "--runner", "simulated:latency_s=2", "--set", "topic=x", "--store", "s.db"]
    with started(folder, *words) as child:
        read_until(child, "3 calls")
        wait_for_start(folder, "outline", store="s.db")
        with contextlib.closing(sqlite3.connect(folder / "s.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            begun_s = time.monotonic()
            for _ in range(3):
                child.send_signal(signal.SIGINT)
                time.sleep(0.1)
            assert child.wait(timeout=30) == INTERRUPTED
            assert time.monotonic() - begun_s < 6
            other.execute("ROLLBACK")
    done = orchestrate("resume", "last", "--store", "s.db", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_hang_up_that_is_ignored(folder: Path) -> None:
    """As `nohup` starts it: the run goes on though its terminal is gone."""
    words = " ".join(command("plan.yaml", "--runner", "simulated:latency_s=0.3", "--set", "topic=x"))
    with subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {words}"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        read_until(child, "3 calls")
        child.send_signal(signal.SIGHUP)
        read_until(child, None)
        assert child.wait(timeout=30) == 0
    assert (folder / "guide.result.md").exists()


class Shell:
    """A command as the leader of a session on a terminal of its own, as in a window that can be closed."""

    def __init__(self, words: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        self.terminal, slave = pty.openpty()
        # The first terminal that the leader of a session opens is the session's own.
        first = ["sh", "-c", ': <"$0" && exec "$@"', os.ttyname(slave), *words]
        self.child = subprocess.Popen(
            first, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.before = termios.tcgetattr(self.terminal)
        self.shown = ""

    def read_until(self, text: str | None) -> str:
        end_s = time.monotonic() + 30
        while text is None or text not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, f"{text!r} was not shown in:\n{self.shown}"
            try:
                data = os.read(self.terminal, 65_536)
            except OSError:  # EIO: the last who had it open is gone
                data = b""
            if not data:
                break
            self.shown += data.decode(errors="replace")
        assert text is None or text in self.shown
        return self.shown

    def exit_code(self) -> int:
        return self.child.wait(timeout=60)


@pytest.mark.parametrize("how", ["ctrl-c twice", "SIGTERM", "SIGHUP"])
def test_the_terminal_is_given_back(how: str, folder: Path, fake_claude: FakeClaude) -> None:
    """The cursor is visible, the settings are those from before, and the last lines say how to go on."""
    fake_claude.play("read_prompt", "init", {"mark": "here"}, {"sleep": 3600})
    words = command("one.yaml", "--claude", str(fake_claude.path))
    shell = Shell(words, cwd=folder, env=environment(folder, **KEY))
    wait_for(fake_claude.folder / "here")
    shell.read_until(HIDE_CURSOR)
    for _ in range(2 if how == "ctrl-c twice" else 1):
        if how == "ctrl-c twice":
            os.write(shell.terminal, b"\x03")
            time.sleep(0.3)
        else:
            shell.child.send_signal(getattr(signal, how))
    after = termios.tcgetattr(shell.terminal)
    shown = shell.read_until(None)
    assert shell.exit_code() == INTERRUPTED
    assert after == shell.before
    assert shown.rfind(SHOW_CURSOR) > shown.rfind(HIDE_CURSOR)
    assert "to go on: orchestrate resume " in shown[shown.rfind(HIDE_CURSOR) :]
    assert gone(fake_claude.pids())
    os.close(shell.terminal)


def test_a_window_that_is_closed(folder: Path, fake_claude: FakeClaude) -> None:
    """The terminal is gone in the middle of a call: no process is left, and what was answered is kept."""
    fake_claude.play("read_prompt", "init", {"mark": "here"}, {"sleep": 3600})
    fake_claude.when("Alpha", "init", {"text": "first"}, "result")
    shell = Shell(command("one.yaml", "--claude", str(fake_claude.path)), cwd=folder, env=environment(folder, **KEY))
    wait_for(fake_claude.folder / "here")
    shell.read_until("[1/2] a")
    os.close(shell.terminal)
    begun_s = time.monotonic()
    assert shell.exit_code() == INTERRUPTED
    assert time.monotonic() - begun_s < 12
    assert gone(fake_claude.pids())
    record = json.loads(orchestrate("status", "--json", cwd=folder).stdout)
    assert record["state"] == "stopped"
    assert len(fake_claude.calls()) == 2
    fake_claude.play("read_prompt", "init", {"text": "second"}, "result")
    assert orchestrate("resume", "last", cwd=folder, env=KEY).returncode == 0
    assert len(fake_claude.calls()) == 3
