"""`orchestrate PLAN` means `orchestrate run PLAN`, wherever the options stand. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence


def with_command_first(
    words: Sequence[str], *, commands: Collection[str], own_options: Collection[str], valued: Collection[str]
) -> list[str]:
    """The command line with its command in front.

    The first word that is no option, if it is a command, moves to the front; if it is not, or there is none, `run`
    is put there. `own_options` belong to the program itself; an option in `valued` takes the word after it. A line
    that is empty asks for help.
    """
    if not words:
        return ["--help"]
    if words[0] in commands or words[0] in own_options:
        return list(words)
    place = _first_word(words, valued=valued)
    if place is not None and words[place] in commands:
        return [words[place], *words[:place], *words[place + 1 :]]
    return ["run", *words]


def _first_word(words: Sequence[str], *, valued: Collection[str]) -> int | None:
    taken = False
    for place, word in enumerate(words):
        if taken:
            taken = False
        elif word == "--":
            return None
        elif word.startswith("-") and word != "-":
            taken = word in valued
        else:
            return place
    return None


def meant(word: str, *, among: Collection[str]) -> str | None:
    """The name that somebody who typed `word` probably meant, or None when nothing is close."""
    close = difflib.get_close_matches(word.lower(), list(among), n=1, cutoff=0.65)
    return close[0] if close else None
