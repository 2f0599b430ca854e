"""Chunks that become known while a run goes: taken into the schedule, the ledger and the count together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.engine.ceilings import halves
from orchestrator.engine.groups import Groups, new_record
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.progress import ProgressMeter
from orchestrator.engine.schedule import Schedule, Skip
from orchestrator.engine.stitching.join_source import rejoin
from orchestrator.engine.stitching.stitch import SEPARATOR
from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.workload import Chunk
from orchestrator.runners.base import Failure, FailureClass, Reply


class Unfolding:
    """Opens groups, and splits pieces that proved too long."""

    def __init__(self, groups: Groups, *, schedule: Schedule, ledger: Ledger, meter: ProgressMeter) -> None:
        self._groups = groups
        self._schedule = schedule
        self._ledger = ledger
        self._meter = meter
        self._halves: dict[str, list[str]] = {}

    def is_virtual(self, node_id: str) -> bool:
        """Whether a node of the schedule is no chunk."""
        return self._groups.is_virtual(node_id)

    def nothing_to_keep(self, chunk_id: str) -> str:
        """For a keeper the chunk whose answer it was to keep, when that has none; else ""."""
        keeping = self._groups.known.chunks[chunk_id].keeping
        return keeping.of if keeping is not None and keeping.of not in self._ledger.answers else ""

    def open(self, node_id: str) -> Mapping[str, str]:
        """A virtual node is ready: take in what became known. Returns the chunks that cannot run, with the reason."""
        step = self._groups.step(node_id)
        self._record(step.chunks)
        skips = self._schedule.add([*(self._groups.node(chunk) for chunk in step.chunks), *step.virtual])
        for waiting, upstream in step.extend.items():
            self._schedule.extend(waiting, upstream)
        self.skip([*skips, *self._schedule.finish(node_id, step.status)])
        return step.failures

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Take in chunks that the review asks for."""
        self._groups.add(chunks)
        self._record(chunks)
        self._schedule.add(self._groups.node(chunk) for chunk in chunks)

    def skip(self, skips: Sequence[Skip]) -> None:
        """Tell of the chunks that will not start, each with a cause that has a name."""
        for each in skips:
            if self._groups.is_virtual(each.chunk_id):
                self._groups.skipped(each.chunk_id)
            else:
                self._ledger.skipped(Skip(each.chunk_id, self._groups.cause(each.because)))

    def can_split(self, chunk_id: str, failure: Failure) -> bool:
        """Whether it may help to run the piece as several: its prompt is too long, or its list of records."""
        form = self._groups.known.chunks[chunk_id].form
        of_records = form is not None and form.is_list and failure.error_type is FailureClass.OUTPUT_CEILING
        return of_records or failure.error_type is FailureClass.TOO_LONG

    def split(self, chunk_id: str) -> bool:
        """Run a piece whose prompt is too long as several; whether that can be done."""
        chunks = halves(self._groups.known.chunks[chunk_id])
        if chunks:
            self._halves[chunk_id] = [chunk.id for chunk in chunks]
            self._groups.add(chunks)
            self._record(chunks)
            self.skip(self._schedule.add(self._groups.node(chunk) for chunk in chunks))
            self._schedule.wait_again(chunk_id, dict.fromkeys(self._halves[chunk_id], "gap"))
        return bool(chunks)

    def is_split(self, chunk_id: str) -> bool:
        """Whether the chunk's answer is made of those of its parts."""
        return chunk_id in self._halves

    def joined(self, chunk_id: str) -> Reply | str:
        """The answer of a piece that was split, all of whose parts are over; or the part that has none."""
        names = self._halves[chunk_id]
        missing = next((name for name in names if name not in self._ledger.answers), None)
        if missing is not None:
            return missing
        answers = [self._ledger.answers[name] for name in names]
        form, pieces = self._groups.known.chunks[chunk_id].form, self._groups.slices(names)
        if form is not None:
            text = write_json([record for answer in answers for record in read_json(answer)], compact=True)
        else:
            text = rejoin(pieces, answers) if pieces else SEPARATOR.join(answers)
        return Reply(text=text, model=self._ledger.records[names[0]].model)

    def _record(self, chunks: Sequence[Chunk]) -> None:
        if chunks:
            self._ledger.added([new_record(chunk) for chunk in chunks])
            self._meter.added(len(chunks))
