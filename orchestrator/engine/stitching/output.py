"""The files of a result: written beside their target, synced, renamed; never over something we did not write."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from orchestrator.engine.stitching.join_source import Frame
from orchestrator.engine.stitching.stitch import SEPARATOR, join_prefix
from orchestrator.errors import OutputExistsError, OutputWriteError, UsageError
from orchestrator.plan.layout import incomplete_path
from orchestrator.runners.base import SIMULATED

__all__ = [
    "Leftovers",
    "PartialFile",
    "beside",
    "check_output",
    "check_place",
    "incomplete_path",
    "partial_path",
    "refusal",
    "remove_outdated",
    "sha256_of",
    "write_atomically",
]


def partial_path(output: Path) -> Path:
    """Where the finished prefix stands while a run goes: `guide.md` → `guide.partial.md`."""
    return output.with_name(f"{output.stem}.partial{output.suffix}")


def failed_path(output: Path) -> Path:
    """Where the rows without a record go: `tickets.jsonl` → `tickets.failed.jsonl`."""
    return output.with_name(f"{output.stem}.failed.jsonl")


def map_path(written: Path) -> Path:
    """Where it stands which chunk wrote what of a result: `guide.md` → `guide.md.map.json`."""
    return written.with_name(f"{written.name}.map.json")


def sha256_of(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


_NO_DISK = ("/proc", "/dev/fd")
"""Where `-o /dev/stdout` ends up on a pipe."""

Writers = Mapping[str, str]
"""What runs wrote to a file: its SHA-256, "" for one that grows, and the kind of runner whose answers they were."""


def check_output(
    output: Path, *, writers: Callable[[Path], Writers], runner: str, force: bool, failed_rows: bool = False
) -> None:
    """Refuse, before anything is paid, an output that would overwrite what a run of this `runner` may not.

    With `failed_rows` there may be a file of these beside it. Raises `OutputExistsError`, or `UsageError` when the
    place cannot be written to.
    """
    check_place(output)
    beside = (failed_path(output),) if failed_rows else ()
    results = (output, incomplete_path(output))
    for path in (*results, partial_path(output), *map(map_path, results), *beside):
        if not force and (error := refusal(path, writers=writers(path), runner=runner)):
            raise error


def check_place(output: Path, *, makes_folders: bool = False) -> None:
    """Raises `UsageError` when no file can be written there; with `makes_folders` its folder need not exist yet."""
    folder = output.parent
    while makes_folders and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    problem = _problem_of(output, folder)
    if problem:
        raise UsageError(f"{output} {problem}; choose another file with -o")


def _problem_of(output: Path, folder: Path) -> str:
    try:
        if output.is_dir():
            return "is a folder"
        if output.exists() and not output.is_file():
            return "is no regular file"
        if any(output.is_relative_to(each) for each in _NO_DISK):
            return "is no place for a file (`-o -` writes to stdout)"
        if not folder.is_dir():
            return f"cannot be written: there is no folder {folder}"
        longest = len(os.fsencode(beside(map_path(incomplete_path(output)), run_id="").name))
        if longest > os.pathconf(folder, "PC_NAME_MAX"):
            return "cannot be written: its name is too long"
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    return "" if os.access(folder, os.W_OK) else f"cannot be written: the folder {folder} is read-only"


def refusal(path: Path, *, writers: Writers, runner: str) -> OutputExistsError | None:
    """Why a run of this `runner` may not overwrite what stands there; None when nothing does, or what it may.

    What is made up replaces only what was made up: an answer that was paid for is worth more.
    """
    if not path.exists():
        return None
    writer = writers.get("")
    if writers and path.is_file():
        writer = writers.get(sha256_of(path.read_bytes()), writer)
    if writer is None or (runner == SIMULATED and writer != SIMULATED):
        return OutputExistsError(path, writer=writer)
    return None


def write_atomically(path: Path, content: bytes, *, run_id: str) -> None:
    """`path` holds all of `content` or what it held before, whatever happens. Raises `OSError`.

    Only the process that holds the run may call this for it.
    """
    new = beside(path, run_id=run_id)
    try:
        # What a killed process of this run left there.
        new.unlink(missing_ok=True)
        with new.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def beside(path: Path, *, run_id: str) -> Path:
    """Where a run writes a file before it takes its place; of each run another one, so that what is left is known."""
    return path.with_name(f".{path.name}.{sha256_of(run_id.encode())[:8]}.tmp")


def remove_outdated(path: Path) -> None:
    """Take away what a complete result has made out of date. Raises `OutputWriteError` when it cannot be."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        why = f"it is out of date and cannot be removed ({error.strerror or error})"
        raise OutputWriteError(path, reason=why) from error


class Leftovers:
    """Takes away the unfinished files of processes that were killed. `run_id` is the run that this process holds,
    `is_held` tells of another one whether a process still works on it.
    """

    def __init__(self, *, run_id: str, is_held: Callable[[str], bool]) -> None:
        self._run_id = run_id
        self._is_held = is_held

    def remove(self, path: Path, *, noted_by: Collection[str]) -> None:
        """Remove those of a file that these runs wrote, or were about to write."""
        for run_id in noted_by:
            left = beside(path, run_id=run_id)
            if left.exists() and (run_id == self._run_id or not self._is_held(run_id)):
                # It takes up space and does no other harm: no reason to stop a run.
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)


class PartialFile:
    """The finished prefix of a text result, in order, for a reader who does not want to wait.

    With `frames` it is joined as its source was. It is a convenience: when it cannot be written the run goes on
    without it.
    """

    def __init__(self, path: Path, *, frames: Mapping[str, Frame] | None = None) -> None:
        self.path = path
        self._frames = frames or {}
        self._written = 0
        self._dead = False

    def update(self, ids: Sequence[str], *, answers: Mapping[str, str], gaps: Mapping[str, str]) -> None:
        """Append what became part of the prefix. `gaps` holds only chunks that will get no answer any more.

        `ids` may grow from call to call, behind what is part of the prefix already.
        """
        end = self._written
        while end < len(ids) and (ids[end] in answers or ids[end] in gaps):
            end += 1
        if end == self._written or self._dead:
            return
        text = join_prefix(ids[self._written : end], answers=answers, gaps=gaps, frames=self._frames)
        before = SEPARATOR if self._written and not self._frames else ""
        try:
            with self.path.open("ab" if self._written else "wb") as file:
                file.write((before + text).encode("utf-8", "surrogatepass"))
        except OSError:
            self._dead = True
        self._written = end

    def remove(self) -> None:
        """Nothing is to be read there: the run has only begun, or the result itself exists."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
