"""Other processes that work on the same plan with the same store at the same time."""

from __future__ import annotations

from orchestrator.engine.reuse import ReuseRules
from orchestrator.engine.settings import Surroundings
from orchestrator.store import RunRecord


def warnings_of_others(surroundings: Surroundings, record: RunRecord, *, rules: ReuseRules) -> list[str]:
    """What to say of every other live run of the plan with this kind of runner, before anything is paid."""
    others = surroundings.store.going_on(name=record.name, runner=surroundings.runner.kind)
    what = "answers may be paid twice; wait for it" if rules.fresh else "what it is asking is waited for"
    text = f"another run of this plan is going on in this store (run {{}}, {{}}): {what}"
    return [text.format(run_id, holder) for run_id, holder in others.items() if run_id != record.run_id]
