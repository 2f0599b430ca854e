"""A million damaged streams of the Claude CLI: none may raise, none may count as a success that it is not.

    python benchmarks/parser_mutations.py                    # seeds 0..1000000 in two processes
    python benchmarks/parser_mutations.py --seeds 0..50000
    python benchmarks/parser_mutations.py --replay 512       # the stream of one seed, and what is made of it

Ends with 1 when something was wrong; the seed is told.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.claude_cli.mutations import damaged, outcome, second_opinion, verdict_on

CHUNK = 1000
"""Seeds that a process takes at a time."""


def wrong_among(seeds: range) -> tuple[int, list[tuple[int, str]]]:
    """How many streams were tried, and those of which something wrong was made."""
    return len(seeds), [(seed, wrong) for seed in seeds if (wrong := verdict_on(seed))]


def show(seed: int) -> int:
    """Print one stream and what is made of it."""
    stream = damaged(seed)
    sys.stdout.buffer.write(stream.data + b"\n")
    sys.stdout.flush()
    print(f"in {len(stream.pieces)} pieces, exit code {stream.exit_code}, structured: {stream.structured}")
    print("may count as the answer:", second_opinion(stream))
    print("made of it:", outcome(stream))
    wrong = verdict_on(seed)
    print(wrong or "nothing is wrong", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0..1000000", help="from, and up to but without")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=int)
    given = parser.parse_args()
    if given.replay is not None:
        return show(given.replay)
    first, _, last = given.seeds.partition("..")
    parts = [range(at, min(int(last), at + CHUNK)) for at in range(int(first), int(last), CHUNK)]
    begun_s, tried, wrong = time.monotonic(), 0, 0
    with multiprocessing.get_context("fork").Pool(given.processes) as pool:
        for count, found in pool.imap_unordered(wrong_among, parts):
            tried += count
            wrong += len(found)
            for seed, words in found:
                print(f"seed {seed}: {words}")
    took_s = time.monotonic() - begun_s
    print(f"{tried:,} streams in {took_s:.1f} s ({tried / took_s:.0f} a second), {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
