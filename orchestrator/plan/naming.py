"""Names in templates: which there are, and what `chunks.part[3]` refers to. Pure rules, without a template engine."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.plan.values import FILTERS

Step = str | int | None
"""What follows a name: an attribute or a constant subscript; None for anything that is not constant."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a template refers to, as in `namespace.name[subscript]`. `line` counts from 1.

    `as_list` says that the value is looped over or joined, `max_tokens` that it is cut to so many. `request`, `name`
    and `parts` are namespaces without a name.
    """

    namespace: str
    name: str
    subscript: int | str | None
    line: int
    as_list: bool = False
    max_tokens: int | None = None

    @property
    def key(self) -> str:
        """The name under which the value is looked up, such as `part[3]`."""
        return self.name if self.subscript is None else f"{self.name}[{self.subscript}]"

    @property
    def shown(self) -> str:
        """The reference as a person writes it."""
        return f"{self.namespace}.{self.key}" if self.name else self.namespace


@dataclass(frozen=True, slots=True)
class Member:
    """What a loop asks of the item of each answer that it goes over, as in `variable.item.field`.

    `group` is the chunk whose answers these are, empty for the `parts` of a merge. `line` counts from 1.
    """

    variable: str
    field: str
    group: str
    line: int

    @property
    def shown(self) -> str:
        """The member as a person writes it."""
        return f"{self.variable}.item.{self.field}"


class BadReferenceError(ValueError):
    """Steps after a name that lead nowhere. `hint` says what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the nearest known word, else the empty string.

    One of the same letters is nearest: two that changed places are the commonest slip.
    """
    near = difflib.get_close_matches(word[:100], list(known), n=5, cutoff=0.6)
    swapped = [each for each in near if sorted(each) == sorted(word)]
    return f"did you mean {(swapped or near)[0]}?" if near else ""


def place_of(source: str, line: int, *needles: str) -> int:
    """Column, from 1, where a needle stands as a word in that line, else of the line's first tag, else 1."""
    lines = source.split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    for needle in needles:
        found = re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", text)
        if found:
            return found.start() + 1
    tag = re.search(r"\{[{%]", text)
    return tag.start() + 1 if tag else 1


def read_reference(root: str, steps: Sequence[Step], *, line: int) -> Reference:
    """The reference that a root name and its steps make. Raises `BadReferenceError`."""
    if root in ("request", "name", "parts"):
        if steps:
            raise BadReferenceError(f"`{root}` is one text and has no parts", _filter_hint(root, steps[-1]))
        return Reference(root, "", None, line)
    if root == "chunks":
        return _chunk(steps, line)
    if root == "inputs":
        return _input(steps, line)
    if root == "item":
        return _item(steps, line)
    raise BadReferenceError(
        f"`{root}` is not known here",
        f"names are chunks.ID, inputs.NAME, request and name; {did_you_mean(root, NAMES) or LITERAL_HINT}",
    )


def read_member(variable: str, steps: Sequence[Step], *, line: int) -> tuple[str, ...]:
    """The steps from a loop's variable over a group to `text` or a field of its item. Raises `BadReferenceError`."""
    if steps[0] == "item" and len(steps) > 1:
        return ("item", _item(steps[1:], line).name)
    if list(steps) == ["text"]:
        return ("text",)
    known = f"there are {variable}.text and {variable}.item.source, .index, .heading_path, .row.COLUMN, …"
    raise BadReferenceError(f"`{variable}` is an answer of a group and has no `{_shown(steps[0])}`", known)


def _first(root: str, steps: Sequence[Step]) -> str:
    example = {"chunks": "chunks.outline", "inputs": "inputs.handbook", "item": "item.text"}[root]
    if not steps:
        raise BadReferenceError(f"`{root}` alone cannot be used", f"name one of them, as in {{{{ {example} }}}}")
    if not isinstance(steps[0], str):
        raise BadReferenceError(
            f"`{root}[…]` needs a constant name, so that it is known before the run what a prompt refers to",
            f"write it as {{{{ {example} }}}}",
        )
    return steps[0]


def _chunk(steps: Sequence[Step], line: int) -> Reference:
    name = _first("chunks", steps)
    subscript: int | str | None = None
    rest = list(steps[1:])
    whole = re.fullmatch(r"([^\[\]]+)\[([^\[\]]+)\]", name)
    if whole:
        name, text = whole[1], whole[2]
        subscript = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else text
    elif rest and (rest[0] is None or isinstance(rest[0], int)):
        subscript = rest.pop(0)
        if subscript is None:
            raise BadReferenceError(
                f"`chunks.{name}[…]` needs a constant subscript, so that it is known what a prompt refers to",
                f"write a number; the beginning of the text is {{{{ chunks.{name} | head(100) }}}}",
            )
    if rest and rest[0] == "text":
        rest.pop(0)
    if rest:
        raise BadReferenceError(
            f"an answer has no `{_shown(rest[0])}`", _filter_hint(f"chunks.{name}", rest[0]) or f"write chunks.{name}"
        )
    return Reference("chunks", name, subscript, line)


def _input(steps: Sequence[Step], line: int) -> Reference:
    name = _first("inputs", steps)
    _refuse_more("inputs", name, "an input", steps[1:])
    return Reference("inputs", name, None, line)


def _item(steps: Sequence[Step], line: int) -> Reference:
    name = _first("item", steps)
    rest = steps[1:]
    if name in ITEM_PARTS:
        if not rest or not isinstance(rest[0], str):
            raise BadReferenceError(f"`item.{name}` alone cannot be used", ITEM_PARTS[name])
        name, rest = f"{name}.{rest[0]}", rest[1:]
    elif name not in ITEM_FIELDS:
        known = f"there are {', '.join((*ITEM_FIELDS, 'row.COLUMN', 'chunks.ID'))}"
        raise BadReferenceError(f"an item has no `{name}`", did_you_mean(name, ITEM_FIELDS) or known)
    _refuse_more("item", name, "a field of an item", rest)
    return Reference("item", name, None, line)


def _refuse_more(root: str, name: str, kind: str, rest: Sequence[Step]) -> None:
    if rest:
        hint = _filter_hint(f"{root}.{name}", rest[0]) or f"write {root}.{name}"
        raise BadReferenceError(f"{kind} has no `{_shown(rest[0])}`", hint)


def _shown(step: Step) -> str:
    return "[…]" if step is None else str(step)


def _filter_hint(name: str, step: Step) -> str:
    if not isinstance(step, str):
        return ""
    near = {"strip": "trim"}.get(step, step)
    return f"write {{{{ {name} | {near}{FILTERS[near].usage} }}}}" if near in FILTERS else ""


ITEM_FIELDS = ("text", "index", "count", "source", "heading_path", "previous_tail", "next_head", "original")
"""What every item has."""

ITEM_PARTS = {
    "row": "name a column, as in {{ item.row.subject }}",
    "chunks": "name a chunk with pieces of its own, as in {{ item.chunks.draft }}",
}
"""What an item has under names of the plan, and what to write."""

NAMES = ("chunks", "inputs", "request", "name", "item", "parts")
"""Every namespace; `item` stands for a piece in a `for_each`, `parts` for what a `reduce` merges."""

LITERAL_HINT = "`template: false` beside the prompt takes it literally, and {{ '{{' }} writes two braces"

NOT_FOR_LOOPS = ("chunks", "inputs", "request", "name", "loop")
"""Names that a loop's variable may not take, lest they mean two things."""

TAG_NAMES = {
    "Assign": "set",
    "AssignBlock": "set",
    "CallBlock": "call",
    "FilterBlock": "filter",
    "FromImport": "from",
    "Scope": "autoescape",
}
"""Names of tags whose node is called otherwise."""

OTHER_EXPRESSION = ("this expression", "there are names, filters and comparisons")
REFUSED_EXPRESSIONS = {
    "Call": ("a call", "what can be done to a text is a filter, as in {{ inputs.handbook | trim }}"),
    "Test": ("a test with `is`", "`{% if chunks.outline %}` asks whether there is any text"),
    "Concat": ("`~`", "write the parts one after the other: {{ inputs.a }}{{ inputs.b }}"),
    "Add": ("`+`", "write the parts one after the other: {{ inputs.a }}{{ inputs.b }}"),
}
"""What is said about some expressions: what it is, and what to write."""
