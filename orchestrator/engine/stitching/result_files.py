"""One result file for each source file: what each holds, where it may stand, and getting it there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.engine.journal import Journal
from orchestrator.engine.render import Known
from orchestrator.engine.stitching.output import (
    Leftovers,
    Writers,
    check_place,
    incomplete_path,
    refusal,
    remove_outdated,
    sha256_of,
    write_atomically,
)
from orchestrator.engine.stitching.stitch import stitch_ids
from orchestrator.errors import OutputExistsError, OutputWriteError
from orchestrator.plan.layout import files_to_write
from orchestrator.plan.workload import ResultFiles, Workload
from orchestrator.store import Connection, Writes
from orchestrator.store.reads import output_runs, output_writers

Written = Mapping[Path, Writers]
"""All that runs wrote to each file."""

T = TypeVar("T")

NOT_RUN = "not run yet"
"""The reason of a gap to which a stopped run did not come."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """The result of one source: its text, and the file that it belongs in, which says whether something is missing."""

    source: str
    path: Path
    text: str
    complete: bool

    @property
    def target(self) -> Path:
        """The file to write."""
        return self.path if self.complete else incomplete_path(self.path)

    @property
    def content(self) -> bytes:
        """The bytes to write."""
        return self.text.encode("utf-8", "surrogatepass")


def files_of_run(workload: Workload, kept: Mapping[str, Any], *, none: bool) -> ResultFiles | None:
    """The files that a process writes, by what is `kept` with its run; `none` when it is to write no file.

    A call that named an output, or none, has its way instead; a sample is never taken for the whole.
    """
    if none or kept["output"] is not None or kept.get("sample") is not None:
        return None
    return files_to_write(workload)


def check_files(
    files: ResultFiles, *, ask: Callable[[Callable[[Connection], None]], None], runner: str, force: bool
) -> None:
    """Refuse, before anything is paid, result files that would overwrite what a run of this `runner` may not.

    `ask` puts a question to the store. Raises `OutputExistsError`, or `UsageError` for a place that cannot be written.
    """
    for path in files.paths.values():
        check_place(path, makes_folders=True)

    def check(connection: Connection) -> None:
        refused = [
            error
            for path in files.paths.values()
            for place in (path, incomplete_path(path))
            if (error := refusal(place, writers=output_writers(connection, str(place)), runner=runner))
        ]
        if refused:
            raise OutputExistsError(refused[0].path, writer=refused[0].writer, more=len(refused) - 1)

    if not force:
        ask(check)


def make_files(
    workload: Workload, known: Known, files: ResultFiles, *, faulty: Collection[str] = ()
) -> list[ResultFile]:
    """The results of all sources, in order, but for those of which nothing was run yet. Pure.

    A file with an answer of a `faulty` chunk is not complete; "" among them stands for all.
    """
    by_source: dict[str, list[str]] = {source: [] for source in files.paths}
    for chunk_id in known.members(files.group) or ():
        item = known.chunks[chunk_id].item
        if item is not None:
            by_source[item.source].append(chunk_id)
    results: list[ResultFile] = []
    for source, ids in by_source.items():
        if not ids or any(known.gaps.get(each) != NOT_RUN for each in ids):
            complete = "" not in faulty and all(each in known.answers and each not in faulty for each in ids)
            results.append(ResultFile(source, files.paths[source], stitch_ids(workload, known, ids), complete))
    return results


class FilesWriter:
    """Writes the results of one run: each file whole or not at all, and only those that change.

    What a run of this kind of runner may not overwrite stays, but with `force`.
    """

    def __init__(self, *, runner_kind: str, force: bool, journal: Journal, leftovers: Leftovers) -> None:
        self._leftovers = leftovers
        self._runner_kind = runner_kind
        self._force = force
        self._journal = journal
        self.written: dict[str, Path] = {}

    async def write(self, results: Sequence[ResultFile]) -> None:
        """Write them all; afterwards `written` maps each source to the file that holds its result.

        Raises `OutputWriteError` for the first that cannot be written, once all others are.
        """
        written = await self._journal.ask(lambda connection: _by_place(connection, results, output_writers))
        noted = await self._journal.ask(lambda connection: _by_place(connection, results, output_runs))
        await asyncio.to_thread(self._remove_leftovers, noted)
        changed = await asyncio.to_thread(lambda: [each for each in results if not _holds(each.target, each.content)])
        errors = await asyncio.to_thread(self._refuse, changed, written)
        allowed = [each for each in changed if each.target not in errors]
        # Noted before they are written: whatever a crash leaves there is then known to be ours.
        notes = [
            Writes.put_output(str(each.target), sha256=digest, run_id=self._journal.run_id)
            for each in results
            if each.target not in errors
            and written[each.target].get(digest := sha256_of(each.content)) != self._runner_kind
        ]
        await self._journal.ask(lambda connection: [note(connection) for note in notes])
        for each in allowed:
            error = await asyncio.to_thread(_write, each, run_id=self._journal.run_id)
            if error is not None:
                errors[each.target] = error
        good = [each for each in results if each.target not in errors]
        self.written = {each.source: each.target for each in good}
        await asyncio.to_thread(self._tidy, [each for each in good if each.complete], written)
        if errors:
            raise next(iter(errors.values()))

    def _remove_leftovers(self, noted: Mapping[Path, frozenset[str]]) -> None:
        for place, runs in noted.items():
            self._leftovers.remove(place, noted_by=runs)

    def _refuse(self, changed: Sequence[ResultFile], written: Written) -> dict[Path, OutputWriteError]:
        return {
            each.target: OutputWriteError(each.target, reason="it was changed while the run went on")
            for each in changed
            if not self._force and not self._may_overwrite(each.target, written)
        }

    def _tidy(self, results: Sequence[ResultFile], written: Written) -> None:
        """An earlier result with gaps is out of date now; what somebody else wrote there stays."""
        for incomplete in (incomplete_path(each.path) for each in results):
            if self._may_overwrite(incomplete, written):
                remove_outdated(incomplete)

    def _may_overwrite(self, path: Path, written: Written) -> bool:
        return refusal(path, writers=written[path], runner=self._runner_kind) is None


def _by_place(
    connection: Connection, results: Sequence[ResultFile], ask: Callable[[Connection, str], T]
) -> Mapping[Path, T]:
    places = [place for each in results for place in (each.path, incomplete_path(each.path))]
    return {place: ask(connection, str(place)) for place in places}


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _write(result: ResultFile, *, run_id: str) -> OutputWriteError | None:
    folder = result.target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.realpath(folder) != str(folder):
            return OutputWriteError(result.target, reason="its folder has become a link to another place")
        write_atomically(result.target, result.content, run_id=run_id)
    except OSError as error:
        return OutputWriteError(result.target, reason=error.strerror or str(error))
    return None
