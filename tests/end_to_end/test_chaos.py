"""The benchmark of kills, a short one: it runs, and what it counts is what it should be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


def test_a_few_kills() -> None:
    """Kills with real child processes and between steps: nothing asked again, lost, doubled or left; equal results."""
    done = subprocess.run(
        [sys.executable, str(CHAOS), "--chunks", "4", "--kills", "3", "--points", "2"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    assert [row[3:7] for row in rows[2:]] == [["0"] * 4] * 2
