"""`check` and `schema`: what a plan is, without starting anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from orchestrator.api import learned_so_far
from orchestrator.cli.accounts import configured_accounts
from orchestrator.cli.display.neutralise import one_line
from orchestrator.cli.display.words import about, count, money_span, span
from orchestrator.cli.given import environment, existing_plan, given_inputs, store_path
from orchestrator.cli.loading import loading_on_stderr
from orchestrator.cli.printing import print_json, print_lines
from orchestrator.errors import OrchestrateError, PlanError, Problem
from orchestrator.plan.advice import notes, uncounted_calls, window_problems
from orchestrator.plan.estimate import Estimate, estimate_workload
from orchestrator.plan.grouping import group_words
from orchestrator.plan.inputs import GivenInput
from orchestrator.plan.learned import Learned
from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import Texts
from orchestrator.plan.schema import json_schema
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import ForEach, Group, Reduce, Workload
from orchestrator.store import StoredTexts

UNPLANNED = (
    "no chunks yet: the model plans them from the request (`orchestrate plan` shows how); "
    "the figures are those of asking the request in one call"
)

RESULTS_SHOWN = 3

EXTENSIONS = {"markdown": "md", "text": "txt", "json": "json", "jsonl": "jsonl"}


def check_plan(
    plan: Path,
    *,
    inputs: Sequence[str],
    texts: Sequence[str],
    root: Path | None,
    accounts: Sequence[str] | None,
    as_json: bool,
    commands: Sequence[str],
) -> int:
    """Print what a plan would do, and return the exit code. Raises what is wrong, or prints it with `as_json`."""
    try:
        path, logins = existing_plan(plan, commands=commands), configured_accounts(accounts)
        record = _checked(path, given_inputs(inputs, texts), root=root, accounts=logins)
    except OrchestrateError as error:
        if not as_json:
            raise
        alone = (Problem(str(plan), 0, 0, str(error)),)
        problems = error.problems if isinstance(error, PlanError) else alone
        print_json({"ok": False, "problems": [asdict(problem) for problem in problems]})
        return error.exit_code
    if as_json:
        print_json(record)
    else:
        print_lines(plan_lines(record))
    return 0


def _checked(
    path: Path, inputs: Mapping[str, GivenInput], *, root: Path | None, accounts: Collection[str]
) -> dict[str, Any]:
    """The `plan_record` of a plan. Raises `PlanError` with all its problems."""
    store = store_path(None)
    with loading_on_stderr("auto", environment=environment()) as on_loading:
        known = Texts(cache=StoredTexts(store), on_loading=on_loading)
        root = root.absolute() if root else None
        workload = load_plan(path, inputs=inputs, root=root, request_alone=True, texts=known, accounts=accounts)
        return checked_record(workload, known, learned=learned_so_far(workload, store=store))


def checked_record(workload: Workload, known: Texts, *, learned: Learned) -> dict[str, Any]:
    """The `plan_record` of a plan. Raises `PlanError` for prompts that fit no window."""
    tally = Tally(replace(known, doing="estimating"))
    limit = workload.plan.limits.max_concurrency
    estimate = estimate_workload(workload, max_concurrency=limit, learned=learned, tally=tally)
    if problems := window_problems(workload, estimate, tally=tally):
        raise PlanError(problems)
    return plan_record(workload, estimate, here=Path.cwd(), tally=tally)


def print_schema() -> None:
    """The JSON Schema of a plan."""
    print_json(json_schema())


def plan_record(workload: Workload, estimate: Estimate, *, here: Path, tally: Tally) -> dict[str, Any]:
    """Everything `check --json` prints. Token counts are of plain text, before the model's own way of counting."""
    tally.prepare(given.text for given in workload.inputs.values())
    levels, files = chunk_levels(workload), workload.result_files
    default = here / f"{workload.name}.result.{EXTENSIONS[workload.stitch_format]}"
    return {
        "ok": True,
        "name": workload.name,
        "mode": workload.plan.mode,
        "max_concurrency": workload.plan.limits.max_concurrency,
        "levels": max(levels.values(), default=0),
        "chunks": [
            {
                "id": chunk.id,
                "group": chunk.group,
                "keeps": chunk.keeping.so_far.kind if chunk.keeping is not None else "",
                "level": levels[chunk.id],
                "upstream": list(chunk.upstream),
                "after": list(chunk.after),
                "model": chunk.model,
                "effort": chunk.effort,
                "complexity": chunk.complexity,
                "timeout_s": chunk.timeout_s,
                "max_attempts": chunk.max_attempts,
            }
            for chunk in workload.chunks.values()
        ],
        "groups": [_group_record(group, level=levels[group.id]) for group in workload.groups.values()],
        "inputs": [
            {"name": given.name, "given": given.given, "path": given.path, **_size(given.text, tally)}
            for given in workload.inputs.values()
        ],
        "context": _size(workload.context, tally),
        "estimate": {
            "calls": estimate.calls,
            "input_tokens": estimate.input_tokens,
            "output_tokens": estimate.output_tokens,
            "cost_usd_low": estimate.cost_usd_low,
            "cost_usd_high": estimate.cost_usd_high,
            "time_s_low": estimate.time_s_low,
            "time_s_high": estimate.time_s_high,
        },
        "warnings": [*estimate.warnings, *uncounted_calls(workload), *([UNPLANNED] if workload.to_be_planned else [])],
        "notes": list(notes(workload, estimate, tally=tally)),
        "stitch": {"format": workload.stitch_format, "chunks": list(workload.stitch_chunks)},
        "output": None if files is not None else str(workload.output or default),
        "files": {source: str(path) for source, path in files.paths.items()} if files is not None else {},
    }


def plan_lines(record: dict[str, Any]) -> list[str]:
    """What `check` prints of a `plan_record`."""
    chunks, levels = record["chunks"], record["levels"]
    order = "one after the other" if record["mode"] == "sequence" else f"{record['max_concurrency']} at once"
    later = ", more as answers come" if any(group["kind"] == "open" for group in record["groups"]) else ""
    lines = [f"{one_line(record['name'])}: {count(len(chunks), 'chunk')}{later} in {count(levels, 'level')}, {order}"]
    groups = {group["id"]: group for group in record["groups"]}
    keeping = [chunk for chunk in chunks if chunk["keeps"]]
    single = [
        {**chunk, "what": "", "kept": [each["keeps"] for each in keeping if each["upstream"] == [chunk["id"]]]}
        for chunk in chunks
        if chunk["id"] not in groups and not chunk["group"] and not chunk["keeps"]
    ]
    entries = sorted([*single, *groups.values()], key=lambda entry: entry["level"])
    width = max((len(entry["id"]) for entry in entries), default=0)
    lines += [f"  {entry['level']:>2}  {entry['id']:<{width}}  {_entry_text(entry)}" for entry in entries]
    for given in record["inputs"]:
        origin = given["path"] or given["given"]
        lines.append(f"input {given['name']}: {_size_text(given)} ({one_line(str(origin), limit=1000)})")
    if record["context"]["chars"]:
        lines.append(f"context: {_size_text(record['context'])}, with every call")
    lines.append(_estimate_text(record["estimate"]))
    lines += [f"warning: {one_line(text)}" for text in record["warnings"]]
    lines += [f"note: {one_line(text)}" for text in record["notes"]]
    stitched = ", ".join(record["stitch"]["chunks"])
    files = list(record["files"].values())
    few = ", ".join(one_line(path, limit=4096) for path in files[:RESULTS_SHOWN])
    more = f", … {len(files) - RESULTS_SHOWN:,} more" if len(files) > RESULTS_SHOWN else ""
    result = f"{count(len(files), 'file')}, {few}{more}" if files else one_line(record["output"], limit=4096)
    return [*lines, f"result: {result} ({record['stitch']['format']}: {stitched})"]


def chunk_levels(workload: Workload) -> dict[str, int]:
    """The level of each chunk: 1 for what waits for nothing, else one more than the highest it waits for.

    That of a group is the highest of its chunks.
    """
    waits_for = {chunk.id: {*chunk.upstream, *chunk.after, *chunk.told_of} for chunk in workload.chunks.values()}
    for group in workload.groups.values():
        if isinstance(group, ForEach):
            over = {group.over} if group.over else set[str]()
            waits_for[group.id] = {*(group.members or ()), *group.prototype.upstream, *group.prototype.after, *over}
    levels: dict[str, int] = {}
    for name in TopologicalSorter(waits_for).static_order():
        group = workload.groups.get(name)
        known = isinstance(group, ForEach) and group.members is not None
        levels[name] = (0 if known else 1) + max((levels[each] for each in waits_for[name]), default=0)
    return levels


def _group_record(group: Group, *, level: int) -> dict[str, Any]:
    """A group as `check` tells it; its `kind` is `open` while it is not known how many pieces there are."""
    prototype = group.prototype
    over = [group.over] if group.over else []
    if isinstance(group, Reduce):
        kind, pieces = "reduce", None
    else:
        kind = "open" if group.members is None else "for_each"
        pieces = None if group.members is None else len(group.members)
    return {
        "id": group.id,
        "kind": kind,
        "level": level,
        "pieces": pieces,
        "what": group_words(group),
        "upstream": list(dict.fromkeys((*over, *prototype.upstream))),
        "model": prototype.model,
        "complexity": prototype.complexity,
        "timeout_s": prototype.timeout_s,
        "kept": [each.so_far.kind for each in group.kept] if isinstance(group, ForEach) else [],
    }


def _entry_text(entry: dict[str, Any]) -> str:
    """An entry in a line; for each answer of a group that is kept there is one more call."""
    after = f", after {', '.join(entry['upstream'])}" if entry["upstream"] else ""
    text = f"{entry['model'] or 'default model'}, {entry['complexity']}, up to {entry['timeout_s']:g} s{after}"
    kept = f"; kept in a {' and a '.join(entry['kept'])}" if entry["kept"] else ""
    return f"{entry['what']}; {text}{kept}" if entry["what"] else f"{text}{kept}"


def _size(text: str, tally: Tally) -> dict[str, int]:
    return {"chars": len(text), "tokens": tally.count(text) if text else 0}


def _size_text(size: dict[str, Any]) -> str:
    return f"{count(size['chars'], 'character')}, about {about(size['tokens'])} tokens"


def _estimate_text(estimate: dict[str, Any]) -> str:
    tokens = f"about {about(estimate['input_tokens'])} tokens in and {about(estimate['output_tokens'])} out"
    costs = money_span(estimate["cost_usd_low"], estimate["cost_usd_high"])
    takes = span(estimate["time_s_low"], estimate["time_s_high"])
    return f"estimate, nothing reused: {count(estimate['calls'], 'call')}, {tokens}, {costs}, {takes}"
