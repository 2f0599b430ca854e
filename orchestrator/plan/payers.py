"""Which accounts a plan uses: whether those it names are there, and who pays for what."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from orchestrator.errors import UsageError
from orchestrator.plan.accounts import USUAL, accounts_of
from orchestrator.plan.report import Report
from orchestrator.plan.selection import entry_of
from orchestrator.plan.workload import Workload
from orchestrator.plan.yaml_source import YamlPath


def check_accounts(raw: Mapping[str, Any], known: Collection[str], report: Report) -> None:
    """Report every account that the plan names and that nobody configured."""
    _check(raw.get("account"), ("account",), known, report)
    chunks = raw.get("chunks")
    for at, chunk in enumerate(cast("list[Any]", chunks) if isinstance(chunks, list | tuple) else ()):
        if isinstance(chunk, dict):
            account = cast("dict[str, Any]", chunk).get("account")
            _check(account, ("chunks", at, "account"), known, report)


def _check(value: object, path: YamlPath, known: Collection[str], report: Report) -> None:
    several = isinstance(value, list | tuple)
    for at, name in enumerate(cast("list[object]", value) if several else (value,)):
        if isinstance(name, str) and name != USUAL and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]}? If not, " if near else ""
            place = (*path, at) if several else path
            report.at(place, f"there is no account `{name}`", f"{meant}{how_to_add(name)}")


def how_to_add(name: str) -> str:
    """What to do about an account that nobody configured."""
    return f"give its folder with --account {name}=DIR, or in ~/.config/orchestrate/accounts.yaml"


def accounts_used(workload: Workload) -> tuple[str, ...]:
    """Every account that may pay for a chunk of the workload, or for what is asked about its result."""
    chunks = [*workload.chunks.values(), *(group.prototype for group in workload.groups.values())]
    further = accounts_of(workload.plan.account) if workload.rubric or workload.transitions else ()
    return tuple(dict.fromkeys([*(account for chunk in chunks for account in chunk.accounts), *further]))


def first_payers(workload: Workload, names: Iterable[str]) -> dict[str, list[str]]:
    """The chunks of these names by the account that is asked first to pay for them.

    Names of chunks that are not known yet count as those of their entry.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        group = workload.groups.get(entry_of(name))
        chunk = workload.chunks.get(name) or (group.prototype if group is not None else None)
        found.setdefault(chunk.accounts[0] if chunk is not None else "", []).append(name)
    return found


def folders_used(workload: Workload, given: Mapping[str, Path | str]) -> dict[str, str]:
    """Of the folders given by account those (absolute) that the workload uses."""
    return {name: str(Path(given[name]).absolute()) for name in accounts_used(workload) if name in given}


def logins_used(workload: Workload, folders: Mapping[str, str]) -> dict[str, Path | None]:
    """The folder of each account that may pay, None for the usual login. Raises `UsageError` when one is not known."""
    used = accounts_used(workload)
    for name in used:
        if name and name not in folders:
            raise UsageError(f"there is no account {name}; {how_to_add(name)}")
    return {name: Path(folders[name]) if name else None for name in used}
