"""What a plan says about the seams between answers: which rules of seam work are on."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from orchestrator.plan.part import PlanPart

SeamsWord = Literal["none", "safe"]


class SeamsSpec(PlanPart):
    """Rules of seam work, in the order in which they are applied. The defaults are `safe`: only what is certain.

    Short forms: `safe` is this, `none` switches every rule off.
    """

    newlines: bool = Field(default=False, description="Line ends become LF.")
    unicode: bool = Field(default=False, description="Unicode becomes NFC, outside code and blocks of HTML.")
    chatter: bool = Field(default=False, description="Words around an answer are cut, such as `Sure, here is …:`.")
    overlap: bool = Field(
        default=False, description="What an answer repeats of the end of the one before is cut, whole paragraphs only."
    )
    repeated_heading: bool = Field(
        default=True, description="A heading with nothing below, which the next answer begins with, stands once."
    )
    duplicate_headings: bool = Field(
        default=False, description="Headings at the start of an answer are cut where that section is open already."
    )
    headings: Literal["keep", "fit"] = Field(
        default="keep", description="fit: the highest heading of each answer gets the same level, below the title."
    )
    numbering: bool = Field(
        default=False, description="Numbered headings and lists that begin again with 1 go on counting."
    )
    tables: bool = Field(default=False, description="A table that goes on in the next answer becomes one table.")
    labels: bool = Field(
        default=True, description="Labels of footnotes and links that two answers define are told apart."
    )
    lists: bool = Field(default=False, description="Two lists that meet stay two lists.")
    closing: bool = Field(
        default=True, description="What an answer leaves open (code fence, HTML) is closed before the next one."
    )
    toc: bool = Field(default=False, description="A table of contents, below the title or at the beginning.")


TEXT_RULES = frozenset({"newlines", "unicode", "chatter", "overlap"})
"""Rules that make sense for `format: text`; all others are about Markdown."""

NO_SEAMS = SeamsSpec(repeated_heading=False, labels=False, closing=False)
"""`seams: none`: the plain join, byte for byte."""


def short_seams(value: Any) -> Any:
    """The long form of `none` and `safe`; anything else as it is."""
    if value == "none":
        return NO_SEAMS
    return SeamsSpec() if value == "safe" else value


def rules_on(seams: SeamsSpec, *, markdown: bool) -> tuple[str, ...]:
    """The names of the rules that are on, in their order."""
    given = seams.model_dump()
    return tuple(name for name, on in given.items() if on not in (False, "keep") and (markdown or name in TEXT_RULES))
