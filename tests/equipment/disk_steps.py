"""Every step of a process towards the disk, counted; at a chosen one the process is killed, or the disk fails.

A step is a call that changes what is on the disk: a file made, written to, cut, synced, renamed or removed, a folder
made. Those of SQLite count too: its own table of system calls is changed for that, so no product code knows of this.
What a process leaves when it is killed before step n, for every n, is all that `kill -9` can ever leave.

`python -m tests.equipment.disk_steps DESCRIPTOR` serves commands as `tests.cli.forked` does, with the trouble named in
`TROUBLE`. Each call of the simulated runner is noted in the file `CALLS`, before it is made.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import io
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli import forked

TROUBLE = "DISK_TROUBLE"
"""The variable that says what happens, at a number that need not be reached:

`kill:7`    the process is killed before the seventh step
`torn:7`    it is killed with half of the seventh step done, if that is a write, else before it
`EIO:7`     the seventh step fails
`ENOSPC:7`  whatever takes space fails from there on
`EROFS:7`   all but syncing fails from there on, as on a disk that has become read-only
`copy:DIR`  the folder is copied to DIR/00007 before the seventh step, and to DIR/00007.torn in the middle of a write:
            what a kill there leaves (writes of SQLite, which come by the hundred, are halved for `copy-all:DIR` alone)

Instead of a number, `EIO:rename .out.md` means the first step whose line in `STEPS_FILE` begins so.
"""

CALLS = "CALLS_FILE"
"""The variable with the file to which the chunk of each call goes, a line each."""

STEPS = "STEPS_FILE"
"""The variable with the file to which each step goes, a line each; left out, they are only counted."""

PID = "PID_FILE"
"""The variable with a file that gets the id of the process that is the command; may be left out."""

FAILS = "fails"
"""A chunk whose id begins so is refused by the simulated runner."""

_TAKES_SPACE = ("make", "write", "folder")

_write, _open, _kill = os.write, os.open, os.kill
"""As they are before anything is changed."""

Do = Callable[[int], Any]
"""Makes the rest of a step of which so many bytes were written."""


class Disk:
    """What happens at the disk of this process, from `watch()` on, to files below `folder`."""

    def __init__(self, folder: Path, *, trouble: str, log: str) -> None:
        self._folder = folder
        self._how, _, number = trouble.partition(":")
        self._copies = Path(number) if self._how in ("copy", "copy-all") else None
        self._at = int(number) if number.isdecimal() else 0
        self._begins = "" if number.isdecimal() or self._copies else number
        self._log = _open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else -1
        self._count = 0
        self._mutex = threading.RLock()
        self._descriptors: set[int] = set()
        self._kept: list[Any] = []

    def step(self, kind: str, what: str, do: Do, *, half: Callable[[], int] | None = None) -> Any:
        """Make a step, or what comes instead. One at a time, so that copies show what was on the disk at a moment.

        `half` makes half of a write and returns how many bytes that is. Raises `OSError` when it is to fail.
        """
        with self._mutex:
            self._count += 1
            line = f"{kind} {Path(what).name}"
            if self._begins and line.startswith(self._begins):
                self._at, self._begins = self._count, ""
            reached = self._count == self._at
            if self._log >= 0:
                _write(self._log, f"{line}\n".encode())
            if reached and self._how in ("kill", "torn"):
                if half is not None and self._how == "torn":
                    half()
                _kill(os.getpid(), signal.SIGKILL)
            if reached and self._how == "EIO":
                raise OSError(errno.EIO, os.strerror(errno.EIO), what)
            if self._how == "ENOSPC" and self._count >= self._at > 0 and kind in _TAKES_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), what)
            if self._how == "EROFS" and self._count >= self._at > 0 and kind != "sync":
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), what)
            done = 0
            if self._copies is not None:
                copy = self._copies / f"{self._count:05}"
                shutil.copytree(self._folder, copy)
                if half is not None:
                    done = half()
                    shutil.copytree(self._folder, copy.with_suffix(".torn"))
            return do(done)

    def watches(self, path: Any) -> bool:
        """Whether it is about this file."""
        return not isinstance(path, int) and Path(os.fsdecode(path)).absolute().is_relative_to(self._folder)

    def watch(self) -> None:
        """Step in at every call from now on."""
        self._watch_python()
        self._watch_files()
        self._watch_sqlite()

    def _watch_python(self) -> None:
        def on_path(name: str, kind: str) -> None:
            real = getattr(os, name)

            def call(path: Any, *more: Any, **named: Any) -> Any:
                if not self.watches(path):
                    return real(path, *more, **named)
                return self.step(kind, os.fsdecode(path), lambda _: real(path, *more, **named))

            setattr(os, name, call)

        def on_descriptor(name: str, kind: str) -> None:
            real = getattr(os, name)

            def call(descriptor: int, *more: Any) -> Any:
                if descriptor not in self._descriptors:
                    return real(descriptor, *more)
                return self.step(kind, name, lambda _: real(descriptor, *more))

            setattr(os, name, call)

        def open_(path: Any, flags: int, mode: int = 0o777, **named: Any) -> int:
            watched = "dir_fd" not in named and self.watches(path)
            if watched and flags & os.O_CREAT and not Path(path).exists():
                descriptor = self.step("make", os.fsdecode(path), lambda _: _open(path, flags, mode, **named))
            else:
                descriptor = _open(path, flags, mode, **named)
            (self._descriptors.add if watched else self._descriptors.discard)(descriptor)
            return descriptor

        for name in ("replace", "rename"):
            on_path(name, "rename")
        for name in ("unlink", "remove", "rmdir"):
            on_path(name, "remove")
        on_path("mkdir", "folder")
        for name, kind in {"write": "write", "fsync": "sync", "ftruncate": "cut"}.items():
            on_descriptor(name, kind)
        os.open = open_

    def _watch_files(self) -> None:
        disk, real = self, io.open

        class Watched(io.FileIO):
            def write(self, content: Any, /) -> int:
                content, put = bytes(content), super().write
                first = content[: len(content) // 2]
                disk.step("write", os.fsdecode(self.name), lambda done: put(content[done:]), half=lambda: put(first))
                return len(content)

            def fileno(self) -> int:
                disk._descriptors.add(number := super().fileno())
                return number

        def open_(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            if not any(letter in mode for letter in "wax") or not disk.watches(file):
                return real(file, mode, *more, **named)
            how = mode.replace("b", "").replace("t", "")
            if "w" in mode or not Path(file).exists():
                raw: Any = disk.step("make", os.fsdecode(file), lambda _: Watched(file, how))
            else:
                raw = Watched(file, how)
            buffered = io.BufferedWriter(raw)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, encoding="utf-8", newline=named.get("newline"))

        io.open = open_

    def _watch_sqlite(self) -> None:
        library, libc = ctypes.CDLL(_sqlite3.__file__), ctypes.CDLL(None, use_errno=True)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None)
        integer, size, text, buffer, offset = (
            ctypes.c_int,
            ctypes.c_size_t,
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.c_int64,
        )

        def put(name: str, result: Any, *kinds: Any, make: Callable[..., Any]) -> None:
            real = getattr(libc, name)
            real.restype, real.argtypes = result, kinds

            def call(*values: Any) -> Any:
                try:
                    return make(real, *values)
                except OSError as error:
                    ctypes.set_errno(error.errno or 0)
                    return -1

            changed = ctypes.CFUNCTYPE(result, *kinds, use_errno=True)(call)
            self._kept.append(changed)
            status = vfs.contents.set_system_call(vfs, name.encode(), ctypes.cast(changed, ctypes.c_void_p))
            assert status == 0, f"SQLite does not let go of {name}"

        def open_(real: Any, path: bytes, flags: int, mode: int) -> Any:
            if not flags & os.O_CREAT or Path(os.fsdecode(path)).exists():
                return real(path, flags, mode)
            return self.step("make", os.fsdecode(path), lambda _: real(path, flags, mode))

        def at_place(real: Any, descriptor: int, content: int, length: int, place: int) -> Any:
            return self.step(
                "write",
                "sqlite",
                lambda _: real(descriptor, content, length, place),
                half=None if self._how == "copy" else lambda: real(descriptor, content, length // 2, place),
            )

        put("open", integer, text, integer, integer, make=open_)
        put(
            "unlink",
            integer,
            text,
            make=lambda real, path: self.step("remove", os.fsdecode(path), lambda _: real(path)),
        )
        put(
            "ftruncate",
            integer,
            integer,
            offset,
            make=lambda real, *values: self.step("cut", "sqlite", lambda _: real(*values)),
        )
        put(
            "write",
            ctypes.c_ssize_t,
            integer,
            buffer,
            size,
            make=lambda real, *values: self.step("write", "sqlite", lambda _: real(*values)),
        )
        for name in ("pwrite", "pwrite64"):
            put(name, ctypes.c_ssize_t, integer, buffer, size, offset, make=at_place)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs` of version 3, as far as it is needed."""


_SetSystemCall = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Vfs), ctypes.c_char_p, ctypes.c_void_p)
_Vfs._fields_ = [
    ("numbers", ctypes.c_int * 3),
    ("next", ctypes.c_void_p),
    ("name", ctypes.c_char_p),
    ("data", ctypes.c_void_p),
    ("methods", ctypes.c_void_p * 13),
    ("set_system_call", _SetSystemCall),
]


def note_calls(path: str) -> None:
    """Have every call of the simulated runner noted, and those of chunks called `FAILS` refused."""
    from orchestrator.runners.base import Failure, FailureClass
    from orchestrator.runners.simulated import SimulatedRunner

    real = SimulatedRunner.run

    async def run(self: SimulatedRunner, request: Any, *, on_progress: Any) -> Any:
        log = _open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _write(log, f"{request.chunk_id}\n".encode())
        os.close(log)
        if request.chunk_id.startswith(FAILS):
            return Failure(error_type=FailureClass.REFUSAL, message="it will not")
        return await real(self, request, on_progress=on_progress)

    SimulatedRunner.run = run


if __name__ == "__main__":
    forked.prepare()
    forked.serve(socket.socket(fileno=int(sys.argv[1])))
    if PID in os.environ:
        Path(os.environ[PID]).write_text(str(os.getpid()))
    note_calls(os.environ[CALLS])
    Disk(Path.cwd(), trouble=os.environ.get(TROUBLE, ""), log=os.environ.get(STEPS, "")).watch()
    forked.run_command()
