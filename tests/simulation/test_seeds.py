"""Whole runs, failures, stops and kills included, in time that passes only when nobody has anything to do.

`benchmarks/simulation.py` plays ten thousand worlds, and tells the story of one again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.world import simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "600"))
"""Worlds in a normal test run."""

PARTS = 4
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_world_keeps_what_is_promised(part: int) -> None:
    """Random plans under random faults: no invariant is broken, and every run comes to its end."""
    for seed in range(part, SEEDS, PARTS):
        told = simulate(seed)
        assert not told.broken, f"seed {seed}: {told.broken}; python benchmarks/simulation.py --replay {seed}"


def test_a_seed_tells_the_same_story_again() -> None:
    """Byte for byte, also in another process with other hashes, so that what failed once can be looked at for ever."""
    seeds = range(40, 52)
    here = "\n".join(line for seed in seeds for line in simulate(seed, tell=True).story)
    script = (
        "from tests.simulation.world import simulate\n"
        f"for seed in {seeds!r}:\n for line in simulate(seed, tell=True).story: print(line)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1234"}
    there = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout == here + "\n"


def test_worlds_are_as_bad_as_they_are_meant_to_be() -> None:
    """What the invariants are about does happen: every kind of end, pauses, retries, splits, kills and resumes."""
    lines = [line for seed in range(150) for line in simulate(seed, tell=True).story]
    for sign in (
        '"chunk_reused"',
        '"chunk_failed"',
        '"chunk_skipped"',
        '"chunk_cancelled"',
        '"run_paused"',
        '"run_continued"',
        '"chunk_retry_scheduled"',
        '"chunks_added"',
        '"run_resumed"',
        '"killed_at_step"',
        '"abandoned"',
        '"stop_asked"',
        '"status": "complete"',
        '"status": "partial"',
        '"status": "stopped"',
        "[1.1]",
        "the cost limit",
        "the time limit",
        "in a row failed",
        '"outcome": "wall_timeout"',
        '"outcome": "output_ceiling"',
    ):
        assert any(sign in line for line in lines), sign
