"""A plan over one long text, the first time and again: how long splitting takes, and when something is heard of it.

Prints a Markdown table. `benchmarks/README.md` says how to run it and what the rows mean.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from splitting import long_descriptions, markdown_files, up_to

from orchestrator.plan.loading import Texts
from orchestrator.plan.splits import SplitTask, split_all
from orchestrator.plan.tokens import count_tokens
from orchestrator.store import StoredTexts, open_store

PLAN = """
inputs: {book: book.md}
chunks:
  - id: part
    for_each: {input: book, split: markdown, max_tokens: 3000}
    prompt: "{{ item.text }}"
"""
TOLD = ("run_started", "run_estimated")


def split_s(text: str, store: Path) -> tuple[float, float, int]:
    """Seconds to have the pieces, those of the processor, and how many pieces; afterwards it is kept, as a run does."""
    parameters = {"mode": "markdown", "max_tokens": 3000}
    known = StoredTexts(store)
    begin, cpu = time.perf_counter(), time.process_time()
    (pieces,) = split_all([SplitTask(text, parameters)], what="book", texts=Texts(cache=known))
    took = (time.perf_counter() - begin, time.process_time() - cpu)
    thread = open_store(store, create=True).start_thread()
    if (job := known.writing()) is not None:
        thread.submit(job, lambda _, error: None)
    thread.close()
    return *took, len(pieces)


def events_s(folder: Path) -> list[float]:
    """Seconds from the command's start to each event of `TOLD`, then it is ended; last comes its processor time."""
    words = ["plan.yaml", "--runner", "simulated:latency_s=0", "--progress", "json", "--force"]
    begin, cpu, found = time.perf_counter(), children_cpu_s(), dict[str, float]()
    command = [sys.executable, "-m", "orchestrator", *words]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found.setdefault(json.loads(line)["type"], time.perf_counter() - begin)
            if TOLD[-1] in found:
                process.terminate()
                break
        process.stdout.read()
    return [*(found[kind] for kind in TOLD), children_cpu_s() - cpu]


def children_cpu_s() -> float:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Does everything twice: nothing is known the first time, all of it the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=10.0, help="size of the text")
    options = parser.parse_args()
    readmes = [each for each in itertools.chain(long_descriptions(), markdown_files()) if len(each) > 2_000]
    text = "\n\n".join(up_to(readmes, options.megabytes))
    count_tokens("the ranks are read before the clock starts")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
        (folder / "book.md").write_bytes(text.encode())
        splits = [split_s(text, folder / "splits.db") for _ in range(2)]
        events = [events_s(folder) for _ in range(2)]
        size = (folder / "splits.db").stat().st_size
    print(f"{datetime.date.today()} · {platform.machine()}, {os.cpu_count()} cores, {platform.system()}", end=" · ")
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}\n")
    print(f"| {len(text.encode()) / 1e6:.1f} MB of Markdown, {splits[0][2]:,} pieces | first time | again |")
    print("|---|---:|---:|")
    told = [f"the command, to `{kind}`" for kind in TOLD]
    rows = ["split", "split, processor time"], [*told, "the command, processor time"]
    for names, figures in zip(rows, (splits, events), strict=True):
        for name, first, second in zip(names, *figures, strict=False):
            print(f"| {name} | {first:.2f} s | {second:.2f} s |")
    print(f"\nA store that holds this split and nothing else has {size / 1000:.0f} kB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
