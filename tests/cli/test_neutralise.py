"""Nothing that steers a terminal gets through."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.display.neutralise import neutralise, one_line

ATTACKS = {
    "clear the screen": "\x1b[2J\x1b[H",
    "write to the clipboard (OSC 52)": "\x1b]52;c;aGVsbG8=\x07",
    "set the title, ended by ST": "\x1b]0;owned\x1b\\",
    "a link that lies (OSC 8)": "\x1b]8;;http://evil.example\x1b\\safe\x1b]8;;\x1b\\",
    "one-character CSI": "\x9b31m",
    "one-character OSC and ST": "\x9d0;owned\x9c",
    "device control": "\x90q\x9c",
    "overwrite the line": "all good\rfailed   ",
    "backspace over it": "rm -rf\x08\x08\x08\x08\x08\x08ls    ",
    "bell, NUL, DEL": "\x07\x00\x7f",
    "shift to another character set": "\x0e\x1b(0",
    "reorder what is read": "invoice\u202efdp.exe",
    "reorder by isolate": "\u2067abc\u2069",
    "hidden tag characters": "ok\U000e0041\U000e0042",
    "line separator": "one\u2028two",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_control_survives(attack: str) -> None:
    """Every known way to steer a terminal ends up as visible characters, and its plain text is kept."""
    shown = neutralise(attack)
    assert steering(shown) == []
    for word in ("owned", "safe", "all good", "invoice", "fdp.exe", "rm -rf"):
        assert (word in attack) == (word in shown)


def test_ordinary_text_is_left_alone() -> None:
    """Newlines, tabs, accents, emoji, right-to-left scripts and mathematics pass unchanged."""
    text = "Zeile 1\n\tnaïve café 😀 👩‍👩‍👧 שלום مرحبا ∑x² · × …"
    assert neutralise(text) == text


def test_every_code_point() -> None:
    """No control, surrogate, separator or bidirectional override of all Unicode passes, and each stays visible."""
    for code in range(0x110000):
        shown = neutralise(chr(code))
        assert steering(shown) == [], hex(code)
        assert shown, hex(code)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text(text: str) -> None:
    """For any text: nothing steers, doing it twice changes nothing, and it can be encoded."""
    shown = neutralise(text)
    assert steering(shown) == []
    assert neutralise(shown) == shown
    assert shown.encode().decode() == shown


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=500), st.integers(1, 50))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    """For any text: no line break, no more characters than allowed."""
    shown = one_line(text, limit=limit)
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= limit
    assert steering(shown) == []


def test_one_line_cannot_forge_another() -> None:
    """A message with a line of progress in it stays inside its own line."""
    assert one_line("sorry\n[8/8] part_9 · reused") == "sorry [8/8] part_9 · reused"


def test_one_line_says_that_it_was_cut() -> None:
    """A long message ends in an ellipsis."""
    assert one_line("x" * 400) == "x" * 299 + "…"


def steering(text: str) -> list[str]:
    """The characters of a text that could steer a terminal or change the order in which it is read."""
    overrides = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return [
        character
        for character in text
        if (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t")
        or unicodedata.bidirectional(character) in overrides
        or 0xE0000 <= ord(character) < 0xE0080
    ]
