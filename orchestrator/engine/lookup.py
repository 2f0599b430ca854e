"""From a chunk whose inputs are there to its stored answer, or to the reason why it has to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from orchestrator.engine.clock import Clock
from orchestrator.engine.costs.forecast import Forecast, find_reusable
from orchestrator.engine.drafts import Beginning, Rejected
from orchestrator.engine.journal import Journal
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.render import Known, fingerprint, input_values, render_prompt, system_prompt
from orchestrator.engine.reuse import ReuseRules, oldest_allowed, other_runner, reason_to_run
from orchestrator.plan.workload import Chunk, Workload
from orchestrator.store import AnswerRecord, Connection
from orchestrator.store.reads import answer as read_answer
from orchestrator.store.reads import find_beginning


@dataclass(slots=True)
class _Flight:
    """A prompt under way; chunks with the same fingerprint wait for its answer."""

    followers: list[str] = field(default_factory=list[str])


class Lookup:
    """Calls `on_found` or `on_missing` for each chunk given to `begin`, through the mailbox.

    `on_draft` is called before `on_missing` with what is there of an answer that is none yet, or none any more.

    Of several chunks with one fingerprint only the first is called missing; the others wait for its answer.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        known: Known,
        ledger: Ledger,
        journal: Journal,
        mailbox: Mailbox,
        rules: ReuseRules,
        forecast: Forecast,
        clock: Clock,
        runner_kind: str,
        on_found: Callable[[str], None],
        on_draft: Callable[[str, Beginning | Rejected], None],
        on_missing: Callable[[str], None],
    ) -> None:
        self.context = system_prompt(workload)
        self.pending = 0
        """Chunks whose answer is being looked for."""
        self._workload = workload
        self._known = known
        self._ledger = ledger
        self._journal = journal
        self._mailbox = mailbox
        self._rules = rules
        self._forecast = forecast
        self._clock = clock
        self._runner_kind = runner_kind
        self._on_found = on_found
        self._on_draft = on_draft
        self._on_missing = on_missing
        self._inputs = input_values(workload)
        self._fingerprints: dict[str, str] = {}
        self._why: dict[str, str] = {}
        self._flights: dict[str, _Flight] = {}

    def prompt(self, chunk_id: str) -> str:
        """The chunk's rendered prompt. Raises `RenderTooLarge`."""
        return render_prompt(self._known.chunks[chunk_id], self._workload, inputs=self._inputs, known=self._known)

    def fingerprint(self, chunk_id: str) -> str:
        """The fingerprint of a chunk that was looked up."""
        return self._fingerprints[chunk_id]

    def why(self, chunk_id: str) -> str:
        """Why a chunk that was looked up has to run."""
        return self._why.get(chunk_id, "")

    def begin(self, chunk_id: str) -> None:
        """Look the chunk up. Raises `RenderTooLarge` when it has no prompt."""
        chunk = self._known.chunks[chunk_id]
        prospect = self._forecast.prospects.get(chunk_id)
        self._fingerprints[chunk_id] = (
            prospect.fingerprint
            if prospect is not None
            else fingerprint(chunk, prompt=self.prompt(chunk_id), context=self.context, runner=self._runner_kind)
        )
        refusal = self._rules.refusal(chunk)
        now_s = self._clock.epoch_s()
        digest = self._fingerprints[chunk_id]
        look = find_reusable(
            chunk, fingerprint=digest, own=self._ledger.records[chunk_id], refusal=refusal, now_s=now_s
        )

        def look_further(connection: Connection) -> AnswerRecord | Beginning | Rejected | None:
            found = look(connection)
            if found is not None or chunk.output_schema is not None:
                return found  # half a JSON value cannot be gone on with
            begun = find_beginning(connection, digest, not_before=oldest_allowed(chunk, now_s=now_s))
            if begun is None or (refusal and begun.run_id != self._journal.run_id):
                return None
            return Beginning(begun.text, begun.cuts)

        self.pending += 1
        self._journal.do(look_further, partial(self._answered, chunk_id, refusal))

    def may_reuse(self, chunk_id: str) -> bool:
        """Whether a stored answer may stand in for the chunk."""
        return not self._rules.refusal(self._known.chunks[chunk_id])

    def look_again(self, chunk_id: str, then: Callable[[bool], None]) -> None:
        """Look once more for an answer of a chunk that had none; `then` is told whether there is one now.

        After that the chunk is found.
        """
        chunk, own = self._known.chunks[chunk_id], self._ledger.records[chunk_id]
        look = find_reusable(
            chunk, fingerprint=self._fingerprints[chunk_id], own=own, refusal="", now_s=self._clock.epoch_s()
        )
        self.pending += 1
        self._journal.do(look, lambda found: self._mailbox.post(partial(self._looked_again, chunk_id, then, found)))

    def _looked_again(self, chunk_id: str, then: Callable[[bool], None], found: AnswerRecord | Rejected | None) -> None:
        self.pending -= 1
        has_answer = isinstance(found, AnswerRecord)
        then(has_answer)
        if has_answer:
            self._ledger.reused(chunk_id, found, fingerprint=self._fingerprints[chunk_id])
            self._on_found(chunk_id)
            self.answered(chunk_id)

    def answered(self, chunk_id: str) -> None:
        """The chunk has a stored answer now: it serves those that waited for it."""
        flight = self._flights.pop(self._fingerprints[chunk_id], None)
        answer_id = self._ledger.records[chunk_id].answer_id or 0
        for follower in flight.followers if flight else ():
            self.pending += 1
            self._journal.do(partial(read_answer, answer_id=answer_id), partial(self._answered, follower, ""))

    def failed(self, chunk_id: str) -> None:
        """The chunk gets no answer: the first of those that waited has to run itself."""
        digest = self._fingerprints.get(chunk_id, "")
        flight = self._flights.pop(digest, None)
        if flight is not None and flight.followers:
            leader, *rest = flight.followers
            self._flights[digest] = _Flight(rest)
            self._on_missing(leader)

    def _answered(self, chunk_id: str, refusal: str, found: AnswerRecord | Beginning | Rejected | None) -> None:
        self._mailbox.post(partial(self._settle, chunk_id, refusal, found))

    def _settle(self, chunk_id: str, refusal: str, found: AnswerRecord | Beginning | Rejected | None) -> None:
        self.pending -= 1
        digest = self._fingerprints[chunk_id]
        if isinstance(found, AnswerRecord):
            self._ledger.reused(chunk_id, found, fingerprint=digest)
            self._on_found(chunk_id)
            return
        if found is not None:
            self._on_draft(chunk_id, found)
        if isinstance(found, Rejected):
            refusal = f"its stored answer is not what is expected: {'; '.join(found.problems)}"
        chunk = self._known.chunks[chunk_id]
        self._why[chunk_id] = refusal or reason_to_run(
            chunk,
            fingerprint=digest,
            earlier=self._forecast.earlier.chunks.get(chunk_id),
            other_runner=other_runner(self._forecast.earlier, runner=self._runner_kind),
            changed_upstream=[each for each in self._inputs_of(chunk) if self._is_new(each)],
        )
        flight = self._flights.get(digest)
        if flight is not None and chunk.reuse != "never":
            flight.followers.append(chunk_id)
            return
        self._flights.setdefault(digest, _Flight())
        self._on_missing(chunk_id)

    def _inputs_of(self, chunk: Chunk) -> list[str]:
        """The chunks whose answers the prompt holds: of a group its members, of a merge its parts."""
        names = (*chunk.upstream, *chunk.told_of)
        members = [each for name in names for each in (self._known.members(name) or (name,))]
        return list(dict.fromkeys([*(part.chunk_id for part in chunk.parts), *members]))

    def _is_new(self, chunk_id: str) -> bool:
        """Whether the chunk got another answer than the latest earlier run gave it."""
        earlier, record = self._forecast.earlier.chunks.get(chunk_id), self._ledger.records.get(chunk_id)
        return record is not None and (earlier is None or earlier.answer_id != record.answer_id)
