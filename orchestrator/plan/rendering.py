"""What a template is and how it renders: closures over a frame that holds values, counts characters, bounds loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.plan.naming import Member, Reference
from orchestrator.plan.values import MAX_RENDERED_CHARS, Items, RenderTooLarge, Value, as_value, elements, plain

MAX_LOOP_STEPS = 200_000
"""Steps of all loops of one rendering together: loops inside loops multiply, and need not print anything."""


class MissingValueError(LookupError):
    """A template was rendered without a value that it refers to: a mistake of the caller, never of a plan."""


@dataclass(slots=True)
class Frame:
    """One rendering: the values given, what is written so far, and the variables of the loops under way."""

    values: Mapping[str, object]
    written: list[str] = field(default_factory=list[str])
    chars: int = 0
    steps: int = 0
    variables: dict[str, Value] = field(default_factory=dict[str, Value])

    def write(self, text: str) -> None:
        """Add to the result. Raises `RenderTooLarge`."""
        self.chars += len(text)
        if self.chars > MAX_RENDERED_CHARS:
            raise RenderTooLarge
        self.written.append(text)

    def look_up(self, namespace: str, key: str) -> Value:
        """The value of a reference. Raises `MissingValueError`."""
        try:
            found = self.values[namespace]
            return as_value(found[key] if key else found)  # pyright: ignore[reportIndexIssue, reportUnknownArgumentType]
        except (LookupError, TypeError) as error:
            raise MissingValueError(f"no value for {namespace}{'.' if key else ''}{key}") from error


Expression = Callable[[Frame], Value]
Part = Callable[[Frame], None]


def show(expression: Expression) -> Part:
    """Writes what an expression yields."""

    def part(frame: Frame) -> None:
        frame.write(str(expression(frame)))

    return part


def literal_text(text: str) -> Part:
    """Writes a text."""

    def part(frame: Frame) -> None:
        frame.write(text)

    return part


def all_of(parts: Sequence[Part]) -> Part:
    """Writes one part after the other."""
    if len(parts) == 1:
        return parts[0]

    def part(frame: Frame) -> None:
        for each in parts:
            each(frame)

    return part


def choice(branches: Sequence[tuple[Expression, Part]], otherwise: Part) -> Part:
    """Writes the first branch whose condition holds."""

    def part(frame: Frame) -> None:
        for condition, branch in branches:
            if condition(frame):
                branch(frame)
                return
        otherwise(frame)

    return part


def loop(variable: str, over: Expression, body: Part, otherwise: Part) -> Part:
    """Writes `body` for each element, with `loop.index` and its like; `otherwise` when there is none."""

    def part(frame: Frame) -> None:
        values = elements(over(frame))
        outer = dict(frame.variables)
        for at, value in enumerate(values):
            frame.steps += 1
            if frame.steps > MAX_LOOP_STEPS:
                raise RenderTooLarge
            frame.variables[variable] = value
            for name, measure in LOOP_FACTS.items():
                frame.variables[name] = measure(at, len(values))
            body(frame)
        frame.variables = outer
        if not values:
            otherwise(frame)

    return part


LOOP_FACTS: dict[str, Callable[[int, int], int]] = {
    "loop.index": lambda at, _: at + 1,
    "loop.index0": lambda at, _: at,
    "loop.first": lambda at, _: at == 0,
    "loop.last": lambda at, count: at == count - 1,
    "loop.length": lambda _, count: count,
}
"""What a template may ask about the loop it is in, from the position (from 0) and the number of elements."""


def _contains(whole: Value, part: Value) -> bool:
    wanted = str(plain(part))
    return wanted in whole.texts if isinstance(whole, Items) else wanted in str(plain(whole))


def _number(value: Value) -> float:
    assert isinstance(value, int | float), "templates that order anything but numbers are refused"
    return value


COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "eq": lambda left, right: plain(left) == plain(right),
    "ne": lambda left, right: plain(left) != plain(right),
    "lt": lambda left, right: _number(left) < _number(right),
    "lteq": lambda left, right: _number(left) <= _number(right),
    "gt": lambda left, right: _number(left) > _number(right),
    "gteq": lambda left, right: _number(left) >= _number(right),
    "in": lambda left, right: _contains(right, left),
    "notin": lambda left, right: not _contains(right, left),
}
"""What a template may compare, by jinja2's names."""


class TemplateProblem(Exception):  # noqa: N818 (a plan has problems, as in `Problem`)
    """A template cannot be used. `line` and `column` count from 1 within the template; `hint` says what to do."""

    def __init__(self, message: str, *, line: int, column: int = 1, hint: str = "") -> None:
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Template:
    """A text to be filled. `references` and `members` stand in order of appearance; a literal template has none."""

    source: str
    references: tuple[Reference, ...]
    part: Part = field(repr=False, compare=False)
    members: tuple[Member, ...] = ()

    def render(self, values: Mapping[str, object]) -> str:
        """The text filled from `values`, which maps namespaces to their values (`chunks` and `inputs` to mappings).

        Raises `RenderTooLarge`, and `MissingValueError` when a value that is referred to was not given.
        """
        frame = Frame(values)
        self.part(frame)
        return "".join(frame.written)
