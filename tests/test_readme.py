"""The README shows what happens: its plan is the example, its output is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.command import ROOT, orchestrate

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PLAN = ROOT / "examples" / "ten-lines.yaml"


def block(language: str, *, containing: str) -> str:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    return next(text for its_language, text in blocks if its_language == language and containing in text)


def without_figures(line: str) -> str:
    """A line without the run's id and all figures but the counts of chunks and calls."""
    line = re.sub(r"run \d{8}-\d{6}-[0-9a-f]+", "run ID", line)
    line = re.sub(r" · [\d.]+ × faster than one by one", "", line)  # not told where the machine was too busy for it
    line = re.sub(r"[\d.,]+ (s|min|tokens)", r"N \1", line)
    line = re.sub(r"\d+ to N|N min N s", "N", line)
    return re.sub(r"\$[\d.]+|[\d,]+(?= out)", "N", line)


def test_plan_is_the_example() -> None:
    """The plan in the README is `examples/ten-lines.yaml`, to the byte, and has ten lines."""
    assert block("yaml", containing="chunks:") == PLAN.read_text(encoding="utf-8")
    assert len(PLAN.read_text(encoding="utf-8").splitlines()) == 10


def test_output_is_what_is_printed(tmp_path: Path) -> None:
    """The output in the README is the command's, but for figures and the run's id; the order of chunks may differ."""
    ran = orchestrate(str(PLAN), "--runner", "simulated:speed=4", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = [without_figures(line) for line in block("", containing="4/4").splitlines()]
    printed = [without_figures(line) for line in ran.stdout.splitlines()]
    chunk = re.compile(r"^\[\d/4\] ")
    assert [line for line in printed if not chunk.match(line)] == [line for line in shown if not chunk.match(line)]
    assert {chunk.sub("", line) for line in printed} == {chunk.sub("", line) for line in shown}


def test_second_run_asks_for_nothing(tmp_path: Path) -> None:
    """As the README promises, the same command again takes every answer from the store."""
    first, second = (orchestrate(str(PLAN), "--runner", "simulated:latency_s=0", cwd=tmp_path) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert "4 calls" in first.stdout
    assert "nothing to ask: 4 answers reused" in second.stdout


def test_first_screen_says_what_matters() -> None:
    """What it is, what a chunk is, and both commands stand before the thirtieth line."""
    first_screen = "\n".join(TEXT.splitlines()[:30])
    assert "*chunk*" in first_screen
    assert "./scripts/run examples/ten-lines.yaml --runner simulated" in first_screen
    assert "./scripts/run examples/ten-lines.yaml   " in first_screen
