"""Stitching: what goes in comes out, and what is missing is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.groups import known_from
from orchestrator.engine.stitching.stitch import Stitched, join_prefix, stitch
from orchestrator.plan.load import load_plan

GAPS = {"b": "refusal"}


def workload_of(folder: Path, **stitch_spec: Any) -> Any:
    """Three chunks a, b, c without dependencies."""
    chunks = [{"id": name, "prompt": name} for name in "abc"]
    return load_plan({"name": "n", "chunks": chunks, "stitch": stitch_spec}, base_dir=folder)


def stitched(workload: Any, answers: dict[str, str], gaps: dict[str, str]) -> Stitched:
    """The result of these answers."""
    return stitch(workload, known_from(workload, answers=answers, gaps=gaps))


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_text_is_the_answers_with_one_blank_line_between(texts: list[str]) -> None:
    """Byte for byte as they came: nothing trimmed, nothing added around them."""
    ids = [f"c{index}" for index in range(len(texts))]
    assert join_prefix(ids, answers=dict(zip(ids, texts, strict=True)), gaps={}) == "\n\n".join(texts)


def test_a_gap_is_seen_at_its_place(tmp_path: Path) -> None:
    """With the chunk's id and the reason."""
    done = stitched(workload_of(tmp_path), answers={"a": "A\r\n", "c": " C"}, gaps=GAPS)
    assert done.text == "A\r\n\n\n[missing: b, refusal]\n\n C"
    assert done.gaps == ("b",)


def test_json_is_one_object_by_chunk(tmp_path: Path) -> None:
    """Answers that are JSON are values, fenced or not; others are strings; a gap is an object that says so."""
    work = workload_of(tmp_path, format="json")
    done = stitched(work, answers={"a": '```json\n{"x": [1]}\n```', "c": "plain ü"}, gaps=GAPS)
    assert done.data == {"a": {"x": [1]}, "b": {"missing": "b", "reason": "refusal"}, "c": "plain ü"}
    assert json.loads(done.text) == done.data


def test_jsonl_is_a_value_a_line(tmp_path: Path) -> None:
    """The elements of an array have a line each."""
    done = stitched(workload_of(tmp_path, format="jsonl"), answers={"a": "[1, 2]", "c": '{"k": "v\\n"}'}, gaps=GAPS)
    rows = [json.loads(line) for line in done.text.splitlines()]
    assert rows == done.data == [1, 2, {"missing": "b", "reason": "refusal"}, {"k": "v\n"}]


def test_a_template_gives_the_whole_result(tmp_path: Path) -> None:
    """Answers appear without marks, since a result is for people; a gap is seen there too."""
    (tmp_path / "t.jinja").write_text("# {{ name }}\n{{ chunks.a }} / {{ chunks.b }}\n")
    done = stitched(workload_of(tmp_path, template="t.jinja"), answers={"a": "A {{ x }}", "c": "C"}, gaps=GAPS)
    assert done.text == "# n\nA {{ x }} / [missing: b, refusal]\n"
    assert "b" in done.gaps


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "{'a': 1}", ""])
def test_an_answer_that_is_no_json_stays_text(tmp_path: Path, text: str) -> None:
    """Whatever it holds, it neither fails nor changes."""
    done = stitched(workload_of(tmp_path, format="json"), answers={"a": text, "b": "1", "c": "2"}, gaps={})
    assert done.data["a"] == text
    json.loads(done.text, parse_constant=lambda _: pytest.fail("not JSON"))
