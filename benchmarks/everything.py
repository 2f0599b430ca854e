"""Runs every benchmark and writes their tables into one file, each under the command that printed it.

Takes about an hour; `--quick` takes some minutes and is for seeing that they run, not for figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

COMMANDS: tuple[tuple[str, str], ...] = (
    ("compare.py", "--chunks 8 --rounds 1"),
    ("compare.py --latency 2", "--chunks 8 --rounds 1"),
    ("story.py --speed 2", "--speed 20"),
    ("caching.py", "--chunks 8"),
    ("schedule.py", "--chunks 50"),
    ("overhead.py", "--chunks 200 --rounds 1"),
    ("simulation.py", "--seeds 0..200"),
    ("parser_mutations.py", "--seeds 0..20000"),
    ("chaos.py", "--kills 5 --points 20"),
    ("long_texts.py", "--megabytes 1"),
    ("splitting.py", "--megabytes 0.2"),
)
"""Each program with its arguments, and those that are added for a quick look."""


def main() -> int:
    """One after the other; the exit code is 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=Path("results.md"))
    options = parser.parse_args()
    failed = False
    with options.output.open("w", encoding="utf-8") as results:
        for words, quick in COMMANDS:
            program, *given = f"{words} {quick}".split() if options.quick else words.split()
            command = " ".join(["python", f"benchmarks/{program}", *given])
            print(f"{command} …", end=" ", flush=True)
            begin = time.perf_counter()
            done = subprocess.run([sys.executable, HERE / program, *given], capture_output=True, text=True)
            failed |= done.returncode != 0
            said = done.stdout if not done.returncode else f"failed:\n\n{done.stdout}{done.stderr[-2000:]}"
            results.write(f"## {command}\n\n{said.rstrip()}\n\n")
            results.flush()
            print(f"{'failed' if done.returncode else 'done'} in {time.perf_counter() - begin:.0f} s")
    print(f"written: {options.output}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
