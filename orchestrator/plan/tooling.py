"""From what a plan says of tools to what each chunk may do, in which folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.plan.draft import PlanFiles, listed, mapping
from orchestrator.plan.paths import PathError, inside_root
from orchestrator.plan.tool_settings import READ_ONLY
from orchestrator.plan.workload import Tooling
from orchestrator.plan.yaml_source import YamlPath

MEMORY_FILE = "CLAUDE.md"

ITS_OWN_FOLDER = "."
"""The workdir of a plan that names none: what its tools can read, its inputs could name as well."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What one chunk may do, and what its folder's CLAUDE.md says: "" where it is not asked for."""

    tooling: Tooling | None = None
    memory: str = ""


def draft_tooling(raw: Mapping[str, Any], files: PlanFiles) -> list[Hands]:
    """One for each chunk of the plan, in order. Folders and files that cannot be used are reported."""
    chunks = [mapping(each) for each in listed(raw.get("chunks"))]
    found = [_hands(chunk, raw, ("chunks", at), files) for at, chunk in enumerate(chunks)]
    if raw.get("workdir") is not None and not any(_asks(chunk, raw) for chunk in chunks):
        _report_idle(("workdir",), files)
    return found


def _asks(chunk: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    tools, _ = _setting("tools", chunk, raw, ())
    memory, _ = _setting("project_memory", chunk, raw, ())
    return bool(listed(tools)) or memory is True


def _hands(chunk: Mapping[str, Any], raw: Mapping[str, Any], path: YamlPath, files: PlanFiles) -> Hands:
    named, at = _setting("workdir", chunk, raw, path)
    if not _asks(chunk, raw):
        if chunk.get("workdir") is not None:
            _report_idle((*path, "workdir"), files)
        return Hands()
    asked, tools_at = _setting("tools", chunk, raw, path)
    tools = tuple(sorted({each for each in listed(asked) if each in READ_ONLY}))
    memory, memory_at = _setting("project_memory", chunk, raw, path)
    if named is None:
        named, at = ITS_OWN_FOLDER, tools_at if tools else memory_at
    folder = _folder(named, at, files) if isinstance(named, str) and named else None
    if folder is None:
        return Hands()
    text = files.text((Path(named) / MEMORY_FILE).as_posix(), memory_at) if memory is True else None
    tooling = Tooling(tools=tools, folder=folder, name=files.name_of(folder)) if tools else None
    return Hands(tooling=tooling, memory=text.text.strip() if text is not None else "")


def _setting(name: str, chunk: Mapping[str, Any], raw: Mapping[str, Any], path: YamlPath) -> tuple[Any, YamlPath]:
    """The chunk's own word, else the plan's, and where it stands."""
    own = chunk.get(name)
    return (own, (*path, name)) if own is not None else (raw.get(name), (name,))


def _folder(named: str, path: YamlPath, files: PlanFiles) -> Path | None:
    try:
        folder = inside_root(named, base=files.base, root=files.root)
    except PathError as problem:
        files.report.at(path, problem.message, problem.hint)
        return None
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        files.report.at(path, f"the workdir {named!r} {what}", "name a folder below the plan file")
        return None
    return folder


def _report_idle(path: YamlPath, files: PlanFiles) -> None:
    hint = "add `tools: [Read]` or `project_memory: true`, or leave it out"
    files.report.at(path, "`workdir` is where tools read, and none are named", hint, key=True)
