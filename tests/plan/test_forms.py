"""The forms of answers: the short form, schemas and their mistakes, and what a prompt's answer has to look like."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.advice import notes
from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.fields import schema_of_fields
from orchestrator.plan.json_text import read_json
from orchestrator.plan.load import load_plan
from orchestrator.plan.schema_check import misfit, schema_problems
from orchestrator.plan.workload import Chunk, Workload

TABLE = "ticket,text\n" + "".join(f"T{at},x\n" for at in range(1, 6))


def load(folder: Path, chunk: dict[str, Any], **more: Any) -> Workload:
    """A plan of one chunk over a table of five rows."""
    (folder / "t.csv").write_text(TABLE)
    inputs = {"rows": {"rows": "t.csv", "key": "ticket"}}
    chunk = {"for_each": {"input": "rows"}, **chunk}
    return load_plan(
        {"inputs": inputs, "chunks": [{"id": "a", "prompt": "{{ item.text }}", **chunk}], **more}, base_dir=folder
    )


def first(workload: Workload) -> Chunk:
    return next(iter(workload.chunks.values()))


def text_object(**properties: Any) -> dict[str, Any]:
    required = {"required": list(properties)} if properties else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False}


SHORT: list[tuple[Any, dict[str, Any]]] = [
    ("string", {"type": "string"}),
    ("integer", {"type": "integer"}),
    (["low", "high"], {"type": "string", "enum": ["low", "high"]}),
    (["string"], {"type": "array", "items": {"type": "string"}}),
    ([["low", "high"]], {"type": "array", "items": {"type": "string", "enum": ["low", "high"]}}),
    ([{"name": "string"}], {"type": "array", "items": text_object(name={"type": "string"})}),
    ({"name": "string"}, text_object(name={"type": "string"})),
]


@pytest.mark.parametrize(("short", "schema"), SHORT, ids=lambda value: json.dumps(value))
def test_the_short_form_of_a_field(short: Any, schema: dict[str, Any]) -> None:
    """A type, a choice of several texts, a list of one thing, an object."""
    made, problems = schema_of_fields({"x": short})
    assert (made, problems) == (text_object(x=schema), [])
    jsonschema.Draft7Validator.check_schema(made)


def test_a_field_that_may_be_left_out() -> None:
    """A question mark after the name."""
    made, problems = schema_of_fields({"a": "string", "b?": "number"})
    assert problems == []
    assert made["required"] == ["a"]
    assert list(made["properties"]) == ["a", "b"]


TYPE = "the type of a field is one of string, number"
MISTAKES: dict[str, tuple[str, str, str]] = {
    "fields: {a: strin}": ("strin}", TYPE, "did you mean string?"),
    "fields: {a: int}": ("int}", TYPE, "did you mean integer?"),
    "fields: {a: string?}": ("string?", TYPE, "a `?` after the name, as in `note?: string`"),
    "fields: {a: [x, 1]}": ("1]", "a choice is among texts", "write '1'"),
    "fields: {a: [x, x]}": ("x]", "the choice `x` stands there twice", "keep one"),
    "fields: {a b: string}": ("a b", "'a b' is no name of a field", "letters, digits"),
    "fields: {a: string, a?: string}": ("a?", "`a` stands there twice", "keep one"),
    "fields: {a: {b: []}}": ("[]", TYPE, ""),
    "fields: {}": ("{}", "`fields`", ""),
    "fields: {a: string}, output_schema: {}": ("fields", "a chunk has `fields` or `output_schema`, not both", ""),
    "output_schema: {type: sting}": ("sting", "`type` is no type of JSON Schema", "did you mean string?"),
    "output_schema: {requird: [a]}": ("requird", "unknown keyword `requird`", "did you mean required?"),
    "output_schema: {properties: {a: 3}}": ("3}", "`a` is integer, not object or boolean", ""),
    "output_schema: {minLength: -1}": ("-1", "`minLength` does not fit", ""),
    "output_schema: {$ref: '#/$defs/a'}": ("'#", "`$ref: #/$defs/a` leads nowhere", "write `#/$defs/NAME`"),
    "output_schema: {$ref: 'http://127.0.0.1/x'}": ("'http", "`$ref: http://127.0.0.1/x` leads nowhere", ""),
    "output_schema: {$ref: '#'}": ("{$ref", "the schema refers to itself without end", ""),
    "output_schema: {pattern: '(a'}": ("'(a", "the pattern cannot be read", ""),
    "expect: {json_schema: {type: sting}}": ("sting", "`type` is no type of JSON Schema", "did you mean string?"),
    "output_schema: {file: none.json}": ("none.json", "there is no file 'none.json'", ""),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_at_its_place(text: str, tmp_path: Path) -> None:
    """With line, column and what to write instead."""
    (tmp_path / "a.yaml").write_text(f"chunks: [{{id: a, prompt: y, {text}}}]\n")
    with pytest.raises(PlanError) as caught:
        load_plan(tmp_path / "a.yaml")
    problem = caught.value.problems[0]
    at, message, hint = MISTAKES[text]
    assert problem.message.startswith(message)
    assert problem.source_line[problem.column - 1 :].startswith(at)
    assert hint in problem.hint


def test_a_mistake_in_a_schema_file_is_told_there(tmp_path: Path) -> None:
    """With its own line and column, whether it is no JSON or no schema."""
    plan = {"chunks": [{"id": "a", "prompt": "x", "output_schema": {"file": "s.json"}}]}
    file = tmp_path / "s.json"
    for text, place in [
        ('{\n\t"type": "array",\n\t"items": {"type": "objct"}\n}\n', (3, 20, "`type` is no type of JSON Schema")),
        ('{\n  "type": "array",\n}\n', (3, 1, "this is no JSON")),
        ("[1]\n", (1, 1, "a schema is a JSON object")),
    ]:
        file.write_text(text)
        with pytest.raises(PlanError) as caught:
            load_plan(plan, base_dir=tmp_path)
        (problem,) = caught.value.problems
        assert problem.file == str(file)
        assert (problem.line, problem.column, problem.message) == place
    file.write_text('{"type": "object"}')
    assert first(load_plan(plan, base_dir=tmp_path)).output_schema == {"type": "object"}


@pytest.mark.parametrize(
    ("stitch", "message"),
    [
        ({"combine": "merge"}, "`combine` goes with `format: json`"),
        ({"format": "json", "source_field": "file"}, "`source_field` goes with `format: jsonl`"),
        ({"format": "json", "conflicts": "first"}, "`conflicts` goes with `combine: merge`"),
        ({"output_schema": {"type": "object"}}, "a text has no schema"),
        ({"format": "json", "output_schema": {"type": "objet"}}, "`type` is no type of JSON Schema"),
        ({"format": "json", "combine": "join"}, "`combine` must be one of by_id, concat, merge, not 'join'"),
    ],
)
def test_what_does_not_go_together_in_stitch(stitch: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A rule for JSON says nothing of a text."""
    with pytest.raises(PlanError, match=message):
        load(tmp_path, {}, stitch=stitch)


def test_one_record_for_each_row_of_a_batch(tmp_path: Path) -> None:
    """`fields` is of one record; the CLI is asked for an object with as many as there are rows, the last batch too."""
    fields = {"ticket": "string", "ok": "boolean"}
    work = load(tmp_path, {"for_each": {"input": "rows", "batch": 2}, "fields": fields})
    lists = [dict(chunk.output_schema or {})["properties"]["items"] for chunk in work.chunks.values()]
    assert [(each["minItems"], each["maxItems"]) for each in lists] == [(2, 2), (2, 2), (1, 1)]
    forms = [chunk.form for chunk in work.chunks.values()]
    assert [form.rows for form in forms if form is not None] == [("T1", "T2"), ("T3", "T4"), ("T5",)]
    assert {form.key for form in forms if form is not None} == {"ticket"}


def test_a_row_alone_has_one_record(tmp_path: Path) -> None:
    """An object, with the same schema for every row."""
    work = load(tmp_path, {"for_each": {"input": "rows"}, "fields": {"ticket": "string"}})
    assert len({json.dumps(chunk.output_schema) for chunk in work.chunks.values()}) == 1
    assert all(chunk.output_schema and chunk.output_schema["type"] == "object" for chunk in work.chunks.values())


def test_a_schema_that_is_not_of_an_object_is_asked_for_inside_one(tmp_path: Path) -> None:
    """Its definitions go along, so that references still lead to them; `$schema` stays at home."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": {"$ref": "#/$defs/a"},
        "$defs": {"a": {"type": "string"}},
    }
    sent = dict(first(load(tmp_path, {"output_schema": schema})).output_schema or {})
    assert sent["type"] == "object"
    assert sent["$defs"] == {"a": {"type": "string"}}
    assert "$schema" not in sent["properties"]["items"]
    assert misfit({"items": ["x"]}, sent) == ""
    with pytest.raises(PlanError, match="leads to"):
        load(
            tmp_path, {"output_schema": {"type": "array", "items": {"$ref": "#/properties/a"}, "properties": {"a": {}}}}
        )


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        (
            {"a": [{"b": "secret"}]},
            {"properties": {"a": {"items": {"properties": {"b": {"type": "integer"}}}}}},
            "a[0].b",
        ),
        ({"a": "secret"}, {"properties": {"a": {"enum": ["low", "high"]}}}, "`a` is none of low, high"),
        ({}, {"required": ["a", "b"]}, "it lacks `a`, `b`"),
        ({"secret": 1}, {"additionalProperties": False}, "it has a property that the schema does not name"),
        ("secret", {"maxLength": 3}, "it does not fit `maxLength: 3`"),
        ([1, 2], {"maxItems": 1}, "it has 2 elements, not at most 1"),
        ({"a": "secret"}, {"properties": {"a": {"pattern": "^[0-9]+$"}}}, "`a` does not fit `pattern: "),
        ({"n_1": "secret"}, {"patternProperties": {"^n_": {"type": "integer"}}}, "`n_1` is string, not integer"),
        (
            {"n_1": 1, "b": 2, "secret": 3},
            {"properties": {"b": {}}, "patternProperties": {"^n_": {}}, "additionalProperties": False},
            "it has a property that the schema does not name",
        ),
        ({"b": "secret"}, {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}, "`b` is string"),
        (None, {"type": ["string", "integer"]}, "it is null, not string or integer"),
    ],
)
def test_a_misfit_says_where_and_why_and_quotes_nothing(value: Any, schema: dict[str, Any], told: str) -> None:
    """The reason is made of the rule alone, since it stands in events."""
    assert schema_problems(schema) == []
    reason = misfit(value, schema)
    assert told in reason
    assert "secret" not in reason


@pytest.mark.alone
@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"pattern": "^(a|aa)+$"}},
        {"items": {"patternProperties": {"^(a|aa)+$": {}}}},
        {"items": {"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}},
    ],
)
def test_a_pattern_that_tries_for_ever_is_given_up_once(schema: dict[str, Any]) -> None:
    """A value that such a pattern cannot be done with does not fit, and the values behind it are not tried."""
    endless = "a" * 5_000 + "!"
    value = [endless] * 50 if "pattern" in schema["items"] else [{endless: 1}] * 50
    assert schema_problems(schema) == []
    with pytest.MonkeyPatch.context() as limit:
        limit.setattr("orchestrator.plan.split.patterns._SECONDS", 0.2)
        began_s = time.monotonic()
        assert "takes more than" in misfit(value, schema)
    assert time.monotonic() - began_s < 2.0


def test_patterns_that_fit() -> None:
    """A pattern is looked for anywhere in a text, and its `$` is the end of the text."""
    schema = {"properties": {"a": {"pattern": "b$"}}, "patternProperties": {"^n": {}}, "additionalProperties": False}
    assert misfit({"a": "ab", "n1": 0}, schema) == ""
    assert misfit({"a": "b\nc"}, schema) != ""
    assert misfit({"a": 5}, schema) == ""


def test_a_circle_of_references_is_a_misfit_and_no_crash() -> None:
    """One that shows only where a value goes there."""
    schema = {"properties": {"a": {"$ref": "#/properties/a"}}}
    assert schema_problems(schema) == []
    assert misfit({"b": 1}, schema) == ""
    assert misfit({"a": 1}, schema) == "the schema refers to itself without end"


def test_a_number_beyond_all_sense_is_a_misfit_and_no_crash() -> None:
    """Where its size has to be judged."""
    assert "too large" in misfit([read_json("1e400")], {"items": {"multipleOf": 0.5}})


def test_records_that_do_not_say_their_row_are_noted(tmp_path: Path) -> None:
    """`check` says so of a batch, unless a field names the row; a row alone cannot be mistaken."""
    batch = {"input": "rows", "batch": 2}
    told: dict[str, bool] = {}
    for name, chunk in {
        "nameless": {"for_each": batch, "fields": {"ok": "boolean"}},
        "named": {"for_each": batch, "fields": {"ticket": "string"}},
        "alone": {"fields": {"ok": "boolean"}},
    }.items():
        work = load(tmp_path, chunk)
        said = notes(work, estimate_workload(work, max_concurrency=1))
        told[name] = any("no record says for which" in note for note in said)
    assert told == {"nameless": True, "named": False, "alone": False}
