"""A terminal for tests: a child on a pseudo-terminal, and everything that it wrote there."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs a command on a pseudo-terminal of 100 × 30. A context manager; leaving it ends the child."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=env, cwd=cwd, start_new_session=True
        )
        os.close(slave)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        if self.child.stderr:
            self.child.stderr.close()
        os.close(self._master)

    def type(self, text: str) -> None:
        """As if typed on the keyboard."""
        os.write(self._master, text.encode())

    def read_until(self, text: str, *, timeout_s: float = 30.0) -> str:
        """Read until `text` was shown; returns all that was shown so far. Raises `AssertionError` when it never is."""
        end_s = time.monotonic() + timeout_s
        while text not in self.shown and self._read(end_s):
            pass
        assert text in self.shown, f"{text!r} was not shown in:\n{self.shown}"
        return self.shown

    def finish(self, *, timeout_s: float = 30.0) -> tuple[int, str]:
        """Read to the end. Returns the exit code and stderr."""
        end_s = time.monotonic() + timeout_s
        while self._read(end_s):
            pass
        assert self.child.stderr
        stderr = self.child.stderr.read().decode()
        return self.child.wait(timeout=10), stderr

    def _read(self, end_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, end_s - time.monotonic()))
        if not ready:
            return False
        # EIO: the child has closed its side.
        with contextlib.suppress(OSError):
            data = os.read(self._master, 65_536)
            self.shown += self._decoder.decode(data)
            return bool(data)
        return False
