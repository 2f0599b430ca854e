"""Getting the result to its reader: the growing prefix while the run goes, the stitched whole at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.engine.journal import Journal
from orchestrator.engine.output import PartialFile, incomplete_path, partial_path, sha256_of, write_atomically
from orchestrator.engine.render import Known
from orchestrator.engine.stitch import Stitched, flat_ids, stitch
from orchestrator.errors import OutputWriteError
from orchestrator.events import RunStitched
from orchestrator.plan.workload import Workload
from orchestrator.store import Writes


class Delivery:
    """The files of one run. `output` is where a complete result belongs, None when no file is wanted.

    `written` is the file that holds the result, once there is one.
    """

    def __init__(self, workload: Workload, known: Known, *, output: Path | None, journal: Journal) -> None:
        self._workload = workload
        self._known = known
        self._output = output
        self._journal = journal
        self._partial: PartialFile | None = None
        self.stitched = Stitched(text="", data=None, gaps=workload.stitch_chunks)
        self.written: Path | None = None

    async def begin(self) -> None:
        """From now on the finished prefix of a text result can be read."""
        is_text = self._workload.stitch_format in ("markdown", "text") and self._workload.stitch_template is None
        if self._output is not None and is_text:
            path = partial_path(self._output)
            await self._journal.ask(Writes.put_output(str(path), sha256="", run_id=self._journal.run_id))
            self._partial = PartialFile(path)

    def update(self) -> None:
        """A chunk came to its end."""
        if self._partial is not None:
            ids = flat_ids(self._workload.stitch_chunks, self._known)
            self._partial.update(ids, answers=self._known.answers, gaps=self._known.gaps)

    async def deliver(self, *, complete: bool) -> None:
        """Stitch, and write the result to its file: the output, or beside it when something is missing.

        Raises `OutputWriteError` when the file cannot be written; every answer is in the store all the same.
        """
        self.stitched = await asyncio.to_thread(stitch, self._workload, self._known)
        if self._output is not None:
            target = self._output if complete else incomplete_path(self._output)
            content = self.stitched.text.encode("utf-8", "surrogatepass")
            # Noted before it is written: whatever a crash leaves there is then known to be ours.
            note = Writes.put_output(str(target), sha256=sha256_of(content), run_id=self._journal.run_id)
            await self._journal.ask(note)
            try:
                await asyncio.to_thread(write_atomically, target, content)
            except OSError as error:
                raise OutputWriteError(target, reason=error.strerror or str(error)) from error
            self.written = target
            if self._partial is not None:
                self._partial.remove()
        self._journal.append(
            RunStitched,
            path=str(self.written) if self.written else None,
            chars=len(self.stitched.text),
            gaps=self.stitched.gaps,
        )
