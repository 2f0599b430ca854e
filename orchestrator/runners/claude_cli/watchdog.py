"""Our side of the watchdog: one small process for each runner that ends the children when we die, however we die.

`setpriv --pdeathsig` follows the spawning thread, misses grandchildren and loses a race right after spawning (28 of
180 in a measurement with 2.1.328); a pipe that only we hold has none of these gaps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SCRIPT = Path(__file__).with_name("watchdog_process.py")

STOP_WITHIN_S = 5.0
"""Bound on `stop`: the watchdog needs 1.2 s at most, the rest is for a busy machine."""


class Watchdog:
    """Knows the process groups that are alive, and has them ended when we cannot.

    `folder` is removed in the end, by the watchdog or by `stop`; it need not exist yet. No other process holds the
    pipe: it closes on exec, and what a program forks off without exec keeps the watchdog waiting for it.
    """

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    @property
    def pid(self) -> int | None:
        """The watchdog's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ensure(self) -> None:
        """Start the watchdog, or a new one if it died; a new one knows the groups of the old. Raises `OSError`."""
        if self.pid is not None:
            return
        self._close_pipe()
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), str(self._folder)],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self._pipe = writing
        for group in self._groups:
            self._tell(f"+{group}\n")

    def register(self, group: int) -> None:
        """Have this process group ended when we die. It must not be able to outlive us before this returns.

        Raises `OSError` when that cannot be promised, as after `stop`.
        """
        self._groups.add(group)
        try:
            self._tell(f"+{group}\n")
        except BrokenPipeError:
            self.ensure()

    def unregister(self, group: int) -> None:
        """Forget a group that is gone; its number may belong to somebody else from now on."""
        self._groups.discard(group)
        with suppress(OSError):
            self._tell(f"-{group}\n")

    def stop(self) -> None:
        """Let the watchdog end what is still recorded, remove the folder and exit. Bounded; may be called again."""
        self._close_pipe()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_WITHIN_S)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, line: str) -> None:
        os.write(self._pipe, line.encode())

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
