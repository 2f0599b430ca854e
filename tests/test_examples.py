"""The examples work: each runs offline, to the end, to the result that the documentation promises."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import ROOT, orchestrate

EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
CHUNKS = {"ten-lines": 4, "field-guide": 8, "code-review": 6, "story": 11, "story-parallel": 11}


def run_example(name: str, *more: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    plan = str(EXAMPLES / f"{name}.yaml")
    return orchestrate(plan, "--runner", "simulated:latency_s=0", "--progress", "quiet", *more, cwd=cwd)


def listed() -> dict[str, list[str]]:
    """What the folder's README says of each plan: calls, cost, time."""
    rows = re.findall(r"^\| \[(.+)\.yaml\]\(\1\.yaml\) \|[^|]*\|(.*)\|$", README, flags=re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1, "min": 60}[unit]


def test_every_example_is_listed() -> None:
    """Every plan in the folder is tried here and described in the folder's README."""
    plans = {path.stem for path in EXAMPLES.glob("*.yaml")}
    assert plans == set(CHUNKS)
    assert {name: int(cells[0]) for name, cells in listed().items()} == CHUNKS


@pytest.mark.parametrize("name", CHUNKS)
def test_example_is_a_good_plan(name: str, tmp_path: Path) -> None:
    """`orchestrate check` finds nothing wrong, touches nothing, and agrees with what the README says it costs."""
    checked = orchestrate("check", str(EXAMPLES / f"{name}.yaml"), "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert list(tmp_path.iterdir()) == []
    estimate = json.loads(checked.stdout)["estimate"]
    calls, cost, time = listed()[name]
    assert estimate["calls"] == int(calls)
    assert estimate["cost_usd_low"] < float(cost.removeprefix("$")) < estimate["cost_usd_high"]
    assert estimate["time_s_low"] < seconds(time) < estimate["time_s_high"]


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
