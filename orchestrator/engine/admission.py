"""From the queue to a slot: who may go on, who has to give the slot back, and who is asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from orchestrator.engine.brake import Brake
from orchestrator.engine.clock import Clock
from orchestrator.engine.gate import Gate
from orchestrator.engine.head_start import LONGEST_HEAD_START_S, HeadStart
from orchestrator.engine.lookup import Lookup
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.schedule import Lane, Schedule
from orchestrator.errors import StoreError
from orchestrator.store import Store
from orchestrator.store.lock import RunLock

LOOK_AGAIN_S = 0.5
"""Between two looks at an answer that another process is getting."""


class Claims:
    """The fingerprints that this process is asking at this moment, as others see them.

    A claim is a lock that the system drops when its holder dies, and it is held for one attempt alone: whoever waits
    for one never waits for a pause, for a retry, or for a process that is gone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, RunLock] = {}

    def take(self, fingerprint: str) -> bool:
        """Claim it; False while another process has it."""
        lock = self._store.lock(fingerprint)
        try:
            if not lock.try_acquire():
                return False
        except StoreError:
            # Without locks two processes may pay twice; that is no reason to ask nothing at all.
            return True
        self._held[fingerprint] = lock
        return True

    def drop(self, fingerprint: str) -> None:
        """Let go of it, if it is held."""
        lock = self._held.pop(fingerprint, None)
        if lock is not None:
            lock.release()

    def drop_all(self) -> None:
        """Let go of everything."""
        for fingerprint in list(self._held):
            self.drop(fingerprint)


class Admission:
    """Takes a slot and reserves money for each chunk that it admits; calls `start` when it is clear to start.

    Before each attempt of a chunk its fingerprint is claimed and it is looked up once more: another process may have
    its answer by now, or be asking for it.
    """

    def __init__(
        self,
        schedule: Schedule,
        mailbox: Mailbox,
        lookup: Lookup,
        *,
        gate: Gate,
        brake: Brake,
        claims: Claims,
        clock: Clock,
        start: Callable[[str], None],
    ) -> None:
        self._schedule = schedule
        self._mailbox = mailbox
        self._gate = gate
        self._brake = brake
        self._head_start = HeadStart(context_chars=len(lookup.context))
        self._clock = clock
        self._lookup = lookup
        self._claims = claims
        self._start = start

    def admit(self, *, settled: bool) -> bool:
        """Let go on what may: each chunk with its slot and its money. Whether more may as soon as a slot is free.

        With all `settled`, nothing to look up and nothing that may ever go on again, the run is stopped.
        """
        self._schedule.max_concurrency = self._brake.most
        while (chunk_id := self._schedule.next_startable(self._is_open)) is not None:
            running = self._schedule.running_count
            if not self._brake.admits(running=running) or not self._gate.admits(chunk_id, running=running):
                return False
            self._gate.reserve(self._schedule.start(self._is_open))
            beginning, now_s = self._schedule.lane(chunk_id).beginning, self._clock.monotonic_s()
            if self._head_start.started(chunk_id, beginning, now_s=now_s):
                self._mailbox.post_after(LONGEST_HEAD_START_S, lambda: None)
            self._confirm(chunk_id)
        if settled and not self._lookup.pending and not self._schedule.running_count:
            self._gate.stop_if_stuck(lane.accounts for lane in self._schedule.waiting_lanes)
        return True

    def _is_open(self, lane: Lane) -> bool:
        now_s = self._clock.monotonic_s()
        return self._gate.is_open(lane.accounts) and self._head_start.admits(lane.beginning, now_s=now_s)

    def answering(self, chunk_id: str) -> None:
        """The answer of a chunk has begun, which may be what others wait for."""
        if self._head_start.answering(chunk_id, now_s=self._clock.monotonic_s()):
            self._mailbox.post(lambda: None)

    def again(self, chunk_id: str, *, wait_s: float) -> None:
        """Have the chunk queued once more after a wait."""
        self._schedule.rest(chunk_id)
        self._mailbox.post_after(wait_s, partial(self._schedule.enqueue, chunk_id))

    def _confirm(self, chunk_id: str) -> None:
        # Also before a retry: two processes that wait for one limit would both pay after it.
        if not self._lookup.may_reuse(chunk_id):
            self._start(chunk_id)
        elif self._claims.take(self._lookup.fingerprint(chunk_id)):
            self._lookup.look_again(chunk_id, partial(self._looked_again, chunk_id))
        else:
            self._give_back(chunk_id)
            self.again(chunk_id, wait_s=LOOK_AGAIN_S)

    def _looked_again(self, chunk_id: str, has_answer: bool) -> None:
        if not has_answer and self._may_still_start(chunk_id):
            self._start(chunk_id)
            return
        self.let_go(chunk_id)
        self._give_back(chunk_id)
        if not has_answer:
            self._schedule.enqueue(chunk_id)

    def _may_still_start(self, chunk_id: str) -> bool:
        """A limit may have been met meanwhile, the one call that tries it be under way, or the money be spent.

        An overload may have told all to wait, or left room for fewer.
        """
        running = self._schedule.running_count
        has_room = running <= self._brake.most and self._brake.admits(running=running - 1)
        return has_room and self._gate.is_open(self._schedule.lane(chunk_id).accounts) and not self._gate.spent

    def ended(self, chunk_id: str, *, answered: bool) -> None:
        """The attempt is over."""
        self._head_start.ended(chunk_id, answered=answered, now_s=self._clock.monotonic_s())

    def _give_back(self, chunk_id: str) -> None:
        self.ended(chunk_id, answered=False)
        self._gate.release(chunk_id)
        self._schedule.release(chunk_id)

    def let_go(self, chunk_id: str) -> None:
        """The attempt is over, its answer, if there is one, stored: others may ask."""
        self._claims.drop(self._lookup.fingerprint(chunk_id))

    def let_go_of_all(self) -> None:
        """The process asks nothing any more."""
        self._claims.drop_all()
