"""Whether the memory of this machine has room for one more call. `Room` is pure; `memory_left_mb` reads the system."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

SPARE_MB = 100
"""Left to everybody else on the machine."""

SETTLES_S = 3.0
"""A process that started so recently does not yet hold what it will; its share is set aside."""

LATEST_CALLS = 20
"""The most that one of so many held is what the next may hold."""

MB = 1_000_000


class Room:
    """Decides by what calls hold: `call_mb` to begin with (0: next to nothing), then what the latest were seen to."""

    def __init__(self, call_mb: int) -> None:
        self._first_mb = call_mb
        self._held_mb: deque[int] = deque(maxlen=LATEST_CALLS)
        self._starts_s: deque[float] = deque()

    @property
    def call_mb(self) -> int:
        """What one more call is taken to hold."""
        return max(self._held_mb, default=self._first_mb)

    def started(self, now_s: float) -> None:
        """A call starts."""
        if self._first_mb:
            self._starts_s.append(now_s)

    def held(self, megabytes: int) -> None:
        """A call held so much at the most; 0 when nobody saw it."""
        if megabytes and self._first_mb:
            self._held_mb.append(megabytes)

    def has_room(self, left_mb: float | None, *, now_s: float) -> bool:
        """Whether one more fits into what is left (None: not known) once those that just started have taken theirs."""
        while self._starts_s and now_s - self._starts_s[0] >= SETTLES_S:
            self._starts_s.popleft()
        return left_mb is None or left_mb - len(self._starts_s) * self.call_mb >= self.call_mb + SPARE_MB


def memory_left_mb(*, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """What may still be taken of the memory, by the machine and by each control group (version 1 or 2) we are in.

    None where the system does not say, as on macOS.
    """
    lefts: list[float] = []
    with suppress(OSError, ValueError):
        lines = (proc / "meminfo").read_text().splitlines()
        lefts += [int(line.split()[1]) * 1024 / MB for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                lefts += _left_of_groups(cgroups, path, most="memory.max", now="memory.current", cache="inactive_file")
            elif "memory" in controllers.split(","):
                names = {"most": "memory.limit_in_bytes", "now": "memory.usage_in_bytes"}
                lefts += _left_of_groups(cgroups / "memory", path, cache="total_inactive_file", **names)
    return min(lefts, default=None)


def _left_of_groups(root: Path, path: str, *, most: str, now: str, cache: str) -> list[float]:
    """What the group at `path` and those it lies in may still take; cached files that nobody uses give way."""
    lefts: list[float] = []
    # In a container the path is often that of the host, and the group itself is mounted at the root.
    folders = [root, *(root / Path(*parts) for parts in _beginnings(path))]
    for folder in folders:
        with suppress(OSError, ValueError):
            stated = (folder / most).read_text().strip()
            if stated == "max":
                continue
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            used = int((folder / now).read_text()) - int(stat.get(cache, 0))
            lefts.append(max(0, int(stated) - used) / MB)
    return lefts


def _beginnings(path: str) -> list[tuple[str, ...]]:
    parts = tuple(part for part in path.split("/") if part and part != "..")
    return [parts[:length] for length in range(1, len(parts) + 1)]
