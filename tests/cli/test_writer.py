"""A display never hurts the run: not by a slow, a stalled or a vanished reader, nor by a bug of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cli.display.choose import choose_mode
from orchestrator.cli.display.screens import HEARTBEAT_S, Closing, PlainScreen
from orchestrator.cli.display.sink import Sink
from tests.cli import stories
from tests.cli.storyteller import MANY
from tests.cli.terminal import ROOT, Terminal

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}


def command(story: str, mode: str) -> list[str]:
    return [sys.executable, "-m", "tests.cli.storyteller", story, mode]


def tell(story: str, mode: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(story, mode),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT | changes,
        timeout=60,
        check=False,
    )


def seconds_told(stderr: str) -> float:
    found = re.search(r"told in ([\d.]+) s", stderr)
    assert found, stderr
    return float(found[1])


def test_plain_lines_reach_a_pipe() -> None:
    """In plain mode a pipe gets lines and not one control sequence."""
    done = tell("short", "plain")
    assert done.returncode == 7
    assert done.stdout.splitlines() == [
        "field-guide: 2 chunks, run r1",
        "8 calls to sonnet (3 answers reused), about 12,000 tokens in and 9,000 out, $0.11 to $0.30, 1 to 3 min; "
        "paid by API key from ANTHROPIC_API_KEY",
        "[1/2] a · 12.4 s · 812 tokens · $0.02",
        "[2/2] b␛[2J␛]52;c;eA==␇ · failed (refusal): declined␛[31m forged line",
        "1/2 · 1 failed · 1 min 12 s · 3.1 × faster than one by one · $0.19 · "
        "incomplete result: /elsewhere/guide.incomplete.md",
        "  b␛[2J␛]52;c;eA==␇: failed (refusal): declined␛[31m forged line",
        "to go on: orchestrate resume r1",
    ]


def test_json_is_one_event_a_line() -> None:
    """In json mode every event is a line of its own, in order."""
    done = tell("many", "json")
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert kinds == ["run_started", *["chunk_started", "chunk_progressed", "chunk_succeeded"] * MANY, "run_finished"]


def test_quiet_is_quiet() -> None:
    """In quiet mode stdout stays empty."""
    assert tell("short", "quiet").stdout == ""


def test_slow_reader_of_json_gets_everything() -> None:
    """A program that reads slowly, and still reads when the run is over, misses no event."""
    with subprocess.Popen(
        command("many", "json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
    ) as child:
        assert child.stdout
        assert child.stderr
        told = child.stderr.readline().decode()
        kinds = [json.loads(line)["type"] for line in child.stdout]
    assert seconds_told(told) < 5
    assert len(kinds) == 3 * MANY + 2
    assert kinds[-1] == "run_finished"


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_reader_that_leaves(mode: str) -> None:
    """`| head -1`: the run goes on to its own exit code, without a word about the pipe."""
    with subprocess.Popen(
        command("many", mode), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
    ) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.readline()
        child.stdout.close()
        stderr = child.stderr.read().decode()
        assert child.wait(timeout=30) == 7
    assert re.fullmatch(r"told in [\d.]+ s\n", stderr)


def test_stalled_reader_costs_the_run_nothing() -> None:
    """Nobody reads: the run hands over thousands of events at once, and the end waits a bounded time."""
    reader, writer = os.pipe()
    begun_s = time.monotonic()
    with subprocess.Popen(
        command("many", "plain"), stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
    ) as child:
        os.close(writer)
        assert child.stderr
        stderr = child.stderr.read().decode()
        assert child.wait(timeout=30) == 7
    os.close(reader)
    assert seconds_told(stderr) < 5
    assert time.monotonic() - begun_s < 20


def test_full_disk_does_not_stop_a_run() -> None:
    """Progress that cannot be written is lost; the run is not."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("short", "plain"), stdout=full, cwd=ROOT, env=ENVIRONMENT, timeout=60, check=False
        )
    assert done.returncode == 7


def test_bug_in_a_display_is_told_and_survived() -> None:
    """What goes wrong in a display ends up on stderr with its traceback; the run ends as it would have."""
    done = tell("odd", "plain")
    assert done.returncode == 7
    assert "The display failed; the run did not." in done.stderr
    assert "Traceback" in done.stderr


def test_live_view_on_a_terminal() -> None:
    """On a terminal: a live frame, finished chunks as lines, the cursor back at the end, no foreign sequence."""
    with Terminal(command("short", "auto"), env=ENVIRONMENT) as terminal:
        code, stderr = terminal.finish()
    assert code == 7
    assert re.fullmatch(r"told in [\d.]+ s\n", stderr)
    assert "waiting for the model" in terminal.shown or "characters so far" in terminal.shown
    assert "[1/2] a · 12.4 s · 812 tokens · $0.02" in terminal.shown
    assert "to go on: orchestrate resume r1" in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    assert "\x1b]52" not in terminal.shown
    assert "\nforged" not in terminal.shown
    assert terminal.shown.rindex(SHOW_CURSOR) > terminal.shown.rindex(HIDE_CURSOR)


def test_live_view_draws_few_frames() -> None:
    """Half a second with fifty events makes a handful of frames, not one for each event."""
    with Terminal(command("short", "tty"), env=ENVIRONMENT) as terminal:
        terminal.finish()
    assert 1 <= terminal.shown.count("0/2 ·") <= 8


def test_many_chunks_on_a_terminal() -> None:
    """Thousands of chunks a second scroll past; the run does not wait for the drawing."""
    with Terminal(command("many", "tty"), env=ENVIRONMENT) as terminal:
        code, stderr = terminal.finish()
    assert code == 7
    assert seconds_told(stderr) < 5
    assert terminal.shown.count(" · 12.4 s · 812 tokens · ") == MANY


def test_terminal_is_restored_when_the_run_dies() -> None:
    """An exception half-way leaves a visible cursor and its traceback."""
    with Terminal(command("broken", "tty"), env=ENVIRONMENT) as terminal:
        code, stderr = terminal.finish()
    assert code == 1
    assert "the engine has a bug" in stderr
    assert terminal.shown.rindex(SHOW_CURSOR) > terminal.shown.rindex(HIDE_CURSOR)


def test_no_colour_when_asked() -> None:
    """`NO_COLOR` leaves the live view, and takes the colours out of it."""
    colours = re.compile(r"\x1b\[[0-9;]*3[1-7]m")
    with Terminal(command("short", "tty"), env=ENVIRONMENT | {"NO_COLOR": "1"}) as plain:
        plain.finish()
    with Terminal(command("short", "tty"), env=ENVIRONMENT) as coloured:
        coloured.finish()
    assert not colours.search(plain.shown)
    assert colours.search(coloured.shown)


@pytest.mark.parametrize(
    ("wanted", "is_terminal", "environment", "mode"),
    [
        ("auto", True, {"TERM": "xterm"}, "tty"),
        ("auto", False, {"TERM": "xterm"}, "plain"),
        ("auto", False, {"TERM": "xterm", "FORCE_COLOR": "1"}, "plain"),
        ("auto", True, {"TERM": "xterm", "CI": "true"}, "plain"),
        ("auto", True, {"TERM": "xterm", "CI": "false"}, "tty"),
        ("auto", True, {"TERM": "dumb"}, "plain"),
        ("auto", True, {}, "plain"),
        ("tty", True, {"TERM": "xterm", "CI": "true"}, "tty"),
        ("tty", True, {"TERM": "dumb"}, "plain"),
        ("tty", False, {"TERM": "xterm"}, "plain"),
        ("plain", True, {"TERM": "xterm"}, "plain"),
        ("json", True, {"TERM": "xterm"}, "json"),
        ("quiet", True, {"TERM": "xterm"}, "quiet"),
    ],
)
def test_choice_of_mode(wanted: str, is_terminal: bool, environment: dict[str, str], mode: str) -> None:
    """A live view needs a terminal that can move its cursor, and a person in front of it."""
    assert choose_mode(wanted, is_terminal=is_terminal, environment=environment) == mode


def test_plain_heartbeat_comes_in_time() -> None:
    """A silence is explained before 30 s are over, again and again, and never after the end."""
    reader, descriptor = os.pipe()
    screen = PlainScreen(Sink(descriptor), closing=Closing(next_command=str))
    screen.show([(100.0, stories.started("a")), (100.0, stories.begun("a"))])
    assert screen.tick(100.0) == HEARTBEAT_S
    for now_s in (100.0 + HEARTBEAT_S, 100.0 + 2 * HEARTBEAT_S):
        assert screen.tick(now_s - 0.5) == pytest.approx(0.5)
        assert screen.tick(now_s) == HEARTBEAT_S
    screen.show([(150.0, stories.succeeded("a")), (150.0, stories.finished())])
    screen.tick(300.0)
    os.close(descriptor)
    lines = os.read(reader, 65_536).decode().splitlines()
    os.close(reader)
    assert HEARTBEAT_S < 30
    assert lines == [
        "field-guide: 1 chunk, run r1",
        "0/1 done · a: waiting for the model, 20 s, usually under 300 s for a medium chunk",
        "0/1 done · a: waiting for the model, 40 s, usually under 300 s for a medium chunk",
        "[1/1] a · 12.4 s · 812 tokens · $0.02",
        "1/1 · 1 min 12 s · 3.1 × faster than one by one · $0.19",
    ]


def test_non_blocking_stdout() -> None:
    """Somebody made the pipe non-blocking: nothing is lost and nothing spins."""
    reader, descriptor = os.pipe()
    os.set_blocking(descriptor, False)
    with subprocess.Popen(command("many", "plain"), stdout=descriptor, stderr=subprocess.DEVNULL, cwd=ROOT,
                          env=ENVIRONMENT) as child:  # fmt: skip
        os.close(descriptor)
        with os.fdopen(reader, "rb") as pipe:
            lines = pipe.read().decode().splitlines()
        assert child.wait(timeout=30) == 7
    assert len(lines) == MANY + 2
