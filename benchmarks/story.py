"""One story of 5,000 words: in one call of the CLI, and in ten chunks. What is seen when, and what a kill costs.

The real CLI against a stand-in API that writes at the pace of a large model. Prints a Markdown table.
`benchmarks/README.md` says how to run it and what the columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from calls import LEAN, ROOT
from machine import described

from tests.equipment.fixtures import bundled_claude, cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer

TOKENS = 6_700
TOKENS_PER_S = 80
CHARS_PER_TOKEN = 4
CHAPTERS = 10
DELTA_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Try:
    """Seconds to the first text that can be read and to the end, and the calls that were made."""

    first_text_s: float
    total_s: float
    calls: int


def respond(request: ApiRequest, *, speed: float) -> ApiResponse:
    """The whole story, or the chapter that is asked for, word by word."""
    tokens = TOKENS if "whole story" in request.prompt else TOKENS // CHAPTERS
    text = ("so it went on " * tokens)[: tokens * CHARS_PER_TOKEN - 1] + "."
    pace_s = DELTA_TOKENS / TOKENS_PER_S / speed
    return answer(text, delta_chars=DELTA_TOKENS * CHARS_PER_TOKEN, delta_delay_s=pace_s)


def plan(mode: str) -> str:
    """Ten chapters: each with the end of the one before it, or all beside each other."""
    chapters = [f"Chapter {number + 1} of the story, about 500 words." for number in range(CHAPTERS)]
    carry = {"carry": {"tail_tokens": 200}} if mode == "sequence" else {}
    chunk = {"id": "chapter", "for_each": chapters, "prompt": "{{ item.text }}", **carry}
    return json.dumps({"name": "story", "mode": mode, "chunks": [chunk]})


def one_call(claude: Path) -> list[str]:
    """What somebody types who does not split."""
    return [str(claude), "-p", *LEAN, "--", "Write the whole story, 5,000 words."]


def ten_chunks(claude: Path) -> list[str]:
    """What somebody types who does."""
    words = ["plan.yaml", "--yes", "--force", "--progress", "json", "--claude", str(claude)]
    return [sys.executable, "-m", "orchestrator", *words]


def first_text(command: Sequence[str], line: str) -> bool:
    """Whether this line of the output is, or tells of, text that a person can read by now."""
    return json.loads(line)["type"] == "chunk_succeeded" if "--progress" in command else bool(line.strip())


def run(
    command: Sequence[str], folder: Path, environment: dict[str, str], *, kill_after_s: float | None
) -> list[float]:
    """Start it and read what it says; seconds to the first text and to the end, fewer when it was killed before."""
    begin, found = time.perf_counter(), list[float]()
    environment = {**environment, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return []
        for line in process.stdout:
            if not found and first_text(command, line):
                found.append(time.perf_counter() - begin)
        process.wait()
        if process.returncode:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return [*found, time.perf_counter() - begin]


def tried(command: Sequence[str], mode: str, *, speed: float, half_s: float | None) -> Try:
    """The whole from the beginning; with `half_s` it is killed then, and typed again."""
    with tempfile.TemporaryDirectory() as place, StandInApi(partial(respond, speed=speed)) as api:
        folder = Path(place)
        (folder / "home").mkdir()
        (folder / "plan.yaml").write_text(plan(mode), encoding="utf-8")
        environment = cli_environment(api, folder / "home")
        if half_s is not None:
            run(command, folder, environment, kill_after_s=half_s)
        first_s, total_s = run(command, folder, environment, kill_after_s=None)
        return Try(first_s, total_s, len(api.requests))


def main() -> int:
    """Each way once undisturbed and once killed half-way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=4.0, help="the API writes so many times faster than a model")
    options = parser.parse_args()
    claude = bundled_claude()
    ways = {
        "one `claude -p`": (one_call(claude), "parallel"),
        "ten chunks, one after the other": (ten_chunks(claude), "sequence"),
        "ten chunks, 4 at once": (ten_chunks(claude), "parallel"),
    }
    print(described(), f"· {TOKENS:,} tokens at {TOKENS_PER_S * options.speed:.0f} a second\n")
    print("| way | first text | total | killed half-way: calls made again | to the end after it |")
    print("|---|---:|---:|---:|---:|")
    for name, (command, mode) in ways.items():
        whole = tried(command, mode, speed=options.speed, half_s=None)
        killed = tried(command, mode, speed=options.speed, half_s=whole.total_s / 2)
        again = f"{killed.calls - whole.calls} of {whole.calls}"
        print(f"| {name} | {whole.first_text_s:.1f} s | {whole.total_s:.1f} s | {again} | {killed.total_s:.1f} s |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
