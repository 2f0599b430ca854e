"""Long texts as somebody at a terminal meets them: told while they are split, once; gone at a Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.cli.display.loading import LINE_EVERY_S, PATIENCE_S, Patience
from tests.cli.command import command, environment, orchestrate
from tests.cli.terminal import Terminal
from tests.plan.split.documents import article

PLAN = """
inputs: {handbook: handbook.md}
chunks:
  - id: part
    for_each: {input: handbook, split: markdown, max_tokens: 90000}
    prompt: "{{ item.text }}"
"""
RUN = ("plan.yaml", "--runner", "simulated:latency_s=0", "--force")
SPLITTING = "reading plan.yaml: splitting handbook, "


@pytest.fixture(scope="module")
def handbook() -> str:
    """Twelve megabytes of Markdown: three seconds' work and more."""
    return article(seed=5, sections=1_000) * 12


@pytest.fixture
def folder(tmp_path: Path, handbook: str) -> Path:
    """A folder with a plan over the handbook."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "handbook.md").write_text(handbook)
    return tmp_path


def test_told_once_and_then_known(folder: Path) -> None:
    """The first run tells how far it has come; check and the next run, which find the split, have nothing to tell.

    Programs get events alone.
    """
    first = orchestrate(*RUN, "--progress", "plain", cwd=folder)
    assert first.stdout.startswith(SPLITTING)
    assert first.stdout.index(" of ") < first.stdout.index("part[1]")
    for words in (("--progress", "plain"), ("--dry-run",), ("--progress", "json")):
        again = orchestrate(*RUN, *words, cwd=folder)
        assert again.returncode == 0
        assert "splitting" not in again.stdout + again.stderr
    assert all(json.loads(line)["type"] for line in again.stdout.splitlines())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    checked = orchestrate("check", "plan.yaml", cwd=folder)
    assert "splitting" not in checked.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("words", [("check", "plan.yaml"), (*RUN, "--dry-run")])
def test_looking_tells_and_writes_nothing(words: tuple[str, ...], folder: Path) -> None:
    """Progress is on stderr, the answer on stdout, and no file appears."""
    told = orchestrate(*words, cwd=folder)
    assert told.stderr.startswith(SPLITTING)
    assert "splitting" not in told.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["handbook.md", "plan.yaml"]


def test_programs_and_the_quiet_are_not_told(folder: Path) -> None:
    """JSON is events alone, from the first line on; quiet is quiet."""
    told = orchestrate(*RUN, "--progress", "json", cwd=folder)
    assert json.loads(told.stdout.splitlines()[0])["type"] == "run_started"
    assert told.stderr == ""
    (folder / "handbook.md").write_text((folder / "handbook.md").read_text() + "More.\n")
    told = orchestrate(*RUN, "--progress", "quiet", cwd=folder)
    assert (told.stdout, told.stderr) == ("", "")


def test_small_texts_are_not_worth_a_word(folder: Path) -> None:
    """What is over in a second is not told."""
    (folder / "handbook.md").write_text("# One\n\nText.\n" * 300)
    assert "splitting" not in orchestrate(*RUN, "--progress", "plain", cwd=folder).stdout
    assert orchestrate("check", "plan.yaml", cwd=folder).stderr == ""


def test_ctrl_c_while_it_splits(folder: Path) -> None:
    """The command ends at once with 130, and nothing was made."""
    words = command(*RUN, "--progress", "plain")
    with subprocess.Popen(
        words, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(SPLITTING)
        begun_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert time.monotonic() - begun_s < 5
        assert "interrupted while the plan was being read" in process.stderr.read()
    assert sorted(path.name for path in folder.iterdir()) == ["handbook.md", "plan.yaml"]


def test_on_a_terminal(folder: Path) -> None:
    """A row that is rewritten, gone when the run is over; check rewrites a line of its own on stderr."""
    with Terminal(command(*RUN), env=environment(folder), cwd=folder) as terminal:
        terminal.read_until("splitting handbook, ")
        terminal.read_until("result: ")
        code, _ = terminal.finish()
    assert code == 0
    assert "\n" not in terminal.shown[: terminal.shown.index("part[")].split("splitting handbook, ")[1].rstrip()


def test_patience() -> None:
    """Nothing for a second, then a word, and the next one later; what follows begins with patience again."""
    patience = Patience(LINE_EVERY_S)
    told = [patience.is_over(at) for at in (0.0, PATIENCE_S / 2, PATIENCE_S, PATIENCE_S + LINE_EVERY_S / 2)]
    assert told == [False, False, True, False]
    assert patience.is_over(PATIENCE_S + LINE_EVERY_S)
    patience.begin_again()
    assert not patience.is_over(100.0)
    assert patience.is_over(101.0)
