"""Prompt texts: found in a checkout, filled in one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.prompt_texts import fill, prompt_text

PROMPTS = Path(__file__).parent.parent.parent / "prompts"


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.md")), ids=lambda path: path.stem)
def test_every_text_is_found(path: Path) -> None:
    """Each file of the folder reads by its name, without its one final newline."""
    assert prompt_text(path.stem) + "\n" == path.read_text(encoding="utf-8")


def test_an_unknown_text_is_an_error() -> None:
    """A name without a file says where it was looked for."""
    with pytest.raises(LookupError, match=r"nothing\.md"):
        prompt_text("nothing")


def test_values_are_put_in_once() -> None:
    """Braces inside a value stay as they are, and so do names that are not given."""
    assert fill("{a} {b} {c}", {"a": "{b}", "b": "{a}"}) == "{b} {a} {c}"
