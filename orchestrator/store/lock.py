"""One process for each run: an advisory file lock that the system drops when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from orchestrator.errors import StoreError, StoreLockedError

GLANCE_S = 0.05
"""How long a lock that is taken may be so only because another process is looking whether it is held."""


class RunLock:
    """Holds a run for this process until `release()`.

    The lock belongs to the open file, not to a process id, so that a pid given again to another process cannot keep
    a run locked.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self._path = folder / f"{run_id}.lock"
        self._run_id = run_id
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock at once. Raises `StoreLockedError`, naming the holder, when somebody has it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = self._open()
            os.ftruncate(self._fd, 0)
            os.write(self._fd, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
            _remove_of_the_dead(self._path)
        except OSError as error:
            self.release()
            raise StoreError(
                f"cannot lock the run in {self._path.parent}: {error.strerror}; it must be writable and have space"
            ) from error

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it, without a wait; the folder has to be there. Raises `StoreError`."""
        try:
            self._fd = self._try_open()
        except OSError as error:
            raise StoreError(f"cannot lock {self._path}: {error}; the store's folder must be writable") from error
        return self._fd is not None

    def _try_open(self) -> int | None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if isinstance(error, BlockingIOError):
                return None
            raise
        if _same_file(self._path, fd):
            return fd
        os.close(fd)
        return None

    def _open(self) -> int:
        """The locked file."""
        give_up_s = time.monotonic() + GLANCE_S
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _describe(os.read(fd, 4096))
                os.close(fd)
                if time.monotonic() > give_up_s:
                    raise StoreLockedError(self._run_id, holder=holder) from None
                time.sleep(GLANCE_S / 10)
                continue
            # The holder before us unlinks the file as it lets go: a lock on the unlinked one holds nobody off.
            if _same_file(self._path, fd):
                return fd
            os.close(fd)

    def release(self) -> None:
        """Let go. May be called more than once."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_held(folder: Path, run_id: str) -> bool:
    """Whether a live process holds the run."""
    return bool(holder_of(folder, run_id))


def holder_of(folder: Path, run_id: str) -> str:
    """The live process that holds the run, in words; "" when there is none."""
    try:
        fd = os.open(folder / f"{run_id}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _describe(os.read(fd, 4096))
    else:
        return ""
    finally:
        os.close(fd)


def _remove_of_the_dead(own: Path) -> None:
    """Take away the files of processes that died before they could; they hold nobody off, but they add up."""
    for path in own.parent.glob("*.lock"):
        if path == own:
            continue
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(path, fd):
                    path.unlink()
            finally:
                os.close(fd)


def _same_file(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _describe(content: bytes) -> str:
    try:
        record = json.loads(content)
        return f"process {record['pid']} on {record['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
