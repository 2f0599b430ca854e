"""Whether what a plan asks for beside answers was allowed by whoever runs it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.plan.tool_settings import READ_ONLY
from orchestrator.plan.workload import Tooling, Workload

LOGIN_FOLDERS = ("CLAUDE_CONFIG_DIR", "HOME")
"""Variables that name a folder with logins and keys; no tool may read in one, nor in what holds it."""


def read_grant(names: Iterable[str]) -> tuple[str, ...]:
    """The tools that a call allows, from names such as `Read` or `Read,Grep`. Raises `UsageError` for any other."""
    wanted = [name.strip() for each in names for name in each.split(",") if name.strip()]
    for name in wanted:
        if name not in READ_ONLY:
            near = difflib.get_close_matches(name.capitalize(), READ_ONLY, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{name} cannot be allowed in this version, only {', '.join(READ_ONLY)}, which change nothing{meant}"
            )
    return tuple(dict.fromkeys(wanted))


def require_granted(workload: Workload, *, allowed: Collection[str], environment: Mapping[str, str]) -> None:
    """Refuse a plan that asks for tools that were not allowed, or for reading among logins. Raises `UsageError`."""
    asked = list(_asked(workload))
    missing = sorted({tool for tooling in asked for tool in tooling.tools} - {*allowed})
    if missing:
        everything = ",".join(sorted({*allowed, *missing}))
        raise UsageError(
            f"the plan asks for tools that were not allowed: {', '.join(missing)}. "
            f"--allow-tools {everything} (allow_tools=…) lets the model read in {_folders(asked)}"
        )
    for tooling in asked:
        for name in LOGIN_FOLDERS:
            private = environment.get(name)
            if private and Path(private).resolve().is_relative_to(tooling.folder):
                raise UsageError(
                    f"the workdir {tooling.folder} holds your logins and keys ({name}); "
                    "put the plan and what its tools may read into a folder of their own"
                )


def _asked(workload: Workload) -> Iterator[Tooling]:
    chunks = [*workload.chunks.values(), *(group.prototype for group in workload.groups.values())]
    found = {chunk.tooling: None for chunk in chunks if chunk.tooling is not None}
    yield from found


def _folders(asked: Collection[Tooling]) -> str:
    return ", ".join(sorted({str(tooling.folder) for tooling in asked}))
