"""What the processes of an attempt hold in memory, looked at from time to time.

A limit of the kernel's own (`RLIMIT_AS`) does not do: the CLI reserves address space by the gigabyte and uses 200 MB of
it (2.1.328). Some versions grow without end [2.1.227, public issues].
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

MB = 1_000_000


@dataclass(slots=True, eq=False)
class Held:
    """One process group under watch. `bytes` is the most it was seen to hold; `on_over` is called once beyond `limit`.

    Without a limit (0) it is only looked at.
    """

    group: int
    limit: int
    on_over: Callable[[], None]
    bytes: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it held more than the limit at some time."""
        return 0 < self.limit < self.bytes

    def seen(self, held: int) -> None:
        """It holds so many bytes now."""
        was_over = self.is_over
        self.bytes = max(self.bytes, held)
        if self.is_over and not was_over:
            self.on_over()


class MemoryWatch:
    """Looks every `every_s` seconds at all that is under watch, with one walk through `/proc`.

    Without `/proc`, as on macOS, nothing is ever seen. Belongs to one event loop.
    """

    def __init__(self, *, every_s: float) -> None:
        self._every_s = every_s
        self._watched: set[Held] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, held: Held) -> None:
        """Watch this group until `end`."""
        self._watched.add(held)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def end(self, held: Held) -> None:
        """Look no more."""
        self._watched.discard(held)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)
        sizes = resident_bytes({each.group for each in self._watched})
        for each in tuple(self._watched):
            each.seen(sizes.get(each.group, 0))


def resident_bytes(groups: Collection[int], *, proc: Path = PROC) -> Counter[int]:
    """What the processes of each of these groups hold together; memory that two of them share counts twice."""
    found: Counter[int] = Counter()
    if not groups or not proc.exists():
        return found
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold anything; state, parent and group follow the last one, and the resident
            # pages are the 24th field of all.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            group = int(fields[2])
            if group in groups:
                found[group] += int(fields[21]) * _PAGE_BYTES
    return found
