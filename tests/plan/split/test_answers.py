"""The elements of an answer: an array's, else sections, else list items, else the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.split import pieces_of_answer

ANSWERS: list[tuple[str, list[str]]] = [
    ('["one", "two\\nlines", {"a": [1, "ä"]}, 3, null]', ["one", "two\nlines", '{"a":[1,"ä"]}', "3", "null"]),
    ('Here it is:\n\n```json\n["a", "b"]\n```\n\nDone.', ["a", "b"]),
    ('~~~JSON\r\n["a"]\r\n~~~', ["a"]),
    ("[]", []),
    ("[1.10, {\"n\": [1e400, -0]}]", ["1.10", '{"n":[1e400,-0]}']),
    ('["", " ", "x"]', ["x"]),
    ('{"a": 1}', ['{"a": 1}']),
    ("[1, 2", ["[1, 2"]),
    ("# T\n\nHello.\n\n## A\n\na\n\n### Deep\n\n## B\n\nb\n", ["## A\n\na\n\n### Deep", "## B\n\nb"]),
    ("A\n===\n\na\n\nB\n===\nb", ["A\n===\n\na", "B\n===\nb"]),
    ("```\n# no\n# no\n```", ["```\n# no\n# no\n```"]),
    ("Sections:\n\n1. One\n   more\n   - deep\n\n   still\n2) Two\nlazy\n\nThat is all.", [
        "One\nmore\n- deep\n\nstill", "Two\nlazy",
    ]),
    ("- [ ] first\n- [x] second\n", ["first", "second"]),
    ("* a\n* \n* b\n", ["a", "b"]),
    ("- a\n  ```\n  - no item\n  ```\n- b", ["a\n```\n- no item\n```", "b"]),
    ("- only one", ["- only one"]),
    ("  Plain prose.\n\nTwo paragraphs.  ", ["Plain prose.\n\nTwo paragraphs."]),
    ("", []),
    (" \n\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "elements"), ANSWERS)
def test_elements(answer: str, elements: list[str]) -> None:
    """The first rule that fits decides; elements have no blanks around them, and none is empty."""
    assert [piece.text for piece in pieces_of_answer(answer)] == elements


def test_sections_know_what_stands_above() -> None:
    """The headings above a section are its path."""
    pieces = pieces_of_answer("# Guide\n\n## A\n\na\n\n## B\n\nb\n\n# Annex\n\n## C\n\nc\n")
    assert [piece.heading_path for piece in pieces] == [(), ()]
    pieces = pieces_of_answer("# Guide\n\nHello.\n\n## A\n\na\n\n## B\n\nb\n")
    assert [piece.heading_path for piece in pieces] == [("Guide",), ("Guide",)]


@given(st.text(max_size=200) | st.text('#-* \n`[]"1.a', max_size=60))
def test_any_answer_has_elements_or_is_blank(answer: str) -> None:
    """No answer is an error, the same answer has the same elements, and no element is blank."""
    pieces = pieces_of_answer(answer)
    assert pieces == pieces_of_answer(answer)
    assert all(piece.text.strip() for piece in pieces)


def test_deep_nesting_is_prose() -> None:
    """An array nested beyond reading is taken as it stands."""
    assert len(pieces_of_answer("[" * 100_000)) == 1
