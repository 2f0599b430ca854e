"""What a template can be filled with, and the filters that work on it. Everything here is data, never a template."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.plan.tokens import head_tokens, tail_tokens
from orchestrator.prompt_texts import fill, prompt_text

MAX_RENDERED_CHARS = 64_000_000
"""Characters of one rendered text: twice the largest input, and far beyond every model's window."""

_HASH_DIGITS = 16
"""Hexadecimal digits in a mark: an answer that held its own would take 2^64 tries to make."""


class RenderTooLarge(Exception):  # noqa: N818 (it says what is the case, as `Problem` does)
    """A rendered text would exceed `MAX_RENDERED_CHARS`."""

    def __init__(self) -> None:
        super().__init__(f"the rendered text exceeds {MAX_RENDERED_CHARS:,} characters")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a chunk. It is shown between marks that carry its id and a hash of the text itself.

    Unless it is not `marked`, which is for people to read.

    Text inside cannot forge the end mark, since the mark depends on all of the text; and as the mark depends on
    nothing else, equal answers make equal prompts.
    """

    chunk_id: str
    text: str
    marked: bool = True

    def __str__(self) -> str:
        """The text between its marks."""
        if not self.marked:
            return self.text
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
        return fill(prompt_text("answer"), {"id": self.chunk_id, "hash": digest, "text": self.text})

    def __bool__(self) -> bool:
        """Whether there is any text."""
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Gap:
    """Stands where a chunk has no answer. Shown as `[missing: ID, reason]`, whatever filters are applied."""

    chunk_id: str
    reason: str

    def __str__(self) -> str:
        """The visible gap."""
        return f"[missing: {self.chunk_id}, {self.reason}]"

    def __bool__(self) -> bool:
        """False: `{% if chunks.x %}` asks whether there is an answer."""
        return False


@dataclass(frozen=True, slots=True)
class Items:
    """Several short texts: shown one a line, and can be looped over."""

    texts: tuple[str, ...]

    def __str__(self) -> str:
        """The texts, one a line."""
        return "\n".join(self.texts)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.texts)


@dataclass(frozen=True, slots=True)
class Element:
    """One answer of several, as a loop sees it: `text` is the answer, `item` what its piece was made of."""

    text: Answer | Gap
    label: str = ""
    item: Mapping[str, Value] = field(default_factory=dict[str, "Value"])

    def __str__(self) -> str:
        """The answer, under its label where it has one."""
        return f"{self.label}:\n{self.text}" if self.label else str(self.text)

    def __bool__(self) -> bool:
        """Whether there is an answer."""
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a group: shown with a blank line between, and can be looped over."""

    elements: tuple[Element, ...]

    def __str__(self) -> str:
        """All of them, in order."""
        return "\n\n".join(map(str, self.elements))

    def __bool__(self) -> bool:
        """Whether any of them is there."""
        return any(self.elements)


Value = str | int | float | Answer | Gap | Items | Element | Answers
"""All that an expression in a template can yield (bool is an int)."""


def as_value(value: object) -> Value:
    """`value` when it is one of ours, else its text: nothing else of an object can be reached from a template."""
    return value if isinstance(value, Value) else str(value)


def plain(value: Value) -> str | int | float:
    """What a comparison sees: the text without marks."""
    if isinstance(value, str | int | float):
        return value
    return value.text if isinstance(value, Answer) else str(value)


def elements(value: Value) -> tuple[Value, ...]:
    """What a loop goes over: the members of a list or a group; anything else is one element."""
    if isinstance(value, Items):
        return value.texts
    return value.elements if isinstance(value, Answers) else (value,)


def member(value: Value, steps: tuple[str, ...]) -> Value:
    """A part of a loop's variable, such as `text` or `item.source` of an answer of a group; "" where there is none."""
    if not isinstance(value, Element):
        return value
    return value.text if steps == ("text",) else value.item.get(".".join(steps[1:]), "")


def without_marks(value: Value) -> Value:
    """The same value, whose answers are shown as they came."""
    if isinstance(value, Answer):
        return replace(value, marked=False)
    if isinstance(value, Answers):
        return Answers(tuple(replace(each, text=_unmarked(each.text)) for each in value.elements))
    return value


def _unmarked(value: Answer | Gap) -> Answer | Gap:
    return replace(value, marked=False) if isinstance(value, Answer) else value


def _on_text(change: Callable[[str], str], value: Value) -> Value:
    if isinstance(value, Gap):
        return value
    if isinstance(value, Answer):
        return replace(value, text=change(value.text))
    if isinstance(value, Items):
        return Items(tuple(change(text) for text in value.texts))
    if isinstance(value, Element):
        text = _on_text(change, value.text)
        assert isinstance(text, Answer | Gap)
        return Element(text, value.label, value.item)
    if isinstance(value, Answers):
        changed = (_on_text(change, each) for each in value.elements)
        return Answers(tuple(each for each in changed if isinstance(each, Element)))
    return change(str(value))


def _on_whole(change: Callable[[str], str], value: Value) -> Value:
    return _on_text(change, str(value) if isinstance(value, Items | Answers) else value)


def _raw(value: Value) -> Value:
    """Without marks; of a group also without labels, so that its answers stand as they came."""
    if isinstance(value, Answers):
        return "\n\n".join(str(plain(each.text)) for each in value.elements)
    if isinstance(value, Element):
        value = value.text
    return value.text if isinstance(value, Answer) else value


def _length(value: Value) -> Value:
    if isinstance(value, Gap):
        return 0
    if isinstance(value, Items):
        return len(value.texts)
    return len(value.elements) if isinstance(value, Answers) else len(str(plain(value)))


def _join(value: Value, separator: str) -> Value:
    if not isinstance(value, Items | Answers):
        return value
    texts = [str(each) for each in elements(value)]
    if len(separator) * len(texts) > MAX_RENDERED_CHARS:
        raise RenderTooLarge
    return separator.join(texts)


def _replace(value: Value, old: str, new: str) -> Value:
    def change(text: str) -> str:
        if len(text) + text.count(old) * (len(new) - len(old)) > MAX_RENDERED_CHARS:
            raise RenderTooLarge
        return text.replace(old, new)

    return _on_text(change, value)


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """One filter: its parameters as (name, type, default; None where one must be given) and what it does."""

    apply: Callable[..., Value]
    parameters: tuple[tuple[str, type[str] | type[int], str | None], ...] = ()

    @property
    def usage(self) -> str:
        """The parameters as a person writes them, with their brackets."""
        return f"({', '.join(name for name, _, _ in self.parameters)})" if self.parameters else ""


def _head(value: Value, tokens: int) -> Value:
    return _on_whole(lambda text: head_tokens(text, tokens), value)


def _tail(value: Value, tokens: int) -> Value:
    return _on_whole(lambda text: tail_tokens(text, tokens), value)


def _trim(value: Value) -> Value:
    return _on_text(str.strip, value)


def _upper(value: Value) -> Value:
    return _on_text(str.upper, value)


def _lower(value: Value) -> Value:
    return _on_text(str.lower, value)


FILTERS: dict[str, FilterSpec] = {
    "raw": FilterSpec(_raw),
    "head": FilterSpec(_head, (("tokens", int, None),)),
    "tail": FilterSpec(_tail, (("tokens", int, None),)),
    "trim": FilterSpec(_trim),
    "upper": FilterSpec(_upper),
    "lower": FilterSpec(_lower),
    "length": FilterSpec(_length),
    "join": FilterSpec(_join, (("separator", str, ""),)),
    "replace": FilterSpec(_replace, (("old", str, None), ("new", str, None))),
}
"""Every filter of templates. Each but `raw` keeps an answer's marks, and each but `length` shows a gap as a gap."""


class FilterError(ValueError):
    """A filter was given arguments that it does not take. The message says what it takes."""


def bind_filter(name: str, given: Sequence[object], named: Mapping[str, object]) -> Callable[[Value], Value]:
    """The filter `name` with its constant arguments. Raises `FilterError`, and `KeyError` for an unknown name."""
    spec = FILTERS[name]
    expected = f"`{name}` is written as {name}{spec.usage}"
    names = [parameter for parameter, _, _ in spec.parameters]
    if len(given) > len(names) or not set(named) <= set(names[len(given) :]):
        raise FilterError(expected)
    values = dict(zip(names, given, strict=False)) | dict(named)
    arguments: list[object] = []
    for parameter, kind, default in spec.parameters:
        value = values.get(parameter, default)
        if value is None:
            raise FilterError(f"{expected}: {parameter} is missing")
        if type(value) is not kind:
            wanted = "a whole number" if kind is int else "a text in quotes"
            raise FilterError(f"{expected}: {parameter} must be {wanted}")
        if isinstance(value, int) and value < 1:
            raise FilterError(f"{expected}: {parameter} must be 1 or more")
        arguments.append(value)
    return lambda subject: spec.apply(subject, *arguments)
