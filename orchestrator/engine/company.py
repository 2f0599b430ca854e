"""Other processes that work on the same plan with the same store at the same time."""

from __future__ import annotations

from orchestrator.store import RunRecord, Store


def warnings_of_others(store: Store, record: RunRecord, *, runner: str) -> list[str]:
    """What to say of every other live run of the plan with this kind of runner, before anything is paid."""
    others = store.going_on(name=record.name, runner=runner)
    text = "another run of this plan is going on in this store (run {}, {}): answers may be paid twice; wait for it"
    return [text.format(run_id, holder) for run_id, holder in others.items() if run_id != record.run_id]
