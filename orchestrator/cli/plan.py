"""`plan` and `ask`: requests that the model plans, from a plan file or from words."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.api import PlanningResult, aplan_request
from orchestrator.api import RunOptions as ApiOptions
from orchestrator.cli.asked_files import with_files
from orchestrator.cli.check import plan_lines, plan_record
from orchestrator.cli.display.planned import planned_lines
from orchestrator.cli.given import claude_path, environment, existing_plan, given_inputs, store_path
from orchestrator.cli.loading import loading_on_stderr
from orchestrator.cli.options import DryRunOptions, GivenOptions, ProgressMode, RunOptions, WatchOptions
from orchestrator.cli.printing import print_error, print_exactly, print_lines
from orchestrator.cli.run import NO_FILE, Session, chosen, forecast, form_of, run_and_watch, watch_all
from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.inputs import GivenInput, declared_inputs
from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import Texts
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Workload
from orchestrator.store import StoredTexts

NO_REQUEST = 'there is no request; write it in quotes: orchestrate {} "Compare three ways to store logs"'

NAME_WORDS = 5
NAME_CHARS = 40


def write_plan(request: str, options: GivenOptions, watch: WatchOptions, *, commands: Sequence[str]) -> int:
    """Have a request planned, and write the plan for review. Returns the exit code.

    Raises `UsageError` when the file is there already, before anything is paid.
    """
    file = _file_of(request, commands=commands)
    inputs = given_inputs(options.inputs, options.texts)
    if file is None:
        name = name_of(request)
        target = _target(watch.output, folder=Path(), name=name)
    else:
        workload = _to_plan(file, inputs, options, watch)
        name = None
        target = _target(watch.output, folder=file.parent, name=workload.name)
        if target is not None:
            _require_same_paths(workload, target, inputs, root=options.root)

    async def start(session: Session) -> PlanningResult:
        given: Any = dict(session.options(watch, claude=claude_path(watch.claude)).items())
        for unused in ("output", "force"):
            given.pop(unused)
        return await aplan_request(
            file or request, **given, inputs=inputs, name=name, fresh=options.fresh, root=options.root
        )

    result = watch_all(watch, start, again=typed_command())
    if result.plan is None:
        print_error(
            "\n".join(["the planner gave no plan that can be run:", *(f"  {each}" for each in result.problems)])
        )
        return result.exit_code
    if target is None:
        print_exactly(result.to_yaml())
        return 0
    _write(target, result.to_yaml())
    told = _told(result, target, options, inputs, watch)
    if watch.progress is ProgressMode.JSON:
        print_error("\n".join(told))
    else:
        print_lines(told)
    return 0


def forecast_planning(
    request: str, options: GivenOptions, watch: WatchOptions, dry_run: DryRunOptions, *, commands: Sequence[str]
) -> None:
    """Print what planning a request would take, or, when it was planned before, what running the plan would."""
    form = form_of(dry_run)
    file = _file_of(request, commands=commands)
    inputs = given_inputs(options.inputs, options.texts)
    if file is not None:
        _to_plan(file, inputs, options, watch)
    plan = file or _plan_of(request, inputs)
    forecast(plan, {"inputs": inputs, "root": options.root, "fresh": options.fresh}, watch, form)


def ask(request: str, files: Sequence[Path], options: RunOptions, watch: WatchOptions) -> int:
    """Plan a request in words, and run the plan, in one go. Returns the exit code."""
    plan, asked = _asked(request, files, options)
    return run_and_watch(plan, asked, watch, command=lambda _: typed_command(without="--sample"))


def forecast_asking(
    request: str, files: Sequence[Path], options: RunOptions, watch: WatchOptions, dry_run: DryRunOptions
) -> None:
    """Print what `ask` would do, as far as it is known."""
    form = form_of(dry_run)
    plan, asked = _asked(request, files, options)
    forecast(plan, asked, watch, form)


def typed_command(*, without: str = "") -> str:
    """The command that was typed, for a shell; `without` is an option that is left out with its value."""
    words, skip = list[str](), False
    for word in sys.argv[1:]:
        if not skip and (not without or word.partition("=")[0] != without):
            words.append(word)
        skip = not skip and bool(without) and word == without
    return shlex.join(["orchestrate", *words])


def _asked(request: str, files: Sequence[Path], options: RunOptions) -> tuple[dict[str, Any], ApiOptions]:
    """The plan that a request in words is, and what of it is asked. Raises `UsageError` when it is no request."""
    if not request.strip():
        raise UsageError(NO_REQUEST.format("ask"))
    if len(request.split()) == 1 and Path(request).exists():
        named = shlex.join([request, *map(str, files)])
        raise UsageError(
            f"{request} is there as a file, and no request: say first what is wanted, in quotes, such as "
            f'orchestrate ask "Explain this" {named}'
        )
    inputs = with_files(files, given_inputs(options.inputs, options.texts))
    return _plan_of(request, inputs), chosen(options, inputs)


def _plan_of(request: str, inputs: Mapping[str, GivenInput]) -> dict[str, Any]:
    return {"name": name_of(request), "request": request, "inputs": declared_inputs(inputs)}


def _file_of(request: str, *, commands: Sequence[str]) -> Path | None:
    """The plan file that is meant; None for a request in words. Raises `UsageError` when there is neither."""
    if not request.strip():
        raise UsageError(NO_REQUEST.format("plan"))
    return None if is_words(request) else existing_plan(Path(request), commands=commands)


def _to_plan(file: Path, inputs: Mapping[str, GivenInput], options: GivenOptions, watch: WatchOptions) -> Workload:
    """The request of a plan file. Raises `UsageError` when there is nothing to plan, and `PlanError`."""
    with _known(watch) as known:
        workload = load_plan(file, inputs=inputs, root=options.root, request_alone=True, texts=known)
    if not workload.to_be_planned:
        raise UsageError(f"{file} has chunks already, so there is nothing to plan; `orchestrate {file}` runs it")
    return workload


def is_words(request: str) -> bool:
    """Whether it is a request in words; one word without blanks is always a file."""
    return len(request.split()) > 1 and not Path(request).is_file()


def name_of(request: str) -> str:
    """A name for a plan, of the first words of its request: `explain-this-contract-to-a`."""
    words = re.findall(r"\w+", request.lower())[:NAME_WORDS]
    return "-".join(words)[:NAME_CHARS].strip("-") or "request"


def _target(output: str | None, *, folder: Path, name: str) -> Path | None:
    """The file that the plan goes to, or None for stdout. Raises `UsageError` when it is there already."""
    if output == NO_FILE:
        return None
    if output is not None and not output.strip():
        raise UsageError("-o names no file; write the file's name, or - for stdout")
    target = Path(output) if output else folder / f"{name}.planned.yaml"
    try:
        if target.exists() or target.is_symlink():
            raise UsageError(f"{target} is there already; choose another file with -o, or remove it")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}; choose another file with -o") from None
    parent = target.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"{target} cannot be written: there is no folder {target.parent}; choose another with -o")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"{target} cannot be written: the folder {parent} is read-only; choose another with -o")
    return target


def _require_same_paths(
    request: Workload, target: Path, inputs: Mapping[str, GivenInput], *, root: Path | None
) -> None:
    """Raise `UsageError` when what the plan names is not found from the folder that the new file goes to."""
    folder, file = target.absolute().parent, request.path
    if file is None or folder == file.parent:
        return
    try:
        load_plan(request.plan, inputs=inputs, root=root, base_dir=folder)
    except PlanError as error:
        raise UsageError(
            f"{target} is in another folder than {file}, and the plan's paths do not lead anywhere from there "
            f"({error.problems[0].message}); write it beside {file.name}"
        ) from None


def _write(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror}; the planner's answer is stored, so choose another with -o"
        ) from None


@contextlib.contextmanager
def _known(watch: WatchOptions) -> Generator[Texts]:
    """What loading a plan here is done with: what the store knows, and progress on stderr."""
    wanted = "quiet" if watch.progress is ProgressMode.QUIET else "auto"
    with loading_on_stderr(wanted, environment=environment()) as on_loading:
        yield Texts(cache=StoredTexts(store_path(watch.store)), on_loading=on_loading)


def _told(
    result: PlanningResult,
    target: Path,
    options: GivenOptions,
    inputs: Mapping[str, GivenInput],
    watch: WatchOptions,
) -> list[str]:
    """What the plan is, what it would cost, and how to run it."""
    with _known(watch) as known:
        workload = load_plan(target, inputs=inputs, root=options.root, texts=known)
        tally = Tally(replace(known, doing="estimating"))
        estimate = estimate_workload(workload, max_concurrency=workload.plan.limits.max_concurrency, tally=tally)
        record = plan_record(workload, estimate, here=Path.cwd(), tally=tally)
    words = ["orchestrate", str(target)]
    for flag, pairs in (("--input", options.inputs), ("--set", options.texts)):
        words += [word for pair in pairs or () for word in (flag, pair)]
    words += [word for account in watch.accounts or () for word in ("--account", account)]
    words += ["--root", str(options.root)] if options.root else []
    estimated = [line for line in plan_lines(record) if line.startswith(("estimate", "warning"))]
    return [*planned_lines(result), *estimated, f"Wrote {target}. To run it: {shlex.join(words)}"]
