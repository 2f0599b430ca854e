"""Ten thousand simulated worlds: random plans under random failures, stops and kills. Says how fast, and what broke.

    python benchmarks/simulation.py                     # seeds 0..10000 in two processes
    python benchmarks/simulation.py --seeds 500..600
    python benchmarks/simulation.py --replay 512        # the story of one world, the same each time

Ends with 1 when an invariant was broken; the seed is told.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.simulation.world import simulate

CHUNK = 50
"""Seeds that a process takes at a time; between them it lets go of what circles."""


def broken_among(seeds: range) -> tuple[int, list[tuple[int, str]]]:
    """How many worlds were played, and those in which something was broken."""
    gc.disable()
    found = [(seed, told.broken) for seed in seeds if (told := simulate(seed)).broken]
    gc.collect()
    return len(seeds), found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0..10000", help="from, and up to but without")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=int)
    given = parser.parse_args()
    if given.replay is not None:
        told = simulate(given.replay, tell=True)
        print(*told.story, sep="\n")
        print(told.broken or "nothing was broken", file=sys.stderr)
        return 1 if told.broken else 0
    first, _, last = given.seeds.partition("..")
    parts = [range(at, min(int(last), at + CHUNK)) for at in range(int(first), int(last), CHUNK)]
    begun_s, played, broken = time.monotonic(), 0, 0
    # What is loaded by now stays: looking it through again and again would find nothing to let go of.
    simulate(0)
    gc.collect()
    gc.freeze()
    with multiprocessing.get_context("fork").Pool(given.processes) as pool:
        for count, found in pool.imap_unordered(broken_among, parts):
            played += count
            broken += len(found)
            for seed, words in found:
                print(f"seed {seed}: {words}")
    took_s = time.monotonic() - begun_s
    print(f"{played:,} worlds in {took_s:.1f} s ({played / took_s:.0f} a second), {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
