"""`doctor` on a damaged store, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.store.pages import PAGE_BYTES
from tests.cli.command import orchestrate

PLAN = "chunks:\n" + "".join(f"  - {{id: c{number}, prompt: 'Write {number}.'}}\n" for number in range(12))
RUN = ("plan.yaml", "--runner", "simulated:latency_s=0", "--progress", "quiet")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of a run, whose last third is gone."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    assert orchestrate(*RUN, cwd=tmp_path).returncode == 0
    path = tmp_path / ".orchestrate" / "store.db"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // PAGE_BYTES * 2 // 3 * PAGE_BYTES])
    return path


def test_from_a_damaged_store_to_a_complete_result(store: Path, tmp_path: Path) -> None:
    """The run names `doctor`, `doctor` says what is left and names `--repair`, and after it the same plan completes."""
    damaged = store.read_bytes()
    expected = (tmp_path / "plan.result.md").read_bytes()
    refused = orchestrate(*RUN, cwd=tmp_path)
    assert refused.returncode == 3
    assert "`orchestrate doctor --repair`" in refused.stderr
    told = orchestrate("doctor", cwd=tmp_path)
    assert told.returncode == 3
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("WRONG  store ")]
    assert "can be read: " in line
    assert "lost, as far as the rest tells: " in line
    assert "save that with: orchestrate doctor --repair" in told.stdout
    assert store.read_bytes() == damaged
    done = orchestrate("doctor", "--repair", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (aside,) = store.parent.glob("store.damaged-*.db")
    assert f"the damaged file is kept as .orchestrate/{aside.name}" in done.stdout
    assert aside.read_bytes() == damaged
    assert orchestrate(*RUN, "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "plan.result.md").read_bytes() == expected


def test_for_programs(store: Path, tmp_path: Path) -> None:
    """`--json` tells the same as an object, before and after; of a sound store that nothing was to do."""
    damage = json.loads(orchestrate("doctor", "--json", cwd=tmp_path).stdout)["damage"]
    assert damage["path"] == ".orchestrate/store.db"
    assert damage["saved"]["answers"] + damage["answers_lost"] <= 12
    assert damage["runs_lost"] or damage["runs"]
    repaired = json.loads(orchestrate("doctor", "--repair", "--json", cwd=tmp_path).stdout)
    assert repaired == {"damaged": True, "moved_to": repaired["moved_to"], **damage}
    assert json.loads(orchestrate("doctor", "--repair", "--json", cwd=tmp_path).stdout) == {
        "damaged": False,
        "path": ".orchestrate/store.db",
    }


def test_no_store_no_repair(tmp_path: Path) -> None:
    """A mistyped path is an error of the call."""
    done = orchestrate("doctor", "--repair", "--store", "nowhere.db", cwd=tmp_path)
    assert done.returncode == 2
    assert "no store at nowhere.db" in done.stderr
