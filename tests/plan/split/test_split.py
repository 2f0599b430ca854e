"""Splitting texts: lossless, within the limit, no cut where none may be, and unmoved by edits elsewhere."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.plan.split import Piece, SplitError, SplitMode, split_text
from orchestrator.plan.tokens import count_tokens
from tests.plan.split.documents import MODES, article, mixed_text, paragraph, words

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
MARKS = st.sampled_from(
    [
        *(
            "```",
            "~~~~",
            "# A",
            "## B",
            "- ",
            "  - x",
            "> ",
            "1. ",
            "|a|b|",
            "|-|-|",
            "---",
            "===",
            "",
            "<div>",
            "</div>",
        ),
        *("<!--", "-->", "    code", "\ttab", "中文字符串。", "สวัสดีชาวโลก", "👩\u200d👩\u200d👧", "e\u0301"),
        *("word " * 30, "x" * 90, "def f():", '"""'),
    ]
)
MARKED_TEXT = st.lists(st.tuples(MARKS, st.sampled_from(["\n", "\r\n", "\r", "\n\n", " ", ""])), max_size=25).map(
    lambda parts: "".join(mark + end for mark, end in parts)
)


def joined(pieces: tuple[Piece, ...]) -> str:
    return "".join(piece.text for piece in pieces)


def split(text: str, mode: SplitMode, max_tokens: int, overlap_tokens: int = 0) -> tuple[Piece, ...]:
    pattern = "^[A-Z#]." if mode == "regex" else None
    return split_text(text, mode=mode, max_tokens=max_tokens, overlap_tokens=overlap_tokens, pattern=pattern)


def is_inside_word(text: str, at: int) -> bool:
    """Letters of a script that writes spaces, or CR and LF, stand on both sides."""
    before, after = text[at - 1], text[at]
    letters = (before.isalnum() and after.isalnum()) and max(before, after) < "\u0e00"
    return letters or before + after == "\r\n"


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT | MARKED_TEXT, st.sampled_from(MODES), st.integers(1, 60))
@example("😀" * 40, "text", 1)
@example("\r\n" * 50, "lines", 1)
@example("a\r\n" * 50, "markdown", 1)
def test_pieces_are_the_text_within_the_limit(text: str, mode: SplitMode, max_tokens: int) -> None:
    """Joined, the pieces are the text; each is its own slice, not empty, and within the limit but for one character."""
    pieces = split(text, mode, max_tokens)
    assert joined(pieces) == text
    assert bool(pieces) == bool(text)
    for piece in pieces:
        assert piece.text == text[piece.start : piece.end] != ""
        assert count_tokens(piece.text) <= max_tokens or len(piece.text.replace("\r\n", "\n")) == 1


@settings(max_examples=200, deadline=None)
@given(MARKED_TEXT, st.sampled_from(MODES), st.integers(12, 60))
def test_no_cut_inside_a_word_that_fits(text: str, mode: SplitMode, max_tokens: int) -> None:
    """A cut between two letters is made only inside a word that alone exceeds the limit, and is noted."""
    for piece in split(text, mode, max_tokens)[1:]:
        if is_inside_word(text, piece.start):
            around = re.split(r"\s", text[: piece.start])[-1] + re.split(r"\s", text[piece.start :])[0]
            assert count_tokens(around) > max_tokens
            assert any("inside a word" in note for note in piece.notes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_whole_documents_come_back(mode: SplitMode, end: str) -> None:
    """A document of all kinds of blocks and scripts, under each line end, is split without loss, within its limit."""
    text = mixed_text(seed=1).replace("\n", end)
    for max_tokens in (20, 150, 1_000):
        pieces = split(text, mode, max_tokens)
        assert joined(pieces) == text
        assert max(count_tokens(piece.text) for piece in pieces) <= max_tokens


@pytest.mark.parametrize("mode", MODES)
def test_an_edit_changes_only_the_pieces_around_it(mode: SplitMode) -> None:
    """After a paragraph is inserted or deleted, all pieces but a few in a row at that place have the same texts."""
    text = article(seed=3, sections=90) if mode != "text" else "\n\n".join(paragraph(n) for n in range(400))
    if mode == "code":
        text = "\n\n".join(f"def f{n}():\n    {words(n, 40)}\n\n    return {n}" for n in range(400))
    before = [piece.text for piece in split(text, mode, 300)]
    assert len(before) >= 50
    gaps = [found.end() for found in re.finditer(r"\n\n", text)]
    choose = random.Random(5)
    for number in range(40):
        at = choose.randrange(len(gaps) - 1)
        if number % 2:
            edited = text[: gaps[at]] + paragraph(10_000 + number) + "\n\n" + text[gaps[at] :]
        else:
            edited = text[: gaps[at]] + text[gaps[at + 1] :]
        after = [piece.text for piece in split(edited, mode, 300)]
        same_start = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
        same_end = next((n for n, (a, b) in enumerate(zip(before[::-1], after[::-1], strict=False)) if a != b), 0)
        assert len(before) - same_start - same_end <= 4
        assert len(after) - same_start - same_end <= 4


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "regex"])
def test_pieces_are_well_filled(mode: SplitMode) -> None:
    """A piece holds more than half of what it may on average, so that no call is wasted on crumbs."""
    text = article(seed=8, sections=40)
    pieces = split(text, mode, 400)
    assert count_tokens(text) / len(pieces) > 200


def test_overlap_stands_beside_the_text() -> None:
    """The tail before and the head after a piece are what stands there, in whole words, and never part of it."""
    text = article(seed=4, sections=12)
    pieces = split(text, "markdown", 200, overlap_tokens=30)
    assert joined(pieces) == text
    assert pieces[0].previous_tail == pieces[-1].next_head == ""
    for piece in pieces[1:]:
        assert 10 < count_tokens(piece.previous_tail) <= 30
        assert text[: piece.start].endswith(piece.previous_tail)
        assert not is_inside_word(text, piece.start - len(piece.previous_tail))
    for piece in pieces[:-1]:
        assert 10 < count_tokens(piece.next_head) <= 30
        assert text[piece.end :].startswith(piece.next_head)


@given(ANY_TEXT, st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_overlap_is_bounded_for_any_text(text: str, overlap_tokens: int) -> None:
    """No overlap is longer than asked for, whatever the text."""
    for piece in split(text, "text", 12, overlap_tokens=overlap_tokens):
        assert count_tokens(piece.previous_tail) <= overlap_tokens
        assert count_tokens(piece.next_head) <= overlap_tokens


@pytest.mark.parametrize(
    "unit", ["a", " ", "\n", "中", "- ", "> ", "# x\n", "```\n", "|a|\n|-|\n", "word ", "No. ", "\u0301"]
)
@pytest.mark.parametrize("mode", MODES)
def test_repetitive_text_takes_linear_time(unit: str, mode: SplitMode) -> None:
    """100,000 characters of the same are split within seconds in each mode."""
    text = (unit * 100_000)[:100_000]
    begin = time.process_time()
    pieces = split(text, mode, 300)
    assert time.process_time() - begin < 8
    assert joined(pieces) == text


@pytest.mark.alone
def test_megabytes_take_seconds() -> None:
    """Two megabytes of Markdown are split in far less than the three seconds that ten in fifteen allow."""
    text = article(seed=2, sections=2_000)[:2_000_000]
    count_tokens("the ranks are read first")
    begin = time.process_time()
    assert joined(split(text, "markdown", 2_000)) == text
    assert time.process_time() - begin < 3 * len(text) / 2_000_000


WRONG: list[tuple[dict[str, object], str]] = [
    ({"mode": "markdown", "max_tokens": None}, "needs max_tokens"),
    ({"mode": "text", "max_tokens": 0}, "max_tokens is 0"),
    ({"mode": "text", "max_tokens": 9, "overlap_tokens": -1}, "overlap_tokens is -1"),
    ({"mode": "headings", "max_tokens": None, "level": 7}, "level: 7"),
    ({"mode": "text", "max_tokens": 9, "level": 2}, "level: 2"),
    ({"mode": "regex", "max_tokens": None}, "go together"),
    ({"mode": "text", "max_tokens": 9, "pattern": "x"}, "go together"),
    ({"mode": "regex", "max_tokens": None, "pattern": "(x"}, "is no regular expression"),
    ({"mode": "regex", "max_tokens": None, "pattern": "x*"}, "matches the empty text"),
    ({"mode": "regex", "max_tokens": None, "pattern": "x" * 2_001}, "2,001 characters"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_senseless_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    """Each mistake in the arguments is an error that names it."""
    with pytest.raises(SplitError, match=re.escape(message)):
        split_text("some text", **arguments)  # type: ignore[arg-type]


def test_a_pattern_that_backtracks_without_end_is_stopped() -> None:
    """Repetition inside repetition ends with an error that says what is wrong, in bounded time."""
    with pytest.raises(SplitError, match="takes more than"):
        split_text("a" * 5_000 + "!", mode="regex", max_tokens=None, pattern="^(a|aa)+$")
