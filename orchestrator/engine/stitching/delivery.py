"""Getting the result to its reader: the growing prefix while the run goes, the stitched whole at its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestrator.engine.journal import Journal
from orchestrator.engine.render import Known
from orchestrator.engine.reviewing.review import repaired
from orchestrator.engine.settings import RunSettings
from orchestrator.engine.stitching.failed_rows import failed_lines
from orchestrator.engine.stitching.output import (
    Leftovers,
    PartialFile,
    check_output,
    failed_path,
    incomplete_path,
    map_path,
    partial_path,
    refusal,
    remove_outdated,
    sha256_of,
    write_atomically,
)
from orchestrator.engine.stitching.provenance import origins_of, result_map
from orchestrator.engine.stitching.result_files import FilesWriter, check_files, make_files
from orchestrator.engine.stitching.stitch import Stitched, flat_ids, stitch, stitch_frames
from orchestrator.errors import OutputWriteError
from orchestrator.events import RunStitched
from orchestrator.plan.workload import ResultFiles, Workload
from orchestrator.store import ChunkRecord, Store, Writes
from orchestrator.store.reads import output_runs, output_writers


def check_places(workload: Workload, settings: RunSettings, *, store: Store, runner: str) -> None:
    """Refuse, before anything is paid, what a run of this `runner` would write where it may not.

    Raises `OutputExistsError`, or `UsageError` when a place cannot be written to.
    """
    if settings.output is not None:
        check_output(
            settings.output,
            writers=store.output_writers,
            runner=runner,
            force=settings.force,
            failed_rows=workload.stitch_format == "jsonl",
        )
    if settings.files is not None:
        check_files(settings.files, ask=store.ask, runner=runner, force=settings.force)


class Delivery:
    """The files of one run. `output` is where a complete result belongs, None when no file is wanted. With `files` each
    source has a result of its own instead. `records` say how each chunk ended.

    What a run of this kind of runner may not overwrite stays, but with `force`.
    `written` is the file that holds the result, once there is one.
    """

    def __init__(
        self,
        workload: Workload,
        known: Known,
        *,
        output: Path | None,
        files: ResultFiles | None = None,
        runner_kind: str,
        force: bool,
        journal: Journal,
        records: Mapping[str, ChunkRecord],
        leftovers: Leftovers,
    ) -> None:
        self._records = records
        self._workload = workload
        self._known = known
        self._output = output
        self._files = files
        self._writer = FilesWriter(runner_kind=runner_kind, force=force, journal=journal, leftovers=leftovers)
        self._leftovers = leftovers
        self._runner_kind = runner_kind
        self._force = force
        self._journal = journal
        self._partial: PartialFile | None = None
        self.stitched = Stitched(text="", data=None, gaps=workload.stitch_chunks)
        self.written: Path | None = None

    @property
    def files_written(self) -> Mapping[str, Path]:
        """The file that holds the result of each source; empty without `files`."""
        return self._writer.written

    @property
    def result_path(self) -> str | None:
        """Where the result is, in words: its file, or the folder of its files, which ends with a slash."""
        if self._files is not None and self.files_written:
            return f"{self._files.folder}/".replace("//", "/")
        return str(self.written) if self.written else None

    async def begin(self) -> None:
        """From now on the finished prefix of a text result can be read."""
        is_text = self._workload.stitch_format in ("markdown", "text") and self._workload.stitch_template is None
        if self._output is not None and is_text:
            path = partial_path(self._output)
            await self._journal.ask(Writes.put_output(str(path), sha256="", run_id=self._journal.run_id))
            ids = flat_ids(self._workload.stitch_chunks, self._known.members)
            self._partial = PartialFile(path, frames=stitch_frames(self._workload, self._known, ids))
            self._partial.remove()

    def update(self) -> None:
        """A chunk came to its end."""
        if self._partial is not None:
            ids = flat_ids(self._workload.stitch_chunks, self._known.members)
            self._partial.update(ids, answers=self._known.answers, gaps=self._known.gaps)

    async def stitch(self) -> None:
        """Put together what there is, repaired where it was."""
        self.stitched = await asyncio.to_thread(stitch, self._workload, self._repaired())

    def _repaired(self) -> Known:
        return replace(self._known, answers=repaired(self._known.answers))

    async def deliver(self, *, complete: bool, faulty: Collection[str]) -> None:
        """Write what was stitched to its file: the output, or beside it when the result is not what it should be.

        `faulty` are the chunks that something was found in and not put right, "" for the result as a whole.

        Raises `OutputWriteError` when the file cannot be written; every answer is in the store all the same.
        """
        failed = None
        if self._files is not None:
            results = await asyncio.to_thread(
                partial(make_files, faulty=faulty), self._workload, self._repaired(), self._files
            )
            await self._writer.write(results)
        if self._output is not None:
            failed = await self._write_failed(self._output)
            self.written = self._output if complete else incomplete_path(self._output)
            content = self.stitched.text.encode("utf-8", "surrogatepass")
            await self._write(self.written, content)
            await self._write_map(self.written, content)
            if complete:
                await self._tidy(incomplete_path(self._output))
                await self._tidy(map_path(incomplete_path(self._output)))
            if self._partial is not None:
                self._partial.remove()
                self._journal.do(Writes.forget_output(str(self._partial.path)))
        self._journal.append(
            RunStitched,
            path=self.result_path,
            chars=len(self.stitched.text),
            gaps=self.stitched.gaps,
            failed_path=str(failed) if failed else None,
            problems=self.stitched.problems,
            notes=self.stitched.notes,
            files=len(self.files_written),
        )

    async def _write_map(self, written: Path, content: bytes) -> None:
        """Write beside a result which chunk wrote what of it."""
        records = list(self._records.values())
        origins = await self._journal.ask(lambda connection: origins_of(connection, records))
        told = {"run_id": self._journal.run_id, "result": written.name, "result_sha256": sha256_of(content)}
        known = self._repaired()
        told |= result_map(self.stitched, answers=known.answers, origins=origins, gaps=known.gaps)
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n"
        await self._write(map_path(written), text.encode("utf-8", "surrogatepass"))

    async def _write_failed(self, output: Path) -> Path | None:
        """Write the rows that failed to a file of their own, and return it; without any, an earlier one goes."""
        if self._workload.stitch_format != "jsonl":
            return None
        target = failed_path(output)
        ids = flat_ids(self._workload.stitch_chunks, self._known.members)
        lines = failed_lines(ids, chunks=self._known.chunks, records=self._records, gaps=self._known.gaps)
        if not lines:
            await self._tidy(target)
            return None
        await self._write(target, lines.encode("utf-8", "surrogatepass"))
        return target

    async def _write(self, target: Path, content: bytes) -> None:
        if not self._force and not await self._may_overwrite(target):
            self.written = None
            raise OutputWriteError(target, reason="it was changed while the run went on")
        # Noted before it is written: whatever a crash leaves there is then known to be ours.
        note = Writes.put_output(str(target), sha256=sha256_of(content), run_id=self._journal.run_id)
        await self._journal.ask(note)
        try:
            await asyncio.to_thread(partial(write_atomically, target, content, run_id=self._journal.run_id))
        except OSError as error:
            self.written = None
            raise OutputWriteError(target, reason=error.strerror or str(error)) from error

    async def _tidy(self, earlier: Path) -> None:
        """What an earlier run left of a result with gaps is out of date now; what somebody else wrote there stays."""
        if await self._may_overwrite(earlier):
            await asyncio.to_thread(remove_outdated, earlier)

    async def _may_overwrite(self, path: Path) -> bool:
        """Whether a result may be put there; what killed processes left unfinished of it is gone afterwards."""
        writers = await self._journal.ask(lambda connection: output_writers(connection, str(path)))
        runs = await self._journal.ask(lambda connection: output_runs(connection, str(path)))
        await asyncio.to_thread(self._leftovers.remove, path, noted_by=runs)
        return refusal(path, writers=writers, runner=self._runner_kind) is None
