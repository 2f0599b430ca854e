"""Reading YAML: a strict subset, each value with its place, and every refusal in bounded time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError, Problem
from orchestrator.plan import yaml_source
from orchestrator.plan.load import load_plan
from orchestrator.plan.yaml_source import read_yaml


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both loaders of PyYAML: with the C library, and the one that stands in where it is missing."""
    kind: str = request.param
    monkeypatch.setattr(yaml_source, "Loader", yaml.CLoader if kind == "libyaml" else yaml.Loader)
    return kind


def refusal(data: bytes) -> Problem:
    """The first problem of a text that is refused."""
    with pytest.raises(PlanError) as caught:
        read_yaml(data, file="p.yaml")
    return caught.value.problems[0]


@pytest.mark.usefixtures("loader")
def test_scalars_are_those_of_yaml_1_2() -> None:
    """`no` and `on` are texts, `010` is ten, sexagesimals and dates are texts."""
    text = b"[no, on, yes, 010, 0o10, 0x1F, .5, 1e3, ~, true, False, -.inf, 1_000, 12:30, 2020-01-01, 'true', \"3\"]"
    expected = ["no", "on", "yes", 10, 8, 31, 0.5, 1000.0, None, True, False, float("-inf")]
    expected += ["1_000", "12:30", "2020-01-01", "true", "3"]
    assert read_yaml(text, file="p.yaml").value == expected


@pytest.mark.usefixtures("loader")
def test_positions_of_keys_values_and_block_texts() -> None:
    """Lines and columns count from 1; a block says where its text begins and how far it is indented."""
    text = b"# head\na:\n  - x: |\n      one\n\n       two\n    y: |2\n        deep\n      shallow\nb: >-\n  fold\n"
    document = read_yaml(text, file="p.yaml")
    assert document.value == {"a": [{"x": "one\n\n two\n", "y": "  deep\nshallow\n"}], "b": "fold"}
    x, y = document.positions["a", 0, "x"], document.positions["a", 0, "y"]
    assert (x.key_line, x.key_column, x.line, x.column, x.style) == (3, 5, 3, 8, "|")
    assert (x.text_line, x.indent) == (4, 6)
    assert (y.text_line, y.indent) == (8, 6)
    assert document.positions["a", 0][:4] == (3, 5, 3, 5)
    assert document.positions["b",].style == ">"


@pytest.mark.parametrize("text", [b"", b"\n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_an_empty_text_is_none(text: bytes) -> None:
    """Nothing at all is no error here; the plan's form decides."""
    assert read_yaml(text, file="p.yaml").value is None


def test_byte_order_mark_is_dropped() -> None:
    """A file saved with a byte order mark reads as one without."""
    assert read_yaml(b"\xef\xbb\xbfa: 1", file="p.yaml").value == {"a": 1}


REFUSED = {
    "duplicate key": (b"a: 1\nb: 2\na: 3\n", 3, 1, "the key `a` stands here twice, first in line 1"),
    "anchor": (b"a: &x 1\n", 1, 4, "an anchor, `&x`"),
    "alias": (b"b: 1\na: *x\n", 2, 4, "an alias, `*x`"),
    "tag": (b"a: !!python/object x\n", 1, 4, "a tag, `!!python/object`"),
    "tag of one's own": (b"a: !include x\n", 1, 4, "a tag, `!include`"),
    "second document": (b"a: 1\n---\nb: 2\n", 2, 1, "a second document"),
    "number as key": (b"a: 1\n5: x\n", 2, 1, "a key must be a text, not `5`"),
    "list as key": (b"[a]: x\n", 1, 1, "a key must be a text, not a list or mapping"),
    "latin-1": ("a: 1\nb: café".encode("latin-1"), 2, 7, "not UTF-8: the byte 0xe9"),
    "utf-16": ("a: 1".encode("utf-16"), 1, 1, "not UTF-8: the byte 0xff"),
    "cut utf-8": (b"a: \xe2\x82", 1, 4, "not UTF-8: the byte 0xe2"),
    "NUL": (b"a: b\0c", 1, 5, "a NUL character"),
    "escape": (b"a: \x1b[0m", 1, 4, "the control character U+001B"),
    "unclosed": (b"a: [1, 2\n", 2, 1, "not YAML: "),
    "tab": (b"a:\n\t- b\n", 2, 1, "not YAML: "),
    "colon": (b"a: b: c\n", 1, 5, "not YAML: mapping values are not allowed"),
    "levels of lists": (b"[" * 10_000, 1, 33, "more than 32 levels inside each other"),
    "levels of mappings": (b"{a: " * 10_000, 1, 129, "more than 32 levels inside each other"),
    "levels of blocks": (b"- " * 10_000, 1, 65, "more than 32 levels inside each other"),
}


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_at_its_place_with_a_remedy(name: str) -> None:
    """What a plan may not hold is named with line, column, the line itself and what to do instead."""
    data, line, column, message = REFUSED[name]
    problem = refusal(data)
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith(message)
    assert problem.hint


def test_aliases_that_would_grow_are_never_expanded() -> None:
    """Nine lists of nine aliases each would make a billion values; the first anchor is refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert refusal("\n".join(lines).encode()).message == "an anchor, `&a0`"


def test_every_duplicate_is_told() -> None:
    """Duplicate keys do not end the reading: all of them are reported at once."""
    with pytest.raises(PlanError) as caught:
        read_yaml(b"a: 1\na: 2\nb: {c: 1, c: 2}\n", file="p.yaml")
    assert [(each.line, each.column) for each in caught.value.problems] == [(2, 1), (3, 11)]


@pytest.mark.alone
def test_large_and_deep_files_are_refused_quickly(tmp_path: Path) -> None:
    """50 MB are refused before they are read, 10,000 levels and a million values after a bounded part."""
    huge, deep, many = tmp_path / "huge.yaml", tmp_path / "deep.yaml", tmp_path / "many.yaml"
    with huge.open("wb") as file:
        file.truncate(50_000_000)
    deep.write_bytes(b"chunks: " + b"[" * 10_000)
    many.write_bytes(b"- a\n" * 999_000)
    for path, limit_s, message in ((huge, 0.5, "4 MB"), (deep, 0.5, "32 levels"), (many, 10, "too many values")):
        start = time.perf_counter()
        with pytest.raises(PlanError, match=message):
            load_plan(path)
        assert time.perf_counter() - start < limit_s


@pytest.mark.alone
def test_five_thousand_chunks_read_quickly() -> None:
    """The size of plan that generators write takes well under a second (0.1 s where nothing else runs)."""
    text = "chunks:\n" + "".join(f"- id: c{n}\n  complexity: simple\n  prompt: |\n    Ask {n}\n" for n in range(5_000))
    start = time.perf_counter()
    document = read_yaml(text.encode(), file="p.yaml")
    assert time.perf_counter() - start < 2
    assert document.positions["chunks", 4_999, "id"].line == 4 * 4_999 + 2


TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.sampled_from("é中😀\n\t"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_json_is_read_as_it_is(value: object) -> None:
    """JSON is YAML: whatever `json` writes reads back as the same value, with a position for the whole."""
    document = read_yaml(json.dumps(value, ensure_ascii=False).encode(), file="p.yaml")
    assert document.value == value
    assert document.positions[()].line == 1


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_problem(data: bytes) -> None:
    """Whatever the bytes, the outcome is a document or a `PlanError` that names a place in the text."""
    try:
        read_yaml(data, file="p.yaml")
    except PlanError as error:
        assert all(each.line >= 0 and each.message for each in error.problems)  # noqa: PT017
