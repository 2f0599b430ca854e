"""The forms that a plan asks its answers and its result to have: `fields` and `output_schema`, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from orchestrator.errors import PlanError
from orchestrator.plan.answer_form import AnswerForm
from orchestrator.plan.draft import ChunkDraft, PlanFiles, listed, mapping
from orchestrator.plan.fields import SchemaProblem, schema_of_fields
from orchestrator.plan.paths import TextFile
from orchestrator.plan.report import Report, dotted
from orchestrator.plan.workload import ForEach, Workload
from orchestrator.plan.yaml_source import YamlDocument, YamlPath, read_yaml


def with_forms(chunks: Sequence[ChunkDraft], raw: Mapping[str, Any], files: PlanFiles) -> list[ChunkDraft]:
    """The chunks of a plan with the forms of their answers; all that is wrong with these is reported."""
    values = map(mapping, listed(raw.get("chunks")))
    return [replace(draft, form=_form(value, draft.path, files)) for draft, value in zip(chunks, values, strict=True)]


def draft_stitch(stitch: Mapping[str, Any], files: PlanFiles) -> Mapping[str, Any] | None:
    """The schema of the result, if there is one that can be used; what does not go together is reported."""
    report, result_format = files.report, stitch.get("format", "markdown")
    if "combine" in stitch and result_format != "json":
        report.at(("stitch", "combine"), "`combine` goes with `format: json`", "leave it out", key=True)
    if "source_field" in stitch and result_format != "jsonl":
        report.at(("stitch", "source_field"), "`source_field` goes with `format: jsonl`", "leave it out", key=True)
    if "conflicts" in stitch and stitch.get("combine") != "merge":
        report.at(("stitch", "conflicts"), "`conflicts` goes with `combine: merge`", "leave it out", key=True)
    if "output_schema" in stitch and result_format not in ("json", "jsonl"):
        hint = "say `format: json`, or leave it out"
        report.at(("stitch", "output_schema"), "a text has no schema", hint, key=True)
    return _schema(stitch.get("output_schema"), ("stitch", "output_schema"), files)


def check_sources(workload: Workload, report: Report) -> None:
    """Whether each line of the result can say where it comes from, where the plan wants it to."""
    if workload.plan.stitch.source_field is None:
        return
    for name in workload.stitch_chunks:
        group = workload.groups.get(name)
        first = workload.chunks.get((group.members or ("",))[0]) if isinstance(group, ForEach) else None
        batched = first is not None and first.item is not None and bool(first.item.rows)
        if first is not None and batched and not (first.form is not None and first.form.key):
            message = f"`{name}` answers for several rows at once: no line can say which it is of"
            report.at(("stitch", "source_field"), message, "name the input's `key` column in its `fields`")


def _form(chunk: Mapping[str, Any], path: YamlPath, files: PlanFiles) -> AnswerForm | None:
    fields, given = chunk.get("fields"), chunk.get("output_schema")
    if fields is not None and given is not None:
        files.report.at((*path, "fields"), "a chunk has `fields` or `output_schema`, not both", "keep one", key=True)
    if isinstance(fields, dict):
        schema, problems = schema_of_fields(cast("dict[Any, Any]", fields))
        _report_all(problems, (*path, "fields"), files)
        return AnswerForm(schema=schema, each_row=True)
    schema = _schema(given, (*path, "output_schema"), files)
    if schema is None:
        return None
    form = AnswerForm(schema=schema)
    if form.wrapper:
        _report_all(_outside_definitions(schema), (*path, "output_schema"), files)
    return form


def _outside_definitions(schema: Mapping[str, Any]) -> list[SchemaProblem]:
    """References that would lead elsewhere once the schema stands inside that of an object."""
    from orchestrator.plan.schema_check import local_references

    message = "in a schema that is not `type: object`, a `$ref` leads to `#/$defs/…`"
    return [
        SchemaProblem(path, message, "move what it refers to into `$defs`")
        for path, reference in local_references(schema)
        if not reference.startswith(("#/$defs/", "#/definitions/"))
    ]


def _schema(value: object, path: YamlPath, files: PlanFiles) -> Mapping[str, Any] | None:
    """A schema as the plan has it, or from the file that it names; None when there is none, or none of use."""
    from orchestrator.plan.schema_check import schema_problems

    if not isinstance(value, dict):
        return None
    schema = cast("dict[str, Any]", value)
    named = schema.get("file")
    if list(schema) == ["file"] and isinstance(named, str) and named:
        found = files.text(named, (*path, "file"))
        return _from_file(found, files.shown(named), files) if found is not None else None
    problems = schema_problems(schema)
    _report_all(problems, path, files)
    return None if problems else schema


def _from_file(found: TextFile, shown: str, files: PlanFiles) -> Mapping[str, Any] | None:
    from orchestrator.plan.schema_check import schema_problems

    try:
        value: Any = json.loads(found.text)
    except (json.JSONDecodeError, RecursionError) as error:
        line, column = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else (1, 1)
        files.report.in_file(
            shown, found.text, line=line, column=column, message="this is no JSON", hint="a schema is a JSON object"
        )
        return None
    if not isinstance(value, dict):
        files.report.in_file(shown, found.text, line=1, column=1, message="a schema is a JSON object", hint="")
        return None
    schema = cast("dict[str, Any]", value)
    problems = schema_problems(schema)
    document = _positions(found) if problems else None
    for problem in problems:
        position = document.positions.get(problem.path) if document is not None else None
        place = f"{dotted(problem.path)}: " if position is None and problem.path else ""
        line, column = (position.line, position.column) if position is not None else (1, 1)
        if position is not None and problem.key:
            line, column = position.key_line, position.key_column
        message = place + problem.message
        files.report.in_file(shown, found.text, line=line, column=column, message=message, hint=problem.hint)
    return None if problems else schema


def _positions(found: TextFile) -> YamlDocument | None:
    """Where each value of a JSON text stands; None for the few JSON texts that are no YAML."""
    try:
        return read_yaml(found.text.encode("utf-8"), file="")
    except PlanError:
        return None


def _report_all(problems: Sequence[SchemaProblem], path: YamlPath, files: PlanFiles) -> None:
    for each in problems:
        files.report.at((*path, *each.path), each.message, each.hint, key=each.key)
