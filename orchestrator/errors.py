"""Every exception that leaves the public API, in one leaf module.

A failed chunk is a value (`orchestrator.runners.base.Failure`), never an exception: what is raised here means
"could not run", or was asked for with `RunResult.raise_for_failure()`.

    OrchestrateError
    ├── PlanError                the plan has problems; lists all of them         (exit 2)
    ├── UsageError               the call itself makes no sense                   (exit 2)
    │   ├── UnknownRunError      no such run in this store
    │   ├── PlanChangedError     a run cannot go on: its plan or an input changed
    │   └── OutputExistsError    the output file holds what this run must not overwrite
    ├── OutputWriteError         the result could not be written to its file      (exit 3)
    ├── RunnerUnavailableError   no CLI, too old, not executable, not logged in   (exit 3)
    ├── StoreError               the store cannot be used                         (exit 3)
    │   ├── StoreLockedError     another process holds the run
    │   └── StoreVersionError    written by a newer version of this program
    ├── LoadingStoppedError      a stop was asked for before anything began       (exit 130)
    ├── PlanningFailedError      the planner gave no plan that can be run          (exit 1)
    └── RunIncompleteError       `raise_for_failure()` on anything but a complete run
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class OrchestrateError(Exception):
    """Base of all errors of this package. `exit_code` is what the command line exits with."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a plan. `line` and `column` count from 1; 0 means the place is not known."""

    file: str
    line: int
    column: int
    message: str
    source_line: str = ""
    hint: str = ""

    def render(self) -> str:
        """`file:line:column: message`, then the offending line, a caret under the column, and the hint."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.message}"
        if self.source_line and self.line:
            shown = self.source_line.expandtabs(1)
            start = max(0, self.column - 60)
            text += f"\n    {shown[start : start + 110]}\n    {' ' * (self.column - 1 - start)}^"
        if self.hint:
            text += f"\n    {self.hint}"
        return text


class PlanError(OrchestrateError):
    """The plan cannot be run. `problems` holds every problem found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.render() for problem in self.problems))


class UsageError(OrchestrateError):
    """The call makes no sense as given; the message says what to call instead."""


class UnknownRunError(UsageError):
    """No run of this id is in the store."""

    def __init__(self, run_id: str, *, store: Path) -> None:
        self.run_id = run_id
        super().__init__(f"no run {run_id!r} in {store}; `orchestrate status` shows the latest one")


class PlanChangedError(UsageError):
    """The plan or an input changed since the run began. `changed` names what did."""

    def __init__(self, run_id: str, *, changed: Sequence[str], command: str) -> None:
        self.run_id = run_id
        self.changed = tuple(changed)
        super().__init__(
            f"run {run_id} cannot go on: {', '.join(self.changed)} changed since it began. "
            f"`{command}` starts a new run and reuses every answer that is still right."
        )


class OutputExistsError(UsageError):
    """The output file holds what this run must not overwrite, as do so many `more`. Nothing was started.

    `writer` is the kind of runner whose answers stand there, None when no run wrote them.
    """

    def __init__(self, path: Path, *, writer: str | None = None, more: int = 0) -> None:
        self.path = path
        self.writer = writer
        by = "the Claude CLI" if writer == "claude" else f"the runner {writer}"
        holds = f"holds the result of a run with {by}" if writer else ""
        also = f" (and so it is with {more:,} more)" if more else ""
        super().__init__(
            f"{path} {holds or 'exists and was not written by a run, or was edited since'}{also}; "
            "choose another file with -o, or overwrite it with --force"
        )


class OutputWriteError(OrchestrateError):
    """The result could not be written to `path`. Every answer is stored; resuming the run writes it again."""

    exit_code = 3

    def __init__(self, path: Path, *, reason: str) -> None:
        self.path = path
        super().__init__(f"cannot write {path}: {reason}; all answers are stored, so resume the run with another -o")


class RunnerUnavailableError(OrchestrateError):
    """The runner cannot work here. `remedy` is what to do about it."""

    exit_code = 3

    def __init__(self, message: str, *, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(f"{message}\n{remedy}")


class StoreError(OrchestrateError):
    """The store cannot be read or written; the message says which file and what to do."""

    exit_code = 3


class StoreLockedError(StoreError):
    """Another live process holds the run. `holder` describes it, as far as it is known."""

    def __init__(self, run_id: str, *, holder: str) -> None:
        self.run_id = run_id
        self.holder = holder
        super().__init__(f"run {run_id} is held by {holder}; wait for it, or end it first")


class StoreVersionError(StoreError):
    """The store was written by a newer version of this program."""

    def __init__(self, path: Path, *, found: int, supported: int) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"{path} has format {found}, this program knows up to {supported}; "
            "update orchestrate, or choose another file with --store"
        )


class LoadingStoppedError(OrchestrateError):
    """A stop was asked for while the plan was still being read. Nothing of it was started."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted while the plan was being read; nothing of it was started")


class PlanningFailedError(OrchestrateError):
    """No plan came of a request. `problems` says what is wrong with the planner's last answer, or why it has none."""

    exit_code = 1

    def __init__(self, run_id: str, *, problems: Sequence[str]) -> None:
        self.run_id = run_id
        self.problems = tuple(problems)
        super().__init__(f"the planner gave no plan that can be run (run {run_id}): {'; '.join(self.problems)}")


class RunIncompleteError(OrchestrateError):
    """The run is not complete. `status` is partial, failed or stopped; `reasons` maps chunk ids to why."""

    exit_code = 1

    def __init__(self, run_id: str, *, status: str, reasons: dict[str, str]) -> None:
        self.run_id = run_id
        self.status = status
        self.reasons = reasons
        listed = "; ".join(f"{chunk}: {why}" for chunk, why in list(reasons.items())[:5])
        super().__init__(f"run {run_id} is {status} ({listed})" if listed else f"run {run_id} is {status}")
