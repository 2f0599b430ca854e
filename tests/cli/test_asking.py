"""An expensive run is asked about where somebody can answer, and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.terminal import ROOT, Terminal
from tests.cli.test_writer import ENVIRONMENT, command

QUESTION = "This may cost up to $3.00. Go on? [y/N] "


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", "True"), ("YES\n", "True"), ("n\n", "False"), ("\n", "False"), ("\x04", "False")]
)
@pytest.mark.parametrize("mode", ["tty", "plain"])
def test_answers(typed: str, answer: str, mode: str) -> None:
    """Only a yes is a yes; return and Ctrl-D are a no. The figures stand above the question."""
    with Terminal(command("expensive", mode), env=ENVIRONMENT) as terminal:
        shown = terminal.read_until(QUESTION)
        assert "8 calls to sonnet" in shown
        assert not shown.endswith("\x1b[?25l")
        terminal.type(typed)
        _, stderr = terminal.finish()
    assert f"answer: {answer}\n" in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_at_the_question(number: signal.Signals) -> None:
    """A signal while the question stands is a no, and a request to stop."""
    with Terminal(command("expensive", "plain"), env=ENVIRONMENT) as terminal:
        terminal.read_until(QUESTION)
        os.kill(terminal.child.pid, number)
        _, stderr = terminal.finish()
    assert "answer: False\n" in stderr
    assert "interrupt 1" in terminal.shown


def test_live_frame_gives_way() -> None:
    """The live frame is gone, and the cursor is there, before the question is put."""
    with Terminal(command("expensive", "tty"), env=ENVIRONMENT) as terminal:
        shown = terminal.read_until(QUESTION)
        terminal.type("n\n")
        terminal.finish()
    assert shown.count("\x1b[?25h") == shown.count("\x1b[?25l")


def test_nobody_to_ask() -> None:
    """Without a terminal on stdin there is no question."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.storyteller", "expensive", "plain"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert "answer: None" in done.stderr
    assert "Go on?" not in done.stdout
