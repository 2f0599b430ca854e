"""What the engine itself takes for each chunk: answers come at once, so that nothing else is left to measure.

Prints a Markdown table. `benchmarks/README.md` says how to run it and what the columns mean.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from machine import Usage, described, run_measured

from orchestrator import Reply, Request, RunnerInfo, run_plan

ANSWER = "An answer of average length, the same for every prompt of the plan. " * 12
MAX_CONCURRENCY = 16


class InstantRunner:
    """Answers at once, always the same."""

    kind = "instant"

    async def open(self) -> RunnerInfo:
        """Always ready."""
        return RunnerInfo(version="1", login="nobody")

    async def close(self) -> None:
        """Nothing to end."""

    async def run(self, request: Request, *, on_progress: object) -> Reply:
        """No wait at all."""
        return Reply(text=ANSWER, model="instant")


def run_chunks(count: int, folder: Path) -> None:
    """One run of so many independent chunks, its store on the disk."""
    plan = {
        "chunks": [{"id": "part", "for_each": [f"Topic {n}." for n in range(count)], "prompt": "{{ item.text }}"}],
        "limits": {"max_concurrency": MAX_CONCURRENCY},
    }
    result = run_plan(plan, runner=InstantRunner(), store=folder / "store.db", base_dir=folder)
    result.raise_for_failure()


def measured(count: int, rounds: int) -> tuple[Usage, int]:
    """The run with the median of processor time among so many, and the size of its store in bytes."""
    found: list[tuple[Usage, int]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            usage = run_measured([sys.executable, __file__, "--run", str(count), name], cwd=Path(name))
            found.append((usage, (Path(name) / "store.db").stat().st_size))
    middle = statistics.median_low(usage.cpu_s for usage, _ in found)
    return next(each for each in found if each[0].cpu_s == middle)


def main() -> int:
    """Every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1_000, 10_000, 30_000])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each size; the one in the middle counts")
    parser.add_argument("--run", nargs=2, metavar=("CHUNKS", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_chunks(int(options.run[0]), Path(options.run[1]))
        return 0
    # The start of Python, LangGraph and the token ranks are there in any run; so are the pages of an empty store.
    (first, first_bytes) = measured(1, options.rounds)
    print(described("langgraph"), end=f" · start {first.cpu_s:.2f} CPU-s, {first.peak_bytes / 1e6:.0f} MB\n\n")
    print("| chunks | wall | CPU | CPU a chunk | peak memory | store a chunk |\n|---:|---:|---:|---:|---:|---:|")
    for count in options.chunks:
        usage, size = measured(count, options.rounds)
        cpu_ms = (usage.cpu_s - first.cpu_s) / count * 1e3
        times = f"{usage.wall_s:.1f} s | {usage.cpu_s:.1f} s | {cpu_ms:.2f} ms"
        sizes = f"{usage.peak_bytes / 1e6:.0f} MB | {(size - first_bytes) / count / 1e3:.2f} kB"
        print(f"| {count:,} | {times} | {sizes} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
