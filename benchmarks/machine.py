"""What every table says of the machine, and what is measured of a program that runs as a child."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLED_EVERY_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a program took: seconds by the clock and of the processor (children included), peak resident bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str


def described(*packages: str) -> str:
    """The machine, the versions and the date, in one line."""
    versions = [f"{name} {version(name)}" for name in packages]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{datetime.date.today()} · {machine} · " + ", ".join(
        [f"Python {platform.python_version()}", *versions, load]
    )


def run_measured(
    command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str] | None = None, stdin: str = ""
) -> Usage:
    """Run a program to its end. Raises `RuntimeError` with what it said when it fails.

    The peak is that of the program itself, not of its children; it is sampled, so a shorter one may be missed.
    """
    begin, peak = time.perf_counter(), 0
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(stdin)
        process.stdin.close()
        memory = Path(f"/proc/{process.pid}/statm")
        ended, status, used = 0, 0, None
        while not ended:
            if memory.exists():
                peak = max(peak, int(memory.read_text(encoding="ascii").split()[1]) * PAGE_BYTES)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0 if ended else SAMPLED_EVERY_S)
        wall_s = time.perf_counter() - begin
        output = process.stdout.read()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {output[-2000:]}")
    assert used is not None
    return Usage(wall_s=wall_s, cpu_s=used.ru_utime + used.ru_stime, peak_bytes=peak, output=output)
