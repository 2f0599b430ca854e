"""Watching processes from outside: which of ours are alive, found by a word in their environment or command line."""

from __future__ import annotations

import time
from pathlib import Path


def alive_with(word: str) -> dict[int, str]:
    """Pid and command line of every live process that has `word` in its environment or arguments (Linux)."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "stat").read_text()
            arguments = (folder / "cmdline").read_bytes()
            if status.rpartition(")")[2].split()[0] == "Z":
                continue
            if word.encode() in (folder / "environ").read_bytes() + arguments:
                found[int(folder.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")[:200]
        except OSError:
            continue
    return found


def wait_until_gone(word: str, *, within_s: float) -> dict[int, str]:
    """What is still alive after at most so many seconds; {} as soon as nothing is."""
    deadline = time.monotonic() + within_s
    while alive := alive_with(word):
        if time.monotonic() >= deadline:
            return alive
        time.sleep(0.02)
    return {}
