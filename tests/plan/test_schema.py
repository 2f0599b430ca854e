"""The JSON Schema of a plan: it takes what `load_plan` takes, short forms included, and marks what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.plan.model import Plan
from orchestrator.plan.schema import json_schema
from orchestrator.plan.yaml_source import read_yaml

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CHUNKS = [{"id": "a", "prompt": "x"}]


def errors(plan: Any) -> list[str]:
    return [each.message for each in jsonschema.Draft202012Validator(json_schema()).iter_errors(plan)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_right_by_the_schema(path: Path) -> None:
    """An editor finds nothing to mark in the examples."""
    assert errors(read_yaml(path.read_bytes(), file=path.name).value) == []


SHORT: list[dict[str, Any]] = [
    {"context": "text"},
    {"context": {"file": "x"}},
    {"context": ["text", {"file": "x"}]},
    {"inputs": {"a": "x.md", "b": ["x"], "c": {"text": "x"}, "d": "required", "e": {"required": True}}},
    {"limits": {"max_concurrency": 4}},
    {"chunks": [{"id": "a", "prompt": "x", "fields": {"a": "string", "b?": ["x", "y"], "c": [{"d": "number"}]}}]},
    {"chunks": [{"id": "a", "prompt": "x", "output_schema": {"file": "s.json"}}]},
    {"stitch": {"format": "json", "combine": "merge", "conflicts": "keep_both", "output_schema": {"type": "object"}}},
]


@pytest.mark.parametrize("more", SHORT, ids=repr)
def test_short_forms_are_right(more: dict[str, Any]) -> None:
    """Schema and model agree that a short form is fine."""
    assert errors({"chunks": CHUNKS, **more}) == []
    assert Plan.model_validate({"chunks": CHUNKS, **more})


WRONG: list[dict[str, Any]] = [{"chunk": []}, {"mode": "both"}, {"context": 3}, {"inputs": {"a": 3}}, {"version": 2}]
WRONG += [{"chunks": [{**CHUNKS[0], "fields": []}]}, {"chunks": [{**CHUNKS[0], "output_schema": "s.json"}]}]
WRONG += [{"stitch": {"combine": "join"}}]


@pytest.mark.parametrize("more", WRONG, ids=repr)
def test_mistakes_are_marked(more: dict[str, Any]) -> None:
    """What the model refuses is marked in an editor too."""
    assert errors({"chunks": CHUNKS, **more})
    with pytest.raises(ValueError, match="validation error"):
        Plan.model_validate({"chunks": CHUNKS, **more})


def test_every_field_has_a_description() -> None:
    """The description is what an editor shows beside a key."""
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    missing = [name for part in parts for name, each in part["properties"].items() if not each.get("description")]
    assert missing == []


def test_a_plan_needs_chunks_or_a_request() -> None:
    """Either will do for an editor, since the planner makes chunks of a request; neither will not."""
    assert errors({"request": "A report about tea."}) == []
    assert errors({"chunks": [{"id": "a", "prompt": "x"}]}) == []
    assert len(errors({"name": "nothing"})) == 1
