"""Whether what a plan asks for beside answers was allowed by whoever runs it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.plan.tool_settings import READ_ONLY
from orchestrator.plan.workload import Tooling, Workload

CLI_FOLDER = ".claude"
"""Where the CLI keeps its login in a person's home."""


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


def require_granted(
    workload: Workload,
    *,
    allowed: Collection[str],
    environment: Mapping[str, str],
    accounts: Mapping[str, Path | str] | None = None,
) -> None:
    """Refuse a plan that asks for tools that were not allowed, or for reading among logins. Raises `UsageError`.

    `accounts` has the folders of further logins by name, whether the plan uses them or not.
    """
    asked = list(_asked(workload))
    missing = sorted({tool for tooling in asked for tool in tooling.tools} - {*allowed})
    if missing:
        everything = ",".join(sorted({*allowed, *missing}))
        raise UsageError(
            f"the plan asks for tools that were not allowed: {', '.join(missing)}. "
            f"--allow-tools {everything} (allow_tools=…) lets the model read in {_folders(asked)}"
        )
    home = environment.get("HOME")
    logins = dict(_login_folders(environment, accounts or {})) if asked else {}
    for tooling in asked:
        found = [f"holds your logins and keys ({name})" for name, each in logins.items() if _holds(tooling, each)]
        found += [f"lies among your logins and keys ({name})" for name, each in logins.items() if _is_in(tooling, each)]
        if home and _holds(tooling, Path(home).resolve()):
            found.insert(0, "holds your logins and keys (HOME)")
        if found:
            raise UsageError(
                f"the workdir {tooling.folder} {found[0]}; "
                "put the plan and what its tools may read into a folder of their own"
            )


def _login_folders(environment: Mapping[str, str], accounts: Mapping[str, Path | str]) -> Iterator[tuple[str, Path]]:
    """The folders in which the CLI keeps logins, links followed, by what names them."""
    if home := environment.get("HOME"):
        yield f"HOME/{CLI_FOLDER}", (Path(home) / CLI_FOLDER).resolve()
    if configured := environment.get("CLAUDE_CONFIG_DIR"):
        yield "CLAUDE_CONFIG_DIR", Path(configured).resolve()
    for name, folder in accounts.items():
        yield f"account {name}", Path(folder).resolve()


def _holds(tooling: Tooling, folder: Path) -> bool:
    return folder.is_relative_to(tooling.folder)


def _is_in(tooling: Tooling, folder: Path) -> bool:
    return tooling.folder.is_relative_to(folder)


def _asked(workload: Workload) -> Iterator[Tooling]:
    chunks = [*workload.chunks.values(), *(group.prototype for group in workload.groups.values())]
    found = {chunk.tooling: None for chunk in chunks if chunk.tooling is not None}
    yield from found


def _folders(asked: Collection[Tooling]) -> str:
    return ", ".join(sorted({str(tooling.folder) for tooling in asked}))
