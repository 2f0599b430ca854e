"""What stored runs say of themselves: their results, what seam work did to them, and who wrote what. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine import recall
from orchestrator.engine.clock import to_iso
from orchestrator.engine.pauses import pauses_left_by
from orchestrator.engine.stitching.provenance import Writer as Writer
from orchestrator.opening import DEFAULT_STORE
from orchestrator.store import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRecord:
    """A pause that no answer has ended yet: of which account (empty for the usual login), until when (UTC, ISO 8601),
    why. `met` counts the pauses in a row.
    """

    account: str
    until: str
    reason: str
    cause: str
    met: int


def recall_pauses(run_id: str = "last", *, store: Path | str | None = None) -> list[PauseRecord]:
    """What the processes of a run left of their pauses, also such as should be over by now.

    Raises `UnknownRunError` and `StoreError`.
    """
    opened = open_store(Path(store or DEFAULT_STORE))
    left = pauses_left_by(opened.events(opened.resolve(run_id)))
    return [
        PauseRecord(account=account, until=to_iso(each.until_s), reason=each.reason, cause=each.cause, met=each.met)
        for account, each in left.items()
        if each.until_s
    ]


def recall_result(run_id: str = "last", *, store: Path | str | None = None) -> str | None:
    """The stitched text of a run, made again from its stored answers; None when it has no answer. Starts nothing.

    What has no answer is a visible gap. Raises `UnknownRunError`, `StoreError`, and `PlanChangedError` when the plan or
    an input is no longer what the run began with.
    """
    stitched = recall.recall_result(open_store(Path(store or DEFAULT_STORE)), run_id)
    return stitched.text if stitched else None


def recall_group(run_id: str, name: str, *, store: Path | str | None = None) -> str | None:
    """The answers of the `for_each` chunk `name` of a run, joined as a prompt shows them; None for no such group.

    Raises `UnknownRunError` and `StoreError`.
    """
    return recall.recall_group(open_store(Path(store or DEFAULT_STORE)), run_id, name)


def recall_seams(run_id: str = "last", *, store: Path | str | None = None) -> recall.SeamWork | None:
    """What changed where the answers of a run meet. Raises what `recall_result` raises; `UsageError` without seams."""
    return recall.recall_seams(open_store(Path(store or DEFAULT_STORE)), run_id)


def recall_writers(run_id: str = "last", *, line: int, store: Path | str | None = None) -> list[Writer] | None:
    """Who wrote a line (from 1) of the result of a run. Raises what `recall_result` raises; `UsageError` if unknown."""
    return recall.recall_writers(open_store(Path(store or DEFAULT_STORE)), run_id, line)
