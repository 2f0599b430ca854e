"""What is one thing in a document stays one: fences, tables, HTML, front matter, definitions; and what heads what."""

from __future__ import annotations

import itertools
import random
import time
from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from orchestrator.plan.split import Piece, headings_of, split_text
from orchestrator.plan.split.markdown import blocks_of, plain_title
from orchestrator.plan.tokens import count_tokens
from tests.plan.split.documents import fence, mixed_text, paragraph, table, words

READER = MarkdownIt("commonmark").enable("table")


def kept_whole(text: str) -> list[tuple[int, int]]:
    """Where fences and tables stand, as character offsets, by another reader of Markdown."""
    lines = list(itertools.accumulate((len(line) for line in text.splitlines(keepends=True)), initial=0))
    tokens = [token for token in READER.parse(text) if token.type in ("fence", "table_open") and token.map]
    return [(lines[token.map[0]], lines[token.map[1]]) for token in tokens if token.map]


def test_headings_are_listed() -> None:
    """The headings of a text, outermost lists and quotes apart, as plain text with their levels."""
    text = "# A *book*\n\nText.\n\nTwo\n---\n\n> # Quoted\n\n```\n# Code\n```\n\n### Three ###\n"
    assert headings_of(text) == ((1, "A book"), (2, "Two"), (3, "Three"))
    assert headings_of("Plain.\n") == ()


def cuts(pieces: tuple[Piece, ...]) -> list[int]:
    return [piece.start for piece in pieces[1:]]


@pytest.mark.parametrize("seed", range(12))
def test_no_cut_inside_what_fits(seed: int) -> None:
    """A fence or table, in lists and quotes too, is cut only when it alone exceeds the limit, and then it is said."""
    text = mixed_text(seed=seed)
    for max_tokens in (60, 200, 500):
        pieces = split_text(text, mode="markdown", max_tokens=max_tokens)
        starts = [piece.start for piece in pieces]
        for begin, end in kept_whole(text):
            inside = [cut for cut in cuts(pieces) if begin < cut < end]
            assert not inside or count_tokens(text[begin:end].rstrip()) > max_tokens - 2
            for cut in inside:
                assert text[cut - 1] == "\n"
                assert "at a line end" in "".join(pieces[bisect_right(starts, cut) - 1].notes)


LINES = st.sampled_from(
    [
        *(
            "```",
            "~~~",
            "````py",
            "  ```",
            "> ```",
            "> x",
            ">",
            "- ```",
            "  x",
            "- item",
            "  - deep",
            "    ```",
            "1. one",
        ),
        *("", "", "text", "| a | b |", "|---|---|", "| 1 | 2 |", "# H", "Title", "===", "---", "<div>", "</div>"),
        *("    code", "***"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(LINES, min_size=2, max_size=14))
def test_blocks_agree_with_another_reader(lines: list[str]) -> None:
    """No block begins inside what another reader of Markdown takes for a fence or table."""
    text = "\n".join(["begin", "", *lines, ""])
    starts = [block.start for block in blocks_of(text)]
    for begin, end in kept_whole(text):
        assert not [start for start in starts if begin < start < end]


def test_a_block_over_the_limit_is_cut_at_its_line_ends_and_that_is_said() -> None:
    """The notes on both sides of the cut name the kind of block and its size."""
    for block, kind in (
        (fence(400), "code fence"),
        (table(300), "table"),
        ("<pre>\n" + "x y\n" * 900 + "</pre>", "HTML"),
    ):
        text = f"before\n\n{block}\n\nafter\n"
        pieces = split_text(text, mode="markdown", max_tokens=200)
        assert "".join(piece.text for piece in pieces) == text
        assert sum(f"{kind}" in "".join(piece.notes) for piece in pieces) >= 4
        for piece in pieces:
            assert count_tokens(piece.text) <= 200
            assert piece.text.endswith("\n")
        noted = next(piece.notes[0] for piece in pieces if piece.notes)
        assert noted.startswith("cut inside a")
        assert noted.endswith("tokens, at a line end")


def test_headings_make_a_piece_each() -> None:
    """One piece for each heading of the level, deeper ones inside, fenced ones not counted, underlined ones too."""
    text = (
        "intro\n\n# One\n\nText.\n\n## Deep\n\n```\n# none\n```\n\nTwo\n===\n\nText.\n\n- # none\n\n# Three #\n\nEnd.\n"
    )
    pieces = split_text(text, mode="headings", max_tokens=None, level=1)
    assert [piece.text.split("\n")[0] for piece in pieces] == ["intro", "# One", "Two", "# Three #"]
    assert "".join(piece.text for piece in pieces) == text


def test_a_title_alone_is_no_piece() -> None:
    """Higher headings without text of their own go with the piece that they lead to; with text they are a piece."""
    text = "# Guide\n\n## A\n\na\n\n## B\n\nb\n\n# Part two\n\nHello.\n\n## C\n\nc\n"
    pieces = split_text(text, mode="headings", max_tokens=None, level=2)
    assert [piece.text.strip() for piece in pieces] == [
        "# Guide\n\n## A\n\na", "## B\n\nb", "# Part two\n\nHello.", "## C\n\nc",
    ]  # fmt: skip
    assert [piece.heading_path for piece in pieces] == [(), ("Guide",), (), ("Part two",)]


def test_blank_text_before_the_first_heading_goes_with_it() -> None:
    """No piece is blank."""
    pieces = split_text("\n\n# A\n\na\n\n# B\n\nb\n", mode="headings", max_tokens=None)
    assert [piece.text.strip()[:3] for piece in pieces] == ["# A", "# B"]


def test_the_level_is_found() -> None:
    """Without a level it is the highest that occurs twice; a text without headings is one piece."""
    text = "# Title\n\nWords.\n\n## A\n\na\n\n## B\n\nb\n"
    assert len(split_text(text, mode="headings", max_tokens=None)) == 3
    assert len(split_text("No heading.\n", mode="headings", max_tokens=None)) == 1


def test_long_sections_are_split_further() -> None:
    """A section over the limit is split by the rule for Markdown, and its pieces know what they stand under."""
    long = "\n\n".join(paragraph(n) for n in range(30))
    pieces = split_text(f"# A\n\nshort\n\n# *B* `b`\n\n{long}\n", mode="headings", max_tokens=200)
    assert pieces[0].text == "# A\n\nshort\n\n"
    assert len(pieces) > 4
    assert pieces[1].heading_path == ()
    assert {piece.heading_path for piece in pieces[2:]} == {("B b",)}


def test_heading_paths_hold_what_stands_above() -> None:
    """The path has the headings above the first heading or text of a piece, and not the piece's own heading."""
    sections = [f"## S{n}\n\n{words(n, 60)}\n\n### T{n}\n\n{words(n + 50, 60)}" for n in range(6)]
    text = "# Book\n\n" + "\n\n".join(sections) + "\n"
    for piece in split_text(text, mode="markdown", max_tokens=90):
        first = piece.text.lstrip().split("\n")[0]
        number = first[-1]
        expected = {"# ": (), "##": ("Book",), "###": ("Book", f"S{number}")}
        mark = first.split(" ")[0].ljust(2) if first.startswith("#") else ""
        if mark:
            assert piece.heading_path == expected[mark]
        else:
            assert piece.heading_path[0] == "Book"


TITLES = {
    "## Plain ##": "Plain",
    "# [Use](https://example.org) of `it`": "Use of it",
    "# **Bold** and _soft_ snake_case_name": "Bold and soft snake_case_name",
    "Two\nlines\n---": "Two lines",
    "# A \\* B {#anchor}": "A * B",
    "#": "",
    "# C#": "C#",
}


@pytest.mark.parametrize("source", TITLES)
def test_titles_are_plain_text(source: str) -> None:
    """A heading's marks, links and emphasis are gone, its words are left."""
    assert plain_title(source) == TITLES[source]


def test_front_matter_is_one_block() -> None:
    """What stands between the first two marks is no rule and no heading, and is not cut."""
    text = "---\ntitle: x\n\n# no heading\nmore: y\n---\n\n# Real\n\n" + paragraph(1)
    blocks = blocks_of(text)
    assert blocks[0].kind == "front matter"
    assert [block.title for block in blocks if block.level] == ["Real"]


def test_code_is_cut_between_definitions() -> None:
    """No cut inside a function that fits; a decorator and a comment stay with what they belong to."""
    parts = [f"# about {n}\n@mark\ndef f{n}(a):\n    {words(n, 30)}\n\n    return a\n" for n in range(40)]
    pieces = split_text("\n\n".join(parts), mode="code", max_tokens=200, language="python")
    assert len(pieces) > 8
    assert all(piece.text.startswith("# about") and not piece.notes for piece in pieces)


def test_strings_of_several_lines_are_no_definitions() -> None:
    """A line inside a docstring or template is not taken for the beginning of a definition."""
    parts = [f'TEXT{n} = """\n\ndef not_code():\n\nclass Neither\n{words(n, 30)}\n"""\n' for n in range(20)]
    pieces = split_text("\n\n".join(parts), mode="code", max_tokens=120, language="python")
    assert len(pieces) > 5
    assert all(piece.text.startswith("TEXT") for piece in pieces)


def test_a_long_class_is_cut_between_its_methods() -> None:
    """What alone exceeds the limit is cut one step deeper, and that is said."""
    methods = [f"    def m{n}(self):\n        {words(n, 30)}\n        return {n}\n" for n in range(20)]
    text = "class Big:\n" + "\n".join(methods)
    pieces = split_text(text, mode="code", max_tokens=150)
    assert all(piece.text.startswith(("class Big", "    def m")) for piece in pieces)
    assert all("inside an indented block" in piece.notes[0] for piece in pieces)


def test_text_prefers_paragraphs_then_sentences() -> None:
    """A paragraph that fits is never cut; one that does not is cut after a sentence."""
    paragraphs = [paragraph(n) for n in range(50)]
    long = " ".join(paragraph(n) for n in range(100, 130))
    pieces = split_text("\n\n".join([*paragraphs, long]), mode="text", max_tokens=150)
    assert all(piece.text.rstrip().endswith(".") for piece in pieces)
    assert max(count_tokens(each) for each in paragraphs) <= 150
    for each in paragraphs:
        assert any(each in piece.text for piece in pieces)


def test_unspaced_scripts_are_cut_after_sentences_and_between_words() -> None:
    """Chinese is cut after its full stops; Thai without any, at the words in it."""
    chinese = "这个服务保存每一次通话的记录。" * 60
    pieces = split_text(chinese, mode="text", max_tokens=100)
    assert len(pieces) > 5
    assert all(piece.text.endswith("。") and not piece.notes for piece in pieces)
    thai = "ประเทศไทย" * 100
    pieces = split_text(thai, mode="text", max_tokens=100)
    assert len(pieces) > 5
    assert all(piece.text.startswith(("ประเทศ", "ไทย")) for piece in pieces)


def test_whole_characters_stay_whole() -> None:
    """A family, a flag and a letter with its accent are never cut apart while they fit."""
    for whole in ("👩\u200d👩\u200d👧\u200d👦", "🇩🇪", "e\u0301"):
        for piece in split_text(whole * 200, mode="text", max_tokens=60):
            assert len(piece.text) % len(whole) == 0


def test_lines_without_a_limit_are_one_piece_each() -> None:
    """A blank line goes with the line before it, or with the first."""
    pieces = split_text("\none\r\n\r\ntwo\rthree", mode="lines", max_tokens=None)
    assert [piece.text for piece in pieces] == ["\none\r\n\r\n", "two\r", "three"]


def test_lines_are_cut_at_line_ends_alone() -> None:
    """With a limit, lines are packed, and no line that fits is cut."""
    choose = random.Random(3)
    text = "\n".join(words(n, choose.randint(1, 30)) for n in range(300))
    pieces = split_text(text, mode="lines", max_tokens=100)
    assert all(piece.text.endswith("\n") and not piece.notes for piece in pieces[:-1])


def test_a_piece_begins_at_each_match() -> None:
    """With `regex`, what stands before the first match is a piece unless it is blank, and long pieces are split."""
    text = "Preface.\n\nChapter 1\n\nOne.\n\nChapter 2\n\n" + "\n\n".join(paragraph(n) for n in range(20))
    pieces = split_text(text, mode="regex", max_tokens=None, pattern=r"^Chapter \d")
    assert [piece.text[:9] for piece in pieces] == ["Preface.\n", "Chapter 1", "Chapter 2"]
    assert len(split_text(text, mode="regex", max_tokens=100, pattern=r"^Chapter \d")) > 6
    assert len(split_text("\n\nChapter 1\n", mode="regex", max_tokens=None, pattern="^Chapter")) == 1


HOSTILE = [
    "# " + "*a" * 50_000,
    "# " + " #" * 50_000,
    "# " + "[a](" * 50_000,
    "> " * 50_000,
    "- " * 50_000,
    "* " * 50_000 + "x",
]


@pytest.mark.alone
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:6])
def test_one_hostile_line_takes_linear_time(text: str) -> None:
    """A line made of marks alone is read in a fraction of a second."""
    begin = time.process_time()
    blocks_of(text)
    assert time.process_time() - begin < 2
