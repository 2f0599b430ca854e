"""JSON answers put together: in the order of the plan, with every conflict told, and no number changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.stitching.stitch_json import Combining, JsonResult, misfits, stitch_lines, stitch_value
from orchestrator.plan.stitching import Combine, Conflicts


def put(*texts: str | None, combine: Combine, conflicts: Conflicts = "error") -> JsonResult:
    """The answers of a, b, c, … as one value; None is an answer that is missing."""
    ids = [chr(ord("a") + at) for at in range(len(texts))]
    answers = {name: text for name, text in zip(ids, texts, strict=True) if text is not None}
    gaps = {name: "refusal" for name in ids if name not in answers}
    rule = Combining(combine=combine, conflicts=conflicts)
    return stitch_value(ids, ids, answers=answers, gaps=gaps, members=lambda _: None, rule=rule)


def test_lists_end_to_end() -> None:
    """`concat` is one list: the elements of answers that are lists, other answers as they are, gaps in their place."""
    made = put("[1.10, 2]", None, '{"k": 1}', "text", combine="concat")
    assert made.data == [1.1, 2, {"missing": "b", "reason": "refusal"}, {"k": 1}, "text"]
    assert "1.10" in made.text


def test_objects_key_by_key() -> None:
    """`merge` goes down into objects, and puts lists end to end; what is equal is no conflict."""
    made = put('{"a": {"x": 1}, "l": [1]}', '{"a": {"y": 2, "x": 1.0}, "l": [1]}', '{"b": true}', combine="merge")
    assert made.data == {"a": {"x": 1, "y": 2}, "l": [1, 1], "b": True}
    assert (made.problems, made.notes) == ((), ())


RULES: list[tuple[Conflicts, Any]] = [
    ("first", {"n": 1, "o": {"p": "x"}}),
    ("last", {"n": 3, "o": {"p": "x"}}),
    ("keep_both", {"n": [1, True, 3], "o": {"p": "x"}}),
    ("error", {"n": 1, "o": {"p": "x"}}),
]


@pytest.mark.parametrize(("rule", "value"), RULES)
def test_a_conflict_is_settled_by_the_rule_and_told(rule: Conflicts, value: Any) -> None:
    """The number of conflicts and where they are; with `error` the result is not complete."""
    made = put('{"n": 1, "o": {"p": "x"}}', '{"n": true}', '{"n": 3}', '{"n": 1}', combine="merge", conflicts=rule)
    if rule == "last":
        value = {**value, "n": 1}
    assert made.data == value
    told = made.problems if rule == "error" else made.notes
    assert len(told) == 1
    assert "`n` of b" in told[0]
    assert bool(made.problems) == (rule == "error")


def test_answers_of_two_kinds_are_a_conflict() -> None:
    """A text among objects is never dropped in silence."""
    made = put('{"a": 1}', "I would rather not.", combine="merge")
    assert made.data == {"a": 1}
    assert "all of b" in made.problems[0]


def test_what_is_missing_is_seen_in_a_merge() -> None:
    """Under `missing` in an object, at the end of a list."""
    gap = {"missing": "b", "reason": "refusal"}
    assert put('{"a": 1}', None, combine="merge").data == {"a": 1, "missing": [gap]}
    assert put("[1]", None, "[2]", combine="merge").data == [1, 2, gap]
    assert put(None, combine="merge").data == [{"missing": "a", "reason": "refusal"}]


def test_many_conflicts_are_counted() -> None:
    """The first few are named."""
    made = put(*(json.dumps({"k": at}) for at in range(10)), combine="merge", conflicts="first")
    assert made.notes == ("9 values differ between answers (`k` of b; `k` of c; `k` of d; 6 more): the first was kept",)


OBJECTS = st.dictionaries(st.sampled_from("xyz"), st.integers() | st.lists(st.integers()), max_size=3)


@given(st.lists(OBJECTS, min_size=1, max_size=5))
def test_a_merge_has_every_key(objects: list[dict[str, Any]]) -> None:
    """Whatever the rule, no key is lost, and lists keep all their elements in order."""
    for rule in ("first", "last", "keep_both", "error"):
        made = put(*map(json.dumps, objects), combine="merge", conflicts=rule)
        assert set(made.data) == {key for each in objects for key in each}
        for key in made.data:
            if all(isinstance(each.get(key, []), list) for each in objects):
                assert made.data[key] == [number for each in objects for number in each.get(key, [])]


def test_lines_keep_their_numbers() -> None:
    """A line is what the answer says, to the digit."""
    made = stitch_lines(["a"], answers={"a": '[{"n": 1.10}, {"n": 12345678901234567890}]'}, gaps={})
    assert made.text == '{"n": 1.10}\n{"n": 12345678901234567890}\n'


def test_a_result_that_does_not_fit() -> None:
    """As a whole, or line by line with the first few named."""
    schema = {"type": "object", "required": ["a"]}
    assert misfits({"a": 1}, schema, lines=False) == ()
    assert misfits({}, schema, lines=False) == ("the result does not fit `output_schema`: it lacks `a`",)
    assert misfits([{"a": 1}], schema, lines=True) == ()
    assert misfits([{"a": 1}, {}, 3], schema, lines=True) == (
        "2 of 3 lines do not fit `output_schema`: line 2: it lacks `a`; line 3: it is integer, not object",
    )
