"""YAML text to plain values, with the place of each: a strict subset, read from parser events in one pass. And back.

The values are built from events, not by the library's composer: it recurses (30,000 brackets crash the interpreter),
takes duplicate keys, and expands aliases without bound. Scalars are those of YAML 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, cast

import yaml

from orchestrator.errors import PlanError, Problem

try:
    from yaml import CLoader as Loader
except ImportError:  # PyYAML was built without libyaml: ten times slower, otherwise the same.
    from yaml import Loader

MAX_BYTES = 4_000_000
"""Bytes of a plan file: 5,000 chunks take about 1 MB; long texts stand in files of their own."""
MAX_DEPTH = 32
"""Lists and mappings inside each other; a plan needs six."""
MAX_EVENTS = 250_000
"""Parser events, read in about 0.7 s; a plan of 10,000 chunks has 150,000."""

_TOO_DEEP = "maximum nesting depth"
"""In the message of a libyaml that looks a thousand levels ahead and gives up before it tells of the first."""
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

YamlPath = tuple[str | int, ...]


class Position(NamedTuple):
    """Where a value stands; lines and columns count from 1. For an element of a list the key's place is the value's.

    `style` is `|`, `>`, `'`, `"` or empty. For a block scalar `text_line` is the line where its text starts and
    `indent` the number of characters before each of its lines.
    """

    key_line: int
    key_column: int
    line: int
    column: int
    style: str = ""
    text_line: int = 0
    indent: int = 0


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document: its value, the position of every value in it by path, and the lines of the text."""

    value: object
    positions: dict[YamlPath, Position]
    lines: list[str]


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet. `key` is the mapping's key whose value comes next."""

    value: Any
    path: YamlPath
    key: str | None = None
    key_place: tuple[int, int] = (0, 0)
    key_places: dict[str, int] = field(default_factory=dict[str, int])


def read_yaml(data: bytes, *, file: str) -> YamlDocument:
    """The one document of `data`; an empty text is the value None. Raises `PlanError` with every problem found."""
    if len(data) > MAX_BYTES:
        raise too_large(file)
    text = _decode(data, file=file)
    lines = _LINE_END.split(text)
    try:
        return _Builder(file, lines).build(text, Loader)
    except _TooDeepError:
        # The slower parser tells level by level, so that the place is that of the first one too many.
        return _Builder(file, lines).build(text, yaml.Loader)


def too_large(file: str) -> PlanError:
    """The error for a file over `MAX_BYTES`."""
    hint = "put long texts into files of their own and name them in `inputs:` or as `prompt: {file: …}`"
    return PlanError([Problem(file, 0, 0, f"a plan has at most {MAX_BYTES // 1_000_000} MB", hint=hint)])


def _decode(data: bytes, *, file: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        shown = _LINE_END.split(
            data[: error.start].decode("utf-8-sig", "replace") + data[error.start :][:80].decode("latin-1")
        )
        hint = "save it as UTF-8; it looks like " + ("UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1")
        raise _at_offset(file, before, shown, f"not UTF-8: the byte 0x{data[error.start]:02x}", hint) from None
    found = _UNPRINTABLE.search(text)
    if found:
        name = "a NUL character" if found[0] == "\0" else f"the control character U+{ord(found[0]):04X}"
        hint = "remove it" if found[0] == "\0" else 'remove it, or write it as an escape in double quotes, "\\x1b"'
        raise _at_offset(file, text[: found.start()], _LINE_END.split(text), name, hint)
    return text


def _at_offset(file: str, before: str, lines: list[str], message: str, hint: str) -> PlanError:
    line = len(_LINE_END.split(before))
    column = len(_LINE_END.split(before)[-1]) + 1
    shown = _UNPRINTABLE.sub("\ufffd", lines[line - 1]) if line <= len(lines) else ""
    return PlanError([Problem(file, line, column, message, shown, hint)])


class _Builder:
    """Takes events one by one; refuses what a plan may not hold."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self._file = file
        self._lines = lines
        self._problems: list[Problem] = []
        self._positions: dict[YamlPath, Position] = {}
        self._open: list[_Open] = []
        self._value: object = None
        self._documents = 0

    def build(self, text: str, loader: Any) -> YamlDocument:
        events = cast("Iterator[Any]", yaml.parse(text, Loader=loader))  # pyright: ignore[reportUnknownMemberType]
        try:
            for count, event in enumerate(events):
                if count > MAX_EVENTS:
                    self._stop(event.start_mark, "the plan has too many values", "put long lists into files")
                if isinstance(event, yaml.NodeEvent):
                    self._node(event)
                elif isinstance(event, yaml.CollectionEndEvent):
                    self._open.pop()
                elif isinstance(event, yaml.DocumentStartEvent):
                    self._document(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = error.problem or error.context or "not YAML"
            if _TOO_DEEP in what and loader is not yaml.Loader:
                raise _TooDeepError from error
            self._problems.append(self._problem(mark, f"not YAML: {what}", _syntax_hint(what, self._line(mark))))
        except yaml.YAMLError as error:
            self._problems.append(Problem(self._file, 0, 0, f"not YAML: {str(error).splitlines()[0]}"))
        except _StopError:
            pass  # the problem is noted
        if self._problems:
            raise PlanError(self._problems)
        return YamlDocument(self._value, self._positions, self._lines)

    def _line(self, mark: Any) -> str:
        at: int = mark.line if mark is not None else len(self._lines)
        return self._lines[at] if at < len(self._lines) else ""

    def _problem(self, mark: Any, message: str, hint: str = "") -> Problem:
        if mark is None:
            return Problem(self._file, 0, 0, message, hint=hint)
        return Problem(self._file, mark.line + 1, mark.column + 1, message, self._line(mark), hint)

    def _stop(self, mark: Any, message: str, hint: str) -> NoReturn:
        self._problems.append(self._problem(mark, message, hint))
        raise _StopError

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(event.start_mark, "a second document", "a plan is one document: remove the `---` line")

    def _refuse_properties(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            message, hint = f"an alias, `*{event.anchor}`", "write the value out, or quote a text that begins with *"
            self._stop(event.start_mark, message, hint)
        if event.anchor is not None:
            self._stop(
                event.start_mark, f"an anchor, `&{event.anchor}`", "remove it, or quote a text that begins with &"
            )
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._stop(event.start_mark, f"a tag, `{shown}`", "remove it, or quote a text that begins with !")

    def _node(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            self._key(parent, event)
            return
        value = self._start(event)
        path, key_place = self._attach(parent, value, event.start_mark)
        self._positions[path] = self._position(event, key_place)
        if not isinstance(event, yaml.ScalarEvent):
            if len(self._open) >= MAX_DEPTH:
                self._stop(
                    event.start_mark, f"more than {MAX_DEPTH} levels inside each other", "a plan needs six at most"
                )
            self._open.append(_Open(value, path))

    def _start(self, event: Any) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else _scalar(event.value)
        return list[object]() if isinstance(event, yaml.SequenceStartEvent) else dict[str, object]()

    def _key(self, parent: _Open, event: Any) -> None:
        mark = event.start_mark
        key = self._start(event)
        if not isinstance(key, str):
            shown = f"`{event.value}`" if isinstance(event, yaml.ScalarEvent) else "a list or mapping"
            braces = self._line(mark)[mark.column - 1 :].startswith("{{")
            hint = (
                "a text that begins with {{ needs quotes, or a block after `|`" if braces else "put the key in quotes"
            )
            self._stop(mark, f"a key must be a text, not {shown}", hint)
        if key in parent.key_places:
            message = f"the key `{key}` stands here twice, first in line {parent.key_places[key]}"
            self._problems.append(self._problem(mark, message, "keep one of the two"))
        parent.key_places[key] = mark.line + 1
        parent.key = key
        parent.key_place = (mark.line + 1, mark.column + 1)

    def _attach(self, parent: _Open | None, value: object, mark: Any) -> tuple[YamlPath, tuple[int, int]]:
        here = (mark.line + 1, mark.column + 1)
        if parent is None:
            self._value = value
            return (), here
        if parent.key is None:
            parent.value.append(value)
            return (*parent.path, len(parent.value) - 1), here
        key, parent.key = parent.key, None
        parent.value[key] = value
        return (*parent.path, key), parent.key_place

    def _position(self, event: Any, key_place: tuple[int, int]) -> Position:
        mark = event.start_mark
        style = event.style or "" if isinstance(event, yaml.ScalarEvent) else ""
        if style not in ("|", ">"):
            return Position(*key_place, mark.line + 1, mark.column + 1, style)
        block = self._lines[mark.line + 1 : event.end_mark.line + (event.end_mark.column > 0)]
        indent = min((len(line) - len(line.lstrip(" ")) for line in block if line.strip(" ")), default=0)
        return Position(*key_place, mark.line + 1, mark.column + 1, style, mark.line + 2, indent)


class _TooDeepError(Exception):
    """The fast parser gave up before it came to the level that is one too many."""


class _StopError(Exception):
    """Reading on makes no sense; the problem is noted."""


def _scalar(text: str) -> object:
    """The value of a plain scalar by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        lower = text.lower()
        return float(lower.replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _syntax_hint(what: str, line: str) -> str:
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in what:
        return "indent with spaces; YAML takes no tabs"
    if "mapping values" in what:
        return "a text that holds `: ` needs quotes, or a block after `|`"
    if "%" in line or "{" in line or "@" in line or "`" in line:
        return "a text that begins with one of { [ % @ ` or * & ! needs quotes, or a block after `|`"
    return "check quotes, brackets and indentation near this place"


def plan_to_yaml(plan: Mapping[str, Any], *, comment: str = "") -> str:
    """The plan as YAML for people: keys in their order, texts of several lines as blocks, `comment` above all.

    `read_yaml` reads the same values from it, of any plain values (texts, numbers, true, false, none, lists,
    mappings) without half characters.
    """
    text: str = yaml.dump(plan, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, text])


_WIDTH = 110
_BLOCK = re.compile("[^\t\r\x85\u2028\u2029]*")
_KEPT_PLAIN = re.compile("[\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*")


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, and indents lists inside mappings."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Any:
    """A block where that is exact; quotes where a plain scalar would be read as something else than this text."""
    style = None
    if "\n" in text.strip("\n") and _BLOCK.fullmatch(text) and _KEPT_PLAIN.fullmatch(text):
        style = "|"
    elif _scalar(text) is not text or not _KEPT_PLAIN.fullmatch(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _represent_text)  # pyright: ignore[reportUnknownMemberType]
