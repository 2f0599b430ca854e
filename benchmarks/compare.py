"""The same prompts through the real CLI by several ways, against a stand-in API: time, processor, size of requests.

Prints a Markdown table. `benchmarks/README.md` says how to run it and what the columns mean.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from calls import WAYS
from machine import described

from tests.equipment.fixtures import bundled_claude, cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer

AT_ONCE = 4


def prompts_of(count: int) -> list[str]:
    """As many short prompts, all different."""
    return [f"Write paragraph {number} about the history of the bicycle." for number in range(count)]


def respond(request: ApiRequest, *, latency_s: float) -> ApiResponse:
    """The same paragraph for everybody, after so many seconds."""
    return answer("The bicycle came late, and then all at once. " * 8, delay_s=latency_s)


def run_way(name: str, prompts: list[str], latency_s: float) -> tuple[float, float, float]:
    """Seconds, those of the processor with all children, and bytes of a request beyond its prompt on average.

    A process of its own makes the calls, so that what it took can be told from what the stand-in API took.
    """
    with tempfile.TemporaryDirectory() as place, StandInApi(partial(respond, latency_s=latency_s)) as api:
        folder = Path(place)
        environment = cli_environment(api, folder / "home")
        (folder / "home").mkdir()
        begin = time.perf_counter()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                WAYS[name](prompts, folder, bundled_claude(), environment, AT_ONCE)
                code = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status, used = os.wait4(pid, 0)
        wall_s = time.perf_counter() - begin
        if status:
            raise RuntimeError(f"{name} failed")
        extra = [request.overhead for request in api.requests]
    return wall_s, used.ru_utime + used.ru_stime, statistics.mean(extra)


def main() -> int:
    """All ways in turn, so many rounds; the median of each figure counts, and ratios are to the first way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until the API answers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), metavar="WAY", help="only these")
    options = parser.parse_args()
    prompts, figures = prompts_of(options.chunks), {name: list[tuple[float, float, float]]() for name in options.ways}
    for _ in range(options.rounds):
        for name in options.ways:
            figures[name].append(run_way(name, prompts, options.latency))
    bound_s = options.latency * options.chunks / AT_ONCE
    what = f"{options.chunks} chunks, {AT_ONCE} at once, the API takes {options.latency:g} s, {options.rounds} rounds"
    print(described("claude-agent-sdk"), f"· {what}\n")
    bound = " wall ÷ bound |" if bound_s else ""
    print(f"| way | wall | CPU a chunk | request beyond the prompt | wall, of the first | CPU, of the first |{bound}")
    print("|---|" + "---:|" * (6 if bound_s else 5))
    first: list[float] = []
    for name, rounds in figures.items():
        wall, cpu, extra = (statistics.median(each) for each in zip(*rounds, strict=True))
        first = first or [wall, cpu]
        taken = f"{wall:.1f} s | {cpu / options.chunks:.2f} s | {extra / 1000:.1f} kB"
        ratio = f" {wall / bound_s:.2f} |" if bound_s else ""
        print(f"| {name} | {taken} | {wall / first[0]:.2f} | {cpu / first[1]:.2f} |{ratio}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
