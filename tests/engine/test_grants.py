"""Tools need two words: the plan's and the caller's."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.api import plan_request, run_plan
from orchestrator.engine.grants import read_grant
from orchestrator.engine.render import fingerprint
from orchestrator.errors import PlanChangedError, UsageError
from orchestrator.events import ChunkFailed
from orchestrator.plan.load import load_plan
from orchestrator.runners.base import Failure, FailureClass, OnProgress, Reply, Request, RunnerInfo
from tests.engine.runs import play, play_on

PLAN: dict[str, Any] = {
    "tools": ["Read", "Grep"],
    "workdir": "src",
    "project_memory": True,
    "chunks": [{"id": "a", "prompt": "Look."}, {"id": "b", "prompt": "Just say.", "tools": []}],
}


class Noting:
    """A runner that keeps the requests, and can fail."""

    kind = "noting"

    def __init__(self, *outcomes: Failure) -> None:
        self.requests: list[Request] = []
        self._outcomes = list(outcomes)

    async def open(self) -> RunnerInfo:
        return RunnerInfo(version="1", login="nobody")

    async def run(self, request: Request, *, on_progress: OnProgress) -> Reply | Failure:
        self.requests.append(request)
        return self._outcomes.pop(0) if self._outcomes else Reply(text=f"Answer {len(self.requests)}.", model="m")

    async def close(self) -> None:
        """Nothing was started."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "CLAUDE.md").write_text("Tabs, please.")
    return tmp_path


def test_a_grant_is_read() -> None:
    """Names alone or with commas, each once."""
    assert read_grant(["Read,Grep", " Glob ", "Read"]) == ("Read", "Grep", "Glob")
    assert read_grant([]) == ()


@pytest.mark.parametrize("name", ["Bash", "Write", "Edit", "WebFetch", "Task", "Read(//**)", "*", "read"])
def test_nothing_else_can_be_granted(name: str) -> None:
    """Whatever could change something is refused by name."""
    with pytest.raises(UsageError, match="cannot be allowed in this version") as refused:
        read_grant([name])
    assert name in str(refused.value)


def test_a_tool_that_was_not_granted_is_refused_before_anything_starts(folder: Path) -> None:
    """No run, no store, no request; the message names the flag with all that is needed."""
    for allowed in ([], ["Read"]):
        runner = Noting()
        with pytest.raises(UsageError, match="--allow-tools Grep,Read"):
            run_plan(PLAN, base_dir=folder, store=folder / "s.db", runner=runner, allow_tools=allowed)
        assert runner.requests == []
    assert not (folder / "s.db").exists()


def test_what_was_granted_reaches_the_runner(folder: Path) -> None:
    """Tools, folder and CLAUDE.md for the chunk that has them, nothing for the one that has none."""
    runner = Noting()
    story = asyncio.run(play(PLAN, folder, runner=runner, allow_tools=["Read", "Grep", "Glob"]))
    assert story.result.status == "complete"
    first, second = sorted(runner.requests, key=lambda each: each.chunk_id)
    assert (first.tools, first.workdir) == (("Grep", "Read"), folder / "src")
    assert (second.tools, second.workdir) == ((), None)
    assert "Tabs, please." in first.context
    assert first.context == second.context, "project_memory is the plan's here"


def test_answers_with_tools_are_asked_for_again(folder: Path) -> None:
    """A second run asks the chunk with tools again, and reuses the one without."""
    runner = Noting()
    for _ in range(2):
        asyncio.run(play(PLAN, folder, runner=runner, allow_tools=["Read", "Grep"]))
    assert sorted(each.chunk_id for each in runner.requests) == ["a", "a", "b"]


def test_with_a_word_of_the_plan_they_are_reused_by_tools_and_folder(folder: Path) -> None:
    """`reuse: always` reuses; other tools, another folder or another CLAUDE.md ask again."""
    (folder / "other").mkdir()
    runner = Noting()
    plan = {**PLAN, "reuse": "always", "project_memory": False, "chunks": [{"id": "a", "prompt": "Look."}]}
    for change in ({}, {}, {"tools": ["Grep", "Read"]}, {"tools": ["Read"]}, {"workdir": "other"}, {"tools": None}):
        changed = {**plan, **change}
        if changed["tools"] is None:
            del changed["workdir"]
        asyncio.run(play(changed, folder, runner=runner, allow_tools=["Read", "Grep"]))
    assert [(each.tools, each.workdir and each.workdir.name) for each in runner.requests] == [
        (("Grep", "Read"), "src"),
        (("Read",), "src"),
        (("Grep", "Read"), "other"),
        ((), None),
    ]


def test_a_resumed_run_keeps_what_it_was_allowed(folder: Path) -> None:
    """The grant is part of the run; a changed CLAUDE.md is a changed plan."""
    broken = Noting(Failure(error_type=FailureClass.AUTH, message="no"))
    first = asyncio.run(play(PLAN, folder, runner=broken, allow_tools=["Read", "Grep"], max_concurrency=1))
    assert first.result.status == "stopped"
    runner = Noting()
    assert (asyncio.run(play_on("last", folder, runner=runner))).result.status == "complete"
    assert ("Grep", "Read") in [each.tools for each in runner.requests]
    (folder / "src" / "CLAUDE.md").write_text("Spaces.")
    with pytest.raises(PlanChangedError, match=r"src/CLAUDE\.md"):
        asyncio.run(play_on("last", folder, runner=runner))


def test_a_denied_tool_fails_the_chunk_at_once(folder: Path) -> None:
    """One attempt, and a gap where its answer would stand."""
    runner = Noting(Failure(error_type=FailureClass.TOOL_DENIED, message="the model may not use Read /etc/passwd"))
    plan = {**PLAN, "chunks": [{"id": "a", "prompt": "Look."}]}
    story = asyncio.run(play(plan, folder, runner=runner, allow_tools=["Read", "Grep"]))
    assert (story.result.status, len(runner.requests)) == ("failed", 1)
    assert story.only(ChunkFailed).error_type == "tool_denied"


def test_a_folder_with_logins_is_refused(folder: Path) -> None:
    """The home folder, what holds it, and where the CLI keeps its login."""
    for name, place in (
        ("HOME", folder / "src"),
        ("HOME", folder / "src" / "me"),
        ("CLAUDE_CONFIG_DIR", folder / "src"),
    ):
        with pytest.raises(UsageError, match="holds your logins and keys"):
            run_plan(
                PLAN, base_dir=folder, store=folder / "s.db", runner=Noting(), allow_tools=["Read", "Grep"],
                environment={name: str(place)},
            )  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "accounts", "told"),
    [
        ({"HOME": "src"}, {}, "holds your logins and keys (HOME)"),
        ({"HOME": "elsewhere", "CLAUDE_CONFIG_DIR": "src/.mine"}, {}, "holds your logins and keys (CLAUDE_CONFIG_DIR)"),
        ({"CLAUDE_CONFIG_DIR": "."}, {}, "lies among your logins and keys (CLAUDE_CONFIG_DIR)"),
        ({"HOME": "home"}, {}, "lies among your logins and keys (HOME/.claude)"),
        ({}, {"unused": "src/logins/unused"}, "holds your logins and keys (account unused)"),
        ({}, {"work": "src"}, "holds your logins and keys (account work)"),
        ({}, {"work": "."}, "lies among your logins and keys (account work)"),
        ({}, {"work": "link"}, "lies among your logins and keys (account work)"),
    ],
)
def test_no_tool_reads_where_a_login_is_kept(
    environment: dict[str, str], accounts: dict[str, str], told: str, folder: Path
) -> None:
    """Neither what holds such a folder nor what lies in it, links followed, used by the plan or not; resumed too."""
    (folder / "home").mkdir()
    (folder / "home" / ".claude").symlink_to(folder)
    (folder / "link").symlink_to(folder)
    surrounding = {name: str(folder / place) for name, place in environment.items()}
    runner = Noting()
    with pytest.raises(UsageError, match=re.escape(told)):
        run_plan(
            PLAN, base_dir=folder, store=folder / "s.db", runner=runner, allow_tools=["Read", "Grep"],
            environment=surrounding, accounts={name: folder / place for name, place in accounts.items()},
        )  # fmt: skip
    assert runner.requests == []


def test_a_folder_beside_the_logins_is_fine(folder: Path) -> None:
    """A project in the home folder, with the logins of accounts beside it."""
    done = run_plan(
        PLAN, base_dir=folder, store=folder / "s.db", runner=Noting(), allow_tools=["Read", "Grep"],
        environment={"HOME": str(folder), "CLAUDE_CONFIG_DIR": str(folder / "mine")},
        accounts={"work": folder / "logins" / "work"},
    )  # fmt: skip
    assert done.status == "complete"


def test_a_planned_plan_gets_no_more_than_its_request(folder: Path) -> None:
    """The planner itself has no tools, and to plan alone needs no grant."""
    runner = Noting(Failure(error_type=FailureClass.REFUSAL, message="no"))
    request = {"request": "Explain it.", "tools": ["Read"]}
    plan_request(request, base_dir=folder, store=folder / "s.db", runner=runner, max_cost_usd=1.0)
    assert [(each.tools, each.workdir) for each in runner.requests] == [((), None)]


def test_a_request_with_tools_is_refused_before_it_is_planned(folder: Path) -> None:
    """Nothing is paid for a plan that may not run."""
    runner = Noting()
    with pytest.raises(UsageError, match="--allow-tools Read"):
        run_plan(
            {"request": "Explain it.", "tools": ["Read"]}, base_dir=folder, store=folder / "s.db", runner=runner,
            max_cost_usd=1.0,
        )  # fmt: skip
    assert runner.requests == []


def test_the_fingerprint_of_a_chunk_without_tools_is_what_it_was(tmp_path: Path) -> None:
    """Answers that are stored already stay known."""
    path = tmp_path / "p.yaml"
    path.write_text("chunks: [{id: a, prompt: x}]")
    chunk = load_plan(path).chunks["a"]
    known = "95fb369e8cdefceb318f95d3627bd2939756ddbfe76080f2999b6374cfde4419"
    assert fingerprint(chunk, prompt="x", context="ctx", runner="claude") == known
