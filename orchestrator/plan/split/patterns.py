"""Patterns that a person writes: where they match, in bounded time."""

from __future__ import annotations

import regex

from orchestrator.plan.split.pieces import SplitError

_SECONDS = 5.0
"""Time for one text. A pattern without nested repetition reads tens of megabytes in it; one that backtracks without
end would never be done."""

_MAX_PATTERN_CHARS = 2_000


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` matches somewhere in `text`; `^` and `$` are the beginning and end of any line.

    Raises `SplitError` for a pattern that is no regular expression or takes more than 5 s.
    """
    try:
        return _compiled(pattern).search(text, timeout=_SECONDS) is not None
    except TimeoutError:
        raise _takes_too_long(pattern) from None


def finds(pattern: str, text: str) -> bool:
    """Whether `pattern`, as of a JSON Schema, is found in `text`; `^` and `$` are the beginning and end of the text.

    Raises `SplitError` for a pattern that takes more than 5 s.
    """
    try:
        return regex.search(pattern, text, timeout=_SECONDS) is not None
    except TimeoutError:
        raise _takes_too_long(pattern) from None


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern of a JSON Schema; "" when nothing is."""
    try:
        regex.compile(pattern)
    except regex.error as error:
        return str(error)
    return ""


def starts_of(pattern: str, text: str) -> list[int]:
    """Where `pattern` matches in `text`, in order; `^` and `$` are the beginning and end of any line.

    Raises `SplitError` for a pattern that is no regular expression, that matches nothing at all (so it would cut
    everywhere), or that takes more than 5 s.
    """
    compiled = _compiled(pattern)
    try:
        matches_nothing = compiled.search("", timeout=_SECONDS) is not None
        starts = [found.start() for found in compiled.finditer(text, timeout=_SECONDS)] if not matches_nothing else []
    except TimeoutError:
        raise _takes_too_long(pattern) from None
    if matches_nothing:
        raise SplitError(
            f"{pattern!r} matches the empty text, so it would cut everywhere",
            hint="say what a piece begins with, as in ^Chapter",
        )
    return starts


def _compiled(pattern: str) -> regex.Pattern[str]:
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise SplitError(f"the pattern has {len(pattern):,} characters, at most {_MAX_PATTERN_CHARS:,} are allowed")
    try:
        return regex.compile(pattern, regex.MULTILINE)
    except regex.error as error:
        raise SplitError(
            f"{pattern!r} is no regular expression: {error}", hint="a backslash before a sign takes it literally"
        ) from None


def _takes_too_long(pattern: str) -> SplitError:
    return SplitError(
        f"{pattern!r} takes more than {_SECONDS:.0f} s on this text",
        hint="repetition inside repetition, as in (a+)+, tries without end; write it simpler, or begin it with ^",
    )
