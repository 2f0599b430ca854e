"""`stitch.seams`: its short forms, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.engine.stitching.seams.work import RULES
from orchestrator.engine.stitching.stitch import seams_of
from orchestrator.errors import PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.schema import json_schema
from orchestrator.plan.seams import SeamsSpec
from tests.test_docs import read, rows

SAFE = ("repeated_heading", "labels", "closing")


def plan_with(**stitch: Any) -> dict[str, Any]:
    return {"name": "n", "chunks": [{"id": "a", "prompt": "x"}], "stitch": stitch}


def rules_of(folder: Path, **stitch: Any) -> tuple[str, ...]:
    return seams_of(load_plan(plan_with(**stitch), base_dir=folder))


@pytest.mark.parametrize(
    ("seams", "expected"),
    [
        ("safe", SAFE),
        ("none", ()),
        ({}, SAFE),
        ({"toc": True, "closing": False, "headings": "fit"}, ("repeated_heading", "headings", "labels", "toc")),
        ({"headings": "keep"}, SAFE),
    ],
)
def test_forms(tmp_path: Path, seams: Any, expected: tuple[str, ...]) -> None:
    """A word, or rules that are switched on and off beside the safe ones; the schema takes both."""
    assert rules_of(tmp_path, seams=seams) == expected
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(plan_with(seams=seams))) == []


def test_what_is_not_markdown_gets_what_suits_it(tmp_path: Path) -> None:
    """Nothing by default."""
    assert rules_of(tmp_path) == SAFE
    assert rules_of(tmp_path, format="text") == ()
    assert rules_of(tmp_path, format="text", seams={"newlines": True}) == ("newlines",)
    assert rules_of(tmp_path, format="json", seams="none") == ()


@pytest.mark.parametrize(
    ("stitch", "message"),
    [
        ({"seams": "sage"}, "`seams` must be a mapping or one of none, safe, not 'sage'"),
        ({"seams": {"tok": True}}, "unknown key `tok`"),
        ({"seams": {"headings": "fits"}}, "`headings` must be one of keep, fit, not 'fits'"),
        ({"seams": {"toc": "yes"}}, "`toc` must be true or false, not 'yes'"),
        ({"seams": "safe", "format": "jsonl"}, "`seams` is for markdown and text, not for `format: jsonl`"),
        ({"seams": {"toc": True}, "format": "text"}, "`toc` needs `format: markdown`"),
        ({"seams": "safe", "template": "t.md"}, "`seams` is for answers that are joined"),
    ],
)
def test_mistakes(tmp_path: Path, stitch: dict[str, Any], message: str) -> None:
    """Each is told before anything is paid."""
    (tmp_path / "t.md").write_text("{{ chunks.a }}")
    with pytest.raises(PlanError) as caught:
        load_plan(plan_with(**stitch), base_dir=tmp_path)
    assert message in str(caught.value)


def test_rules_fields_and_description_agree() -> None:
    """In name, in order, and in what is the case when nothing is said."""
    described = [row for row in rows(read("seams.md")) if row[0].strip("`") in SeamsSpec.model_fields]
    assert [row[0].strip("`") for row in described] == list(RULES) == list(SeamsSpec.model_fields)
    defaults = [str(field.default).lower() for field in SeamsSpec.model_fields.values()]
    assert [row[-1].strip("`") for row in described] == defaults


def test_transitions_where_nothing_stands_between_answers(tmp_path: Path) -> None:
    """They are for joined texts: a template, another join and JSON are told at their place."""
    for other in ("format: json", "template: t.jinja"):
        (tmp_path / "t.jinja").write_text("{{ chunks.a }}")
        path = tmp_path / "plan.yaml"
        path.write_text(f"chunks: [{{id: a, prompt: A.}}]\nstitch:\n  transitions: true\n  {other}\n")
        with pytest.raises(PlanError) as caught:
            load_plan(path)
        (problem,) = caught.value.problems
        assert (problem.line, problem.message.startswith("`transitions` is for")) == (3, True)
