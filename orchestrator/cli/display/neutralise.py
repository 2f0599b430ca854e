"""The one gate between foreign text and a terminal: what could steer the terminal is made visible instead."""

from __future__ import annotations

_C0 = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}
_DELETE = {0x7F: "\u2421"}
_C1 = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
_LINE_BREAKERS = {code: f"\\u{code:04x}" for code in (0x2028, 0x2029)}
_BIDI = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_TAGS = {code: f"\\U{code:08x}" for code in range(0xE0000, 0xE0080)}
_SURROGATES = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}

_VISIBLE: dict[int, str] = _C0 | _DELETE | _C1 | _LINE_BREAKERS | _BIDI | _TAGS | _SURROGATES
_VISIBLE_ON_ONE_LINE: dict[int, str] = _VISIBLE | {0x09: " ", 0x0A: " ", 0x0D: " "}


def neutralise(text: str) -> str:
    """The text with every character made visible that could steer a terminal or reorder what a reader sees.

    Newline and tab stay. All other C0 controls and DEL become their Unicode pictures; C1 controls (single-character
    CSI, OSC and the like), line and paragraph separators, bidirectional overrides, embeddings and isolates, invisible
    tag characters and lone surrogates become a backslash and their hexadecimal code. Nothing is removed, and doing it
    twice changes nothing more.
    """
    return text.translate(_VISIBLE)


def one_line(text: str, *, limit: int = 300) -> str:
    """`neutralise` for text that stands inside a line: blanks for line breaks, at most `limit` characters.

    So no id and no message can forge a line of its own. A cut text ends in an ellipsis.
    """
    parts = text[: 4 * limit].translate(_VISIBLE_ON_ONE_LINE).split(" ")
    squeezed = " ".join(part for part in parts if part)
    return squeezed if len(squeezed) <= limit else squeezed[: limit - 1] + "…"
