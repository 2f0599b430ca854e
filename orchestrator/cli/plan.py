"""`plan` and `ask`: requests that the model plans, from a plan file or from words."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.api import PlanningResult, RunResult, aplan_request, arun_plan
from orchestrator.cli.asked_files import with_files
from orchestrator.cli.check import plan_lines, plan_record
from orchestrator.cli.display.planned import planned_lines
from orchestrator.cli.given import claude_path, environment, existing_plan, given_inputs, store_path
from orchestrator.cli.loading import loading_on_stderr
from orchestrator.cli.options import ProgressMode
from orchestrator.cli.printing import print_error, print_exactly, print_lines
from orchestrator.cli.run import NO_FILE, Session, WatchOptions, watch_all, watch_result
from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.inputs import GivenInput, declared_inputs
from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import Texts
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Workload
from orchestrator.store import StoredTexts

NAME_WORDS = 5
NAME_CHARS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What is planned, and with what."""

    request: str
    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    root: Path | None
    fresh: bool


def write_plan(options: PlanOptions, watch: WatchOptions, *, commands: Sequence[str]) -> int:
    """Have a request planned, and write the plan for review. Returns the exit code.

    Raises `UsageError` when the file is there already, before anything is paid.
    """
    file = None if is_words(options.request) else existing_plan(Path(options.request), commands=commands)
    inputs = given_inputs(options.inputs, options.texts)
    if file is None:
        name = name_of(options.request)
        target = _target(watch.output, folder=Path(), name=name)
    else:
        with _known(watch) as known:
            request = load_plan(file, inputs=inputs, root=options.root, request_alone=True, texts=known)
        if not request.to_be_planned:
            raise UsageError(f"{file} has chunks already, so there is nothing to plan; `orchestrate {file}` runs it")
        name = None
        target = _target(watch.output, folder=file.parent, name=request.name)
        if target is not None:
            _require_same_paths(request, target, inputs, root=options.root)

    async def start(session: Session) -> PlanningResult:
        given: Any = dict(session.options(watch, claude=claude_path(watch.claude)).items())
        for unused in ("output", "force"):
            given.pop(unused)
        return await aplan_request(
            file or options.request, **given, inputs=inputs, name=name, fresh=options.fresh, root=options.root
        )

    result = watch_all(watch, start, again=shlex.join(["orchestrate", *sys.argv[1:]]))
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


def ask(request: str, files: Sequence[Path], options: PlanOptions, watch: WatchOptions) -> int:
    """Plan a request in words, and run the plan, in one go. Returns the exit code."""
    if not request.strip():
        raise UsageError('there is no request; write it in quotes: orchestrate ask "Explain this contract" lease.md')
    inputs = with_files(files, given_inputs(options.inputs, options.texts))
    plan = {"name": name_of(request), "request": request, "inputs": declared_inputs(inputs)}

    async def start(session: Session) -> RunResult:
        return await arun_plan(
            plan,
            **session.options(watch, claude=claude_path(watch.claude)),
            default_output=True,
            inputs=inputs,
            root=options.root,
            fresh=options.fresh,
            on_planned=session.show_planned,
        )

    return watch_result(watch, start)


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
    options: PlanOptions,
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
        words += [word for pair in pairs for word in (flag, pair)]
    words += ["--root", str(options.root)] if options.root else []
    estimated = [line for line in plan_lines(record) if line.startswith(("estimate", "warning"))]
    return [*planned_lines(result), *estimated, f"Wrote {target}. To run it: {shlex.join(words)}"]
