"""Options that somebody has good reason to type and that a command does not take, answered better than by name."""

from __future__ import annotations

from collections.abc import Sequence

OF_A_NEW_RUN = {
    "--fresh": "",
    "--input": " NAME=FILE",
    "--set": " NAME=TEXT",
    "--root": " DIR",
    "--only": " ID",
    "--until": " ID",
    "--redo": " ID",
    "--sample": " N",
}
"""What a run is made of, with the value that each option takes: `resume` finds it as it was."""


def refusal(words: Sequence[str]) -> str:
    """Why this command line (its command first) is refused, and what to type instead; empty when it may go on."""
    options = [word.partition("=")[0] for word in _before_dashes(words) if word.startswith("--")]
    if words[:1] == ["resume"]:
        for option in options:
            if option in OF_A_NEW_RUN:
                return (
                    f"resume takes no {option}: a run that is resumed keeps its plan, inputs and choice of chunks. "
                    f"`orchestrate PLAN {option}{OF_A_NEW_RUN[option]}` makes a new run"
                )
    return ""


def _before_dashes(words: Sequence[str]) -> Sequence[str]:
    return words[: words.index("--")] if "--" in words else words
