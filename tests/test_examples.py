"""The examples work: each runs offline, to the end, to the result that the documentation promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
CHUNKS = {"ten-lines": 4, "field-guide": 8, "code-review": 6, "story": 11, "story-parallel": 11}


def orchestrate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a child process, in a folder of its own, without anything of this user's."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    command = [sys.executable, "-m", "orchestrator", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def run_example(name: str, *more: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    plan = str(EXAMPLES / f"{name}.yaml")
    return orchestrate(plan, "--runner", "simulated:latency_s=0", "--progress", "quiet", *more, cwd=cwd)


def test_every_example_is_listed() -> None:
    """Every plan in the folder is tried here and described in the folder's README."""
    plans = {path.stem for path in EXAMPLES.glob("*.yaml")}
    assert plans == set(CHUNKS)
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[([a-z-]+)\.yaml\]\(\1\.yaml\) \|[^|]*\| (\d+) \|", readme, flags=re.MULTILINE))
    assert rows == {name: str(count) for name, count in CHUNKS.items()}


@pytest.mark.parametrize("name", CHUNKS)
def test_example_is_a_good_plan(name: str, tmp_path: Path) -> None:
    """`orchestrate check` finds nothing wrong, and touches nothing."""
    checked = orchestrate("check", str(EXAMPLES / f"{name}.yaml"), cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CHUNKS)
def test_example_runs_to_a_complete_result(name: str, tmp_path: Path) -> None:
    """With the simulated runner each example ends with exit 0 and one complete result in the current folder."""
    ran = run_example(name, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    result = (tmp_path / f"{name}.result.md").read_text(encoding="utf-8")
    assert len(result) > 200
    assert "[missing:" not in result
    assert sorted(path.name for path in tmp_path.iterdir()) == [".orchestrate", f"{name}.result.md"]


def test_second_run_gives_the_same_result(tmp_path: Path) -> None:
    """An unchanged example gives the same bytes again, with and without the stored answers."""
    results: list[bytes] = []
    for more in ([], [], ["--fresh"]):
        ran = run_example("field-guide", *more, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        results.append((tmp_path / "field-guide.result.md").read_bytes())
    assert results[0] == results[1] == results[2]


def test_field_guide_takes_another_handbook(tmp_path: Path) -> None:
    """The first example can be tried on a text of one's own, as its head says."""
    (tmp_path / "mine.md").write_text("# Ours\n\nWe bake bread.\n", encoding="utf-8")
    ran = run_example("field-guide", "--input", "handbook=mine.md", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "field-guide.result.md").is_file()
