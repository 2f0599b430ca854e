"""JSON in and out: the numbers stay as they were written."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.json_text import MAX_DEPTH, read_json, write_json

NO_JSON = r"no JSON|Expecting|nested"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.parametrize(
    "number", ["1.10", "12345678901234567890123", "0.1000000000000000055", "1e400", "-0.0", "2E+5", "-0", "9" * 5000]
)
def test_a_number_is_written_as_it_was_read(number: str) -> None:
    """No digit is lost, not even where a float has no room for it."""
    text = f'{{"n": {number}}}'
    assert write_json(read_json(text)) == text
    assert write_json(copy.deepcopy(read_json(text))) == text


@given(VALUES)
def test_what_is_written_is_what_python_would_write(value: Any) -> None:
    """On one line, compact, or on many lines."""
    assert write_json(value) == json.dumps(value, ensure_ascii=False)
    assert write_json(value, compact=True) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert write_json(value, indent=2) == json.dumps(value, ensure_ascii=False, indent=2)
    assert read_json(write_json(value)) == value


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "{'a': 1}", "", "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "[" * 100_000]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    """NaN is none, and neither is what is nested beyond all sense."""
    with pytest.raises(ValueError, match=NO_JSON):
        read_json(text)


def test_the_deepest_value_can_be_written() -> None:
    """What can be read can be written."""
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert write_json(read_json(text)) == text


def test_a_fence_is_taken_off_where_it_may_stand() -> None:
    """And only there."""
    assert read_json('```json\n{"a": 1}\n```\n', fenced=True) == {"a": 1}
    with pytest.raises(ValueError, match=NO_JSON):
        read_json('```json\n{"a": 1}\n```\n')
