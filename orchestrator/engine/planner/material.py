"""What the planner is shown of the inputs: enough to decide how they are given to the chunks. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.engine.planner.form import one_line
from orchestrator.plan.tokens import count_tokens, head_tokens
from orchestrator.plan.workload import InputText, Source
from orchestrator.prompt_texts import fill, prompt_text

WHOLE_TOKENS = 300
"""An input up to this size (`cl100k_base`) is shown to the planner whole."""
HEAD_TOKENS = 150
"""Of a larger one, this much of its beginning."""
SHOWN_HEADINGS = 12
"""Headings of a text that are named before they are only counted."""
SHOWN_FILES = 20
"""Files of an input that are named before they are only counted."""

_TITLE_CHARS = 100
_PROSE_ENDINGS = ("", "md", "markdown", "mdx", "txt")
"""Ends of file names whose texts may have headings: in source code a line that begins with # is something else."""


def marked(kind: str, label: str, text: str) -> str:
    """The text between marks that it cannot forge: they carry a hash of all of it."""
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return fill(prompt_text("planner-material"), {"kind": kind, "label": label, "hash": digest, "text": text})


def shown_input(each: InputText, *, tokens: int) -> str:
    """Name, kind, size and number of things of an input, with a short head, or all of it when it is small.

    A text is shown with its first headings; of files their names and sizes are shown instead of a head.
    """
    facts = {"name": each.name, "kind": each.kind, "tokens": str(tokens)}
    if each.kind == "text" and each.path is not None:
        facts["file"] = one_line(each.path.name).replace('"', "'")[:_TITLE_CHARS]
    if each.kind != "text":
        facts["number"] = str(len(each.sources))
    if tokens <= WHOLE_TOKENS:
        facts["shown"], text = "whole", each.text
    elif each.kind == "files":
        facts["shown"], text = "names and tokens", "\n".join(_file_lines(each.sources))
    else:
        facts["shown"] = f"its first {HEAD_TOKENS} tokens"
        text = "\n".join([head_tokens(each.text, HEAD_TOKENS), *_heading_lines(each)])
    label = " ".join(f'{name}="{value}"' for name, value in facts.items())
    return marked("input", f"input {label}", text)


def _file_lines(sources: Sequence[Source]) -> Iterator[str]:
    """The first files by name, and what the others come to."""
    sizes = [count_tokens(each.text) for each in sources]
    for source, size in zip(sources[:SHOWN_FILES], sizes, strict=False):
        yield f"{one_line(source.name)} {size}"
    if len(sources) > SHOWN_FILES:
        yield f"and {len(sources) - SHOWN_FILES} more; the largest file has {max(sizes)} tokens"


def _heading_lines(each: InputText) -> Iterator[str]:
    """The first headings of a text, how many there are of each level, and nothing for a text without any."""
    from orchestrator.plan.split import headings_of

    ending = each.path.suffix.lower().lstrip(".") if each.path is not None else ""
    if each.kind != "text" or ending not in _PROSE_ENDINGS:
        return
    headings = headings_of(each.text)
    if not headings:
        return
    levels = Counter(level for level, _ in headings)
    counts = ", ".join(f"{levels[level]} of level {level}" for level in sorted(levels))
    yield f"…\nIts headings ({counts}):"
    for level, title in headings[:SHOWN_HEADINGS]:
        yield f"{'#' * level} {one_line(title)[:_TITLE_CHARS]}"
    if len(headings) > SHOWN_HEADINGS:
        yield f"and {len(headings) - SHOWN_HEADINGS} more"
