"""Ctrl-C ends the command with 130 whenever it comes: while it loads, while it runs, and while it tidies up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import command, environment
from tests.cli.test_run import AT_ONCE, PLAN, read_until

INTERRUPTED = 130

SIGNALLED = """
import importlib.abc, os, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from orchestrator.cli.start import main
sys.argv = ["orchestrate", *{words!r}]
main()
"""
"""A start of the command that is interrupted when it is about to import a module."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the plan `plan.yaml`."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


@pytest.mark.parametrize("module", ["orchestrator.cli.app", "typer", "orchestrator.cli.run", "orchestrator.api"])
def test_ctrl_c_while_it_loads(module: str, folder: Path) -> None:
    """An early Ctrl-C: exit 130 and one line, whatever was being imported."""
    code = SIGNALLED.format(module=module, words=["plan.yaml", *AT_ONCE])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")


def test_ctrl_c_while_the_pipeline_loads(folder: Path) -> None:
    """From the first event on a Ctrl-C is a request to stop, that of LangGraph's import included."""
    code = SIGNALLED.format(module="langgraph", words=["plan.yaml", *AT_ONCE])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (INTERRUPTED, "")
    assert "to go on: orchestrate resume " in done.stdout


@pytest.mark.parametrize("mode", ["json", "plain"])
def test_ctrl_c_again_and_again(mode: str, folder: Path) -> None:
    """However often and however late Ctrl-C comes, the command ends with 130 and never by the signal itself."""
    words = command("plan.yaml", "--runner", "simulated:latency_s=60", "--set", "topic=x", "--progress", mode)
    with subprocess.Popen(
        words, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        read_until(child, "run_estimated" if mode == "json" else "3 calls")
        end_s = time.monotonic() + 30
        while child.poll() is None:
            assert time.monotonic() < end_s
            child.send_signal(signal.SIGINT)
            time.sleep(0.002)
        assert child.stdout
        assert child.stderr
        rest = child.stdout.read()
        assert child.returncode == INTERRUPTED
        assert "Traceback" not in child.stderr.read()
    if mode == "json":
        assert json.loads(rest.splitlines()[-1])["type"] == "run_finished"


def test_ctrl_c_after_the_end(folder: Path) -> None:
    """A Ctrl-C while a finished command tidies up changes nothing about how it ends."""
    with subprocess.Popen(
        command("plan.yaml", *AT_ONCE),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        read_until(child, "result: guide.result.md")
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
        assert (child.returncode, stderr) == (0, "")


def test_reader_that_holds_up_the_end(folder: Path) -> None:
    """A result that nobody takes can be left: the second Ctrl-C after the run ends the wait for its reader."""
    (folder / "plan.yaml").write_text("chunks: [{id: a, prompt: x}]\n")
    (folder / "long.py").write_text(
        "from orchestrator import SimulatedRunner, run_plan\n"
        "answers = {'a': 'long ' * 100_000}\n"
        "run_plan('plan.yaml', runner=SimulatedRunner(latency_s=0, answers=answers), output='-')\n"
    )
    subprocess.run([sys.executable, "long.py"], cwd=folder, env=environment(folder), check=True, timeout=60)
    with subprocess.Popen(
        command("resume", "last", "--runner", "simulated:latency_s=0", "-o", "-"),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout
        child.stdout.read(10)
        end_s = time.monotonic() + 30
        while child.poll() is None:
            assert time.monotonic() < end_s
            child.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert child.returncode == INTERRUPTED
