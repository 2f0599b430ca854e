"""Rows of a table: read as they stand, or refused with the line."""

from __future__ import annotations

import re

import pytest

from orchestrator.plan.split import SplitError, read_rows


def test_csv_is_read_as_it_stands() -> None:
    """A byte order mark is left out; quoted commas, quotes and line ends stay in values; blank lines are no rows."""
    content = b'\xef\xbb\xbfid,text\r\n7,"a, ""b""\r\nc"\r\n\r\n8,\r\n'
    rows = read_rows(content, format="csv", key="id")
    assert [(row.key, dict(row.cells)) for row in rows] == [
        ("7", {"id": "7", "text": 'a, "b"\r\nc'}),
        ("8", {"id": "8", "text": ""}),
    ]


def test_long_values_are_read() -> None:
    """A value may be as long as a document."""
    rows = read_rows(f'id,text\n1,"{"word " * 100_000}"\n'.encode(), format="csv", key=None)
    assert len(str(rows[0].cells["text"])) == 500_000


def test_json_lines_keep_their_types() -> None:
    """Values are what JSON has; a line separator inside a text does not end the line."""
    content = '{"id": 1, "a": null, "b": [true, 1.5], "c": "x\u2028y"}\r\n\n{"id": "two"}'.encode()
    rows = read_rows(content, format="jsonl", key="id")
    assert [row.key for row in rows] == ["1", "two"]
    assert rows[0].cells == {"id": 1, "a": None, "b": "[true, 1.5]", "c": "x\u2028y"}


def test_json_lines_go_in_as_they_are_written() -> None:
    """No number is altered, in a column, within a value or in the whole row, and it stays one that can be compared."""
    line = '{"id":7, "a": 1.10, "b":1e400, "c": -0, "d": {"e": [1.0E2, "\\u00e4"]},"f": 123456789012345678901234567890}'
    (row,) = read_rows(f"  {line} \n".encode(), format="jsonl", key="id")
    assert row.text == line
    shown = {name: str(cell) for name, cell in row.cells.items()}
    assert shown == {
        "id": "7", "a": "1.10", "b": "1e400", "c": "-0", "d": '{"e": [1.0E2, "ä"]}',
        "f": "123456789012345678901234567890",
    }  # fmt: skip
    assert row.cells["a"] == 1.1
    (long,) = read_rows(f'{{"id": "x", "n": {"9" * 5000}}}'.encode(), format="jsonl", key="id")
    assert str(long.cells["n"]) == "9" * 5000


def test_every_wrong_row_is_told() -> None:
    """Not the first alone, each with its line and one place in it."""
    content = b'{"id": 1}\n{"id": 1, "a": }\n[]\n{"id": Infinity}\n'
    with pytest.raises(SplitError) as caught:
        read_rows(content, format="jsonl", key="id")
    assert [(each.line, each.message) for each in caught.value.all] == [
        (2, "this is no JSON: Expecting value at column 16"),
        (3, "this is no JSON object"),
        (4, "this cannot be read: Infinity is no JSON number"),
    ]
    with pytest.raises(SplitError) as caught:
        read_rows(b"id,a\n1,2\n1,2\n,3\n", format="csv", key="id")
    assert [each.line for each in caught.value.all] == [3, 4]
    with pytest.raises(SplitError) as caught:
        read_rows(b"id,a\n" + b"1\n" * 1000, format="csv", key="id")
    assert len(caught.value.all) == 200


def test_without_a_key_rows_are_numbered() -> None:
    """The key of a row is then its number, from 1."""
    assert [row.key for row in read_rows(b"a\nx\ny\n", format="csv", key=None)] == ["1", "2"]
    assert read_rows(b"a\n", format="csv", key=None) == ()


REFUSED: list[tuple[bytes, str, int, str]] = [
    (b"", "csv", 0, "the table is empty"),
    (b"id,id\n1,2\n", "csv", 1, "two columns are called 'id'"),
    (b"id,\n1,2\n", "csv", 1, "column 2 has no name"),
    (b"id;a\n1;2\n", "csv", 1, "parted by `;`"),
    (b'id,a\n1,"x\ny"\n2\n', "csv", 4, "1 value under 2 columns"),
    (b"id,a\n1,2,3\n", "csv", 2, "3 values under 2 columns"),
    (b'id,a\n1,"x" y\n', "csv", 2, "this is no CSV"),
    (b'id,a\n1,"x\n', "csv", 2, "this is no CSV"),
    (b"id,a\n1,2\n1,3\n", "csv", 3, "'id' is '1' again, as in line 2"),
    (b"id,a\n ,2\n", "csv", 2, "'id' is empty"),
    (b"key,a\n1,2\n", "csv", 2, "there is no 'id'"),
    (b"id\n\xff\n", "csv", 0, "not UTF-8"),
    (b"id\na\0\n", "csv", 0, "NUL"),
    (b'{"id": 1}\n{"id": 2', "jsonl", 2, "this is no JSON"),
    (b'{"id": 1}\n[2]\n', "jsonl", 2, "this is no JSON object"),
    (b'{"id": 1, "id": 2}\n', "jsonl", 1, "'id' stands there twice"),
    (b'{"id": NaN}\n', "jsonl", 1, "NaN is no JSON number"),
    (b'{"id": true}\n', "jsonl", 1, "'id' is empty or no name"),
    (b'{"id": ["a"]}\n', "jsonl", 1, "'id' is empty or no name"),
    (b'{"id": 1}\n{"a": 2}\n', "jsonl", 2, "there is no 'id'"),
    (b"[" * 100_000, "jsonl", 1, "nested too deeply"),
    (b"x", "xlsx", 0, "not from .xlsx"),
]


@pytest.mark.parametrize(("content", "kind", "line", "message"), REFUSED)
def test_what_is_no_table_is_refused_with_its_line(content: bytes, kind: str, line: int, message: str) -> None:
    """Each fault is an error that says what is wrong and in which line."""
    with pytest.raises(SplitError, match=re.escape(message)) as caught:
        read_rows(content, format=kind, key="id")
    assert caught.value.line == line
