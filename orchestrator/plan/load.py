"""From a plan file, a dict or a `Plan` to a `Workload`, or to every problem there is, each at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import PlanError, Problem, UsageError
from orchestrator.plan.build import build_chunks
from orchestrator.plan.check import Names, check_references
from orchestrator.plan.check_expectations import check_expectations
from orchestrator.plan.check_joining import check_joining
from orchestrator.plan.draft import (
    ChunkDraft,
    Located,
    PlanFiles,
    ReviewDraft,
    TemplateDraft,
    draft_chunks,
    draft_context,
    draft_review,
    listed,
    mapping,
    read_located,
    texts_at,
)
from orchestrator.plan.form import check_form
from orchestrator.plan.forms import check_sources, draft_stitch, with_forms
from orchestrator.plan.grouping import GroupFacts, draft_groups
from orchestrator.plan.inputs import GivenInput, StdinText, draft_inputs, input_kind, patterns_of
from orchestrator.plan.layout import Material, draft_layout
from orchestrator.plan.loading import Texts
from orchestrator.plan.model import Plan
from orchestrator.plan.paths import PathError, read_bytes
from orchestrator.plan.payers import check_accounts
from orchestrator.plan.report import Report
from orchestrator.plan.selection import leaves, select
from orchestrator.plan.tooling import Hands, draft_tooling
from orchestrator.plan.workload import InputText, ResultFiles, Workload
from orchestrator.plan.yaml_source import MAX_BYTES, YamlPath, read_yaml

__all__ = ["GivenInput", "StdinText", "load_plan", "select"]

NO_FILE = "<plan>"
"""What stands for the file in problems of a plan that was given as a dict."""

STAND_IN: Mapping[str, Any] = {"id": "answer", "prompt": "{{ request }}"}
"""The one chunk of a plan that has a request and no chunks, until the planner has made some."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A plan before it is checked."""

    raw: object
    text: str
    path: Path | None
    base: Path
    report: Report


@dataclass(frozen=True, slots=True)
class _Texts:
    """Everything a plan's texts come to."""

    chunks: list[ChunkDraft]
    inputs: dict[str, InputText | None]
    groups: dict[str, GroupFacts]
    context: str
    review: ReviewDraft
    stitch_template: TemplateDraft | None
    stitch_schema: Mapping[str, Any] | None
    output: Path | None
    result_files: ResultFiles | None
    hands: list[Hands]


def load_plan(
    source: Path | dict[str, Any] | Plan,
    *,
    inputs: Mapping[str, GivenInput] | None = None,
    root: Path | None = None,
    base_dir: Path | None = None,
    request_alone: bool = False,
    texts: Texts | None = None,
    accounts: Collection[str] | None = None,
) -> Workload:
    """Read and check a plan; everything it names is read too, and nothing is written or started.

    `inputs` replaces inputs of the plan: a string is the text itself, a `Path` a file, which may stand anywhere. What
    the plan names itself is relative to its own folder (`base_dir`, else the current folder, for a dict or a `Plan`)
    and stays inside `root`, by default that same folder. With `request_alone` a plan that has a request and no chunks
    is taken too: it gets one chunk that asks the request as it stands, and is `to_be_planned`. `texts` knows what need
    not be split again, and whom to tell how far it has come. With `accounts` the plan may name these and no others.
    Raises `PlanError` with every problem found, and `UsageError` when `root` or `base_dir` is no folder.
    """
    opened = _open(source, base_dir)
    to_be_planned = request_alone and _is_request(opened.raw)
    if to_be_planned:
        opened = replace(opened, raw={**mapping(opened.raw), "chunks": [dict(STAND_IN)]})
    folder = root if root is not None else opened.base
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    report = opened.report
    plan = check_form(opened.raw, report)
    files = PlanFiles(opened.base, folder, report)
    raw = mapping(opened.raw)
    reading = replace(texts or Texts(), doing=f"reading {opened.path.name if opened.path else 'the plan'}")
    found = _read_texts(raw, inputs or {}, files, reading, plan_file=opened.path, to_be_planned=to_be_planned)
    _check(raw, found, report)
    if accounts is not None:
        check_accounts(raw, accounts, report)
    report.raise_if_any()
    assert plan is not None, "a plan of wrong form has problems"
    workload = replace(_build(plan, opened, found, files), to_be_planned=to_be_planned)
    check_sources(workload, report)
    report.raise_if_any()
    return workload


def _is_request(raw: object) -> bool:
    plan = mapping(raw)
    request = plan.get("request")
    return "chunks" not in plan and isinstance(request, str) and bool(request.strip())


def _open(source: Path | dict[str, Any] | Plan, base_dir: Path | None) -> _Source:
    if isinstance(source, Plan):
        source = source.model_dump(mode="json", exclude_unset=True)
    if isinstance(source, dict):
        base = base_dir if base_dir is not None else Path()
        return _Source(source, _json(source), None, base.absolute(), Report(NO_FILE))
    file = str(source)
    try:
        content, _ = read_bytes(source, limit=MAX_BYTES)
    except PathError as problem:
        raise PlanError([Problem(file, 0, 0, problem.message, hint=problem.hint)]) from None
    document = read_yaml(content, file=file)
    base = (base_dir if base_dir is not None else source.parent).absolute()
    text = content.decode("utf-8-sig")
    return _Source(document.value, text, source.absolute(), base, Report(file, document))


def _json(value: dict[str, Any]) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=1, default=repr, skipkeys=True)
    except (ValueError, RecursionError):
        # A dict that holds itself; its form is wrong too, and that is reported.
        return ""


def _read_texts(
    raw: dict[str, Any],
    given: Mapping[str, GivenInput],
    files: PlanFiles,
    reading: Texts,
    *,
    plan_file: Path | None,
    to_be_planned: bool,
) -> _Texts:
    stitch = mapping(raw.get("stitch"))
    named, output = stitch.get("template"), stitch.get("output")
    template: TemplateDraft | None = None
    if isinstance(named, str) and named:
        path: YamlPath = ("stitch", "template")
        found = files.text(named, path)
        if found is not None:
            way_out = "{% raw %} … {% endraw %} takes a part literally, and {{ '{{' }} writes two braces"
            located = Located(found.text, path, files.shown(named))
            template = read_located(located, files.report, own_way_out=way_out)
    chunks = with_forms(draft_chunks(raw, files), raw, files)
    inputs = draft_inputs(raw, given, files)
    groups = draft_groups(
        chunks,
        inputs=inputs,
        kinds={name: input_kind(value) for name, value in mapping(raw.get("inputs")).items() if _is_name(name)},
        sequence=raw.get("mode") == "sequence",
        report=files.report,
        texts=reading,
    )
    context = draft_context(raw, files)
    target = files.output(output, ("stitch", "output")) if isinstance(output, str) and output else None
    declared = mapping(raw.get("inputs")).items()
    patterns = {name: patterns_of(value) for name, value in declared if _is_name(name)}
    material = Material(chunks, groups, inputs, patterns, plan_file, to_be_planned)
    result_files = draft_layout(stitch, material, files)
    hands = draft_tooling(raw, files)
    review, wanted = draft_review(raw, files), draft_stitch(stitch, files)
    return _Texts(chunks, inputs, groups, context, review, template, wanted, target, result_files, hands)


def _check(raw: dict[str, Any], texts: _Texts, report: Report) -> None:
    declared = {name: value for name, value in mapping(raw.get("inputs")).items() if _is_name(name)}
    lists = [name for name, value in declared.items() if input_kind(value) in ("items", "rows")]
    names = Names(
        chunks={chunk.id: None for chunk in texts.chunks if chunk.id is not None},
        inputs=declared,
        lists=lists,
        request=bool(raw.get("request")),
        groups=texts.groups,
    )
    check_references(
        texts.chunks,
        names=names,
        sequence=raw.get("mode") == "sequence",
        stitched=list(texts_at(listed(mapping(raw.get("stitch")).get("chunks")), ("stitch", "chunks"))),
        stitch_template=texts.stitch_template,
        report=report,
    )
    check_expectations(texts.chunks, texts.groups, texts.review, report)
    check_joining(mapping(raw.get("stitch")), report)


def _is_name(key: object) -> bool:
    # A plan given as a dict may have keys of any kind, whatever its type says.
    return isinstance(key, str)


def _build(plan: Plan, source: _Source, texts: _Texts, files: PlanFiles) -> Workload:
    built = build_chunks(plan, texts.chunks, texts.groups, texts.hands)
    template = texts.stitch_template.template if texts.stitch_template is not None else None
    used = [each.key for each in template.references if each.namespace == "chunks"] if template else []
    return Workload(
        plan=plan,
        name=plan.name or _default_name(source.path),
        path=source.path,
        root=files.root.absolute(),
        source=source.text,
        context=texts.context,
        chunks=built.chunks,
        groups=built.groups,
        inputs={name: text for name, text in texts.inputs.items() if text is not None},
        stitch_chunks=plan.stitch.chunks or tuple(dict.fromkeys(used)) or leaves(built.chunks, built.groups),
        stitch_format=plan.stitch.format,
        stitch_template=template,
        stitch_schema=texts.stitch_schema,
        expect=plan.stitch.expect,
        review=plan.review,
        rubric=texts.review.rubric,
        transitions=plan.stitch.transitions,
        output=texts.output,
        result_files=texts.result_files,
        files=files.hashes,
    )


def _default_name(path: Path | None) -> str:
    return (re.sub(r"[\x00-\x1f\x7f/\\]", "_", path.stem)[:100] or "plan") if path else "plan"
