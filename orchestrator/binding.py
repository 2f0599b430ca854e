"""From what a caller asks for to a session that can start: files read, defaults filled in, the store opened."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.engine.clock import Clock
from orchestrator.engine.control import RunControl
from orchestrator.engine.gate import Bounds
from orchestrator.engine.grants import read_grant, require_granted
from orchestrator.engine.recall import file_record, input_record, reload_workload, stitch_record
from orchestrator.engine.reuse import ReuseRules
from orchestrator.engine.session import RunSession
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.engine.stitching.output import check_output
from orchestrator.engine.stitching.result_files import files_of_run
from orchestrator.engine.stitching.stitch import EXTENSIONS
from orchestrator.errors import UsageError
from orchestrator.opening import Loader, OpenedPlan, Options, loader_for, store_path
from orchestrator.plan.amounts import read_span
from orchestrator.plan.layout import files_to_write
from orchestrator.plan.payers import folders_used, logins_used
from orchestrator.plan.sampling import is_whole, part_of
from orchestrator.plan.selection import require_known
from orchestrator.plan.workload import Workload
from orchestrator.runners.base import Runner
from orchestrator.runners.choose import choose_runner
from orchestrator.store import RunRecord, look_into, open_store
from orchestrator.store.reads import output_writers

T = TypeVar("T")

NO_FILE = "-"
"""As an output: no file at all."""


def selected(workload: Workload, options: Options) -> Workload:
    """The part of a plan that the options ask for. Raises `UsageError`."""
    for name in options.get("redo") or ():
        require_known(workload, name, or_later=True)
    only, until = tuple(options.get("only") or ()), tuple(options.get("until") or ())
    return part_of(workload, only=only, until=until, count=options.get("sample"))


def reuse_rules(options: Options) -> ReuseRules:
    """What the options allow to be reused."""
    return ReuseRules(fresh=bool(options.get("fresh")), redo=frozenset(options.get("redo") or ()))


def runner_kind(options: Options) -> str:
    """The kind of the runner that the options name; answers of another kind never stand in."""
    return _runner_name(options.get("runner")).partition(":")[0]


def bind_new_run(opened: OpenedPlan, options: Options, *, environment: Mapping[str, str]) -> RunSession:
    """A session for a new run. Raises `UsageError` or `StoreError`; nothing is started."""
    workload = selected(opened.workload, options)
    only, until = tuple(options.get("only") or ()), tuple(options.get("until") or ())
    redo, count = tuple(options.get("redo") or ()), options.get("sample")
    output = _output(
        workload,
        options.get("output"),
        default=bool(options.get("default_output")),
        is_part=not is_whole(workload, of=opened.workload),
        sampled=count is not None,
    )
    kept: dict[str, Any] = {
        "runner": _runner_name(options.get("runner")),
        "claude": _text(_program(options.get("claude"))),
        "output": _kept_output(options.get("output"), output),
        "max_concurrency": options.get("max_concurrency"),
        "max_cost_usd": options.get("max_cost_usd"),
        "max_tokens": options.get("max_tokens"),
        "max_wall_s": options.get("max_wall_s"),
        "wait_for_limits": options.get("wait_for_limits", True),
        "max_wait": read_span(options.get("max_wait")),
        "accounts": folders_used(workload, options.get("accounts") or {}),
        "allow_tools": read_grant(options.get("allow_tools") or ()),
        "fresh": bool(options.get("fresh")),
        "redo": redo,
        "only": only,
        "until": until,
        "sample": count,
        "root": _text(opened.root),
        "is_file": opened.is_file,
        "planned_from": file_record(opened.planned_from),
        "planned_by": opened.planned_by,
        "planning": opened.planning,
        "stitch": stitch_record(workload),
    }
    _require_text(str(workload.path), kept["output"], kept["claude"], str(opened.base_dir), *workload.files)
    clock = Clock()
    now = clock.iso()
    record = RunRecord(
        run_id=_new_run_id(clock.epoch_s()),
        name=workload.name,
        plan_path=_text(workload.path or opened.planned_from),
        base_dir=_text(opened.base_dir),
        source=workload.source,
        inputs={name: input_record(each) for name, each in workload.inputs.items()},
        files=dict(workload.files),
        options=kept,
        state="running",
        reason="",
        created_at=now,
        updated_at=now,
        elapsed_s=0.0,
        result_path=None,
    )
    return _session(
        workload, record, opened.loader, resumed=False, options=options, environment=environment, clock=clock
    )


async def bind_resumed_run(run_id: str, options: Options, *, environment: Mapping[str, str]) -> RunSession:
    """A session that continues a run. Raises `UnknownRunError`, `PlanChangedError`, `PlanError`, `StoreError` or
    `LoadingStoppedError`.
    """
    store = open_store(store_path(options))
    record = store.run(store.resolve(run_id))
    kept = dict(record.options)
    loader = loader_for(options)
    workload = await loader.watch.run(lambda: reload_workload(record, loader.texts))
    for name in ("max_concurrency", "max_cost_usd", "max_tokens", "max_wall_s", "wait_for_limits", "max_wait"):
        if options.get(name) is not None:
            kept[name] = read_span(options[name])
    kept["accounts"] = kept.get("accounts", {}) | folders_used(workload, options.get("accounts") or {})
    if options.get("runner") is not None:
        kept["runner"] = _runner_name(options["runner"])
    if options.get("claude") is not None:
        kept["claude"] = _text(_program(options["claude"]))
    if options.get("allow_tools") is not None:
        kept["allow_tools"] = read_grant(options["allow_tools"])
    if options.get("output") not in (None, NO_FILE):
        kept["output"] = str(_output(workload, options["output"], default=False))
    record = replace(record, options=kept)
    return _session(workload, record, loader, resumed=True, options=options, environment=environment, clock=Clock())


def check_targets(opened: OpenedPlan, options: Options) -> None:
    """Look, before a request is planned, at every place that the run of its plan may write its result to.

    Raises `UsageError`, `OutputExistsError` or `StoreError`. Starts nothing and writes nothing.
    """
    workload, asked = opened.workload, options.get("output")
    for sampled in dict.fromkeys((options.get("sample") is not None, False)):
        output = _output(
            workload,
            asked,
            default=bool(options.get("default_output")),
            is_part=bool(options.get("only") or options.get("until")),
            sampled=sampled,
        )
        target = _target(workload, _kept_output(asked, output), asked, planned_from=opened.planned_from)
        if target is not None:
            writers = partial(_writers_of, store_path(options))
            check_output(target, writers=writers, runner=runner_kind(options), force=bool(options.get("force")))


def _writers_of(store: Path, path: Path) -> dict[str, str]:
    return look_into(store, lambda connection: output_writers(connection, str(path)))


def _session(
    workload: Workload,
    record: RunRecord,
    loader: Loader,
    *,
    resumed: bool,
    options: Options,
    environment: Mapping[str, str],
    clock: Clock,
) -> RunSession:
    kept, limits = record.options, workload.plan.limits
    chosen = options.get("environment")
    surrounding = environment if chosen is None else chosen
    logins: Mapping[str, Path | str] = {**kept.get("accounts", {}), **(options.get("accounts") or {})}
    require_granted(workload, allowed=kept.get("allow_tools", ()), environment=surrounding, accounts=logins)
    runner: Runner | str | None = options.get("runner")
    if runner is None or isinstance(runner, str):
        claude = Path(kept["claude"]) if kept["claude"] else None
        accounts = logins_used(workload, kept.get("accounts", {}))
        runner = choose_runner(kept["runner"], claude=claude, environment=surrounding, accounts=accounts)
    on_event = options.get("on_event")
    settings = RunSettings(
        max_concurrency=_or(kept["max_concurrency"], limits.max_concurrency),
        max_cost_usd=_or(kept["max_cost_usd"], limits.max_cost_usd),
        max_tokens=_or(kept.get("max_tokens"), limits.max_tokens),
        bounds=Bounds(
            max_wall_s=_or(kept.get("max_wall_s"), limits.max_wall_s),
            max_same_failure=limits.max_same_failure,
            wait_for_limits=kept["wait_for_limits"],
            max_wait_s=_or(kept.get("max_wait"), limits.max_wait),
            leave_usage=limits.leave_usage,
        ),
        rules=reuse_rules(kept),
        output=_target(workload, kept["output"], options.get("output"), planned_from=_planned_from(kept)),
        files=files_of_run(workload, kept, none=str(options.get("output")) == NO_FILE),
        force=bool(options.get("force")),
    )
    surroundings = Surroundings(
        store=open_store(store_path(options), create=True),
        runner=runner,
        control=options.get("control") or RunControl(),
        clock=clock,
        confirm=options.get("confirm"),
        known=loader.known,
        watch=loader.watch,
    )
    return RunSession(
        workload,
        record=record,
        resumed=resumed,
        settings=settings,
        surroundings=surroundings,
        observers=[on_event] if on_event is not None else [],
    )


def _output(
    workload: Workload, asked: Path | str | None, *, default: bool, is_part: bool = False, sampled: bool = False
) -> Path | None:
    """Where a complete result belongs.

    What is less than the whole plan never stands under the whole's name, unless the call says so; a sample never does.
    """
    if str(asked) == NO_FILE:
        return None
    if asked is not None and not str(asked).strip():
        raise UsageError("-o names no file; write the file's name, or - for stdout")
    output = workload.output if asked is None else Path(os.path.realpath(asked))
    if asked is not None and not sampled:
        return output
    if output is None and default and (sampled or files_to_write(workload) is None):
        output = Path.cwd() / f"{workload.name}.result.{EXTENSIONS[workload.stitch_format]}"
    if output is not None and sampled:
        return output.with_name(f"{output.stem}.sample{output.suffix}")
    if output is not None and is_part:
        output = output.with_name(f"{output.stem}.selected{output.suffix}")
    return output


def _kept_output(asked: Path | str | None, output: Path | None) -> str | None:
    """What a resume is to know: a file, "-" when the call said so, None when nothing was said and no file wanted."""
    if output is not None:
        return str(output)
    return NO_FILE if str(asked) == NO_FILE else None


def _target(
    workload: Workload, kept: str | None, asked: Path | str | None, *, planned_from: Path | None
) -> Path | None:
    """The output of this process. Raises `UsageError` when it would overwrite what the run is made of."""
    if kept in (None, NO_FILE) or str(asked) == NO_FILE:
        return None
    output = Path(kept)
    _require_text(kept)
    sources = [workload.path, planned_from]
    for each in workload.inputs.values():
        sources += [each.path, *each.paths]
    if any(source is not None and source.resolve() == output for source in sources):
        raise UsageError(f"{output} is what the run is made of; choose another file with -o")
    return output


def _planned_from(kept: Mapping[str, Any]) -> Path | None:
    record: Mapping[str, str] | None = kept.get("planned_from")
    return Path(record["path"]) if record else None


def _or(asked: T | None, planned: T) -> T:
    """What the call asked for, else what the plan has."""
    return planned if asked is None else asked


def kept_limit(workload: Workload, options: Options) -> float | None:
    """The most that may be spent, in US dollars: what the call says, else the plan; None without a limit."""
    return _or(options.get("max_cost_usd"), workload.plan.limits.max_cost_usd)


def _program(claude: Path | str | None) -> Path | None:
    """A path as it is from every folder; a bare name is looked for on PATH."""
    if claude is None or (Path(claude).name == str(claude) and not Path(claude).exists()):
        return Path(claude) if claude is not None else None
    return Path(claude).absolute()


def _require_text(*texts: str | None) -> None:
    """Names that are no text can neither be stored nor shown."""
    for text in texts:
        try:
            (text or "").encode("utf-8")
        except UnicodeEncodeError:
            raise UsageError(f"the name {text!a} is not UTF-8; rename it") from None


def _new_run_id(epoch_s: float) -> str:
    """Sorts by time; the random end tells apart what began in the same second."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _runner_name(runner: Runner | str | None) -> str:
    return runner if isinstance(runner, str) else runner.kind if runner is not None else "claude"


def _text(path: Path | str | None) -> str | None:
    return None if path is None else str(path)
