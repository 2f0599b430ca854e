"""The planner's answer, read, or what is wrong with it in words. Pure: whatever the text is, nothing is raised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, cast

from orchestrator.plan.model import TIMEOUT_S

Strategy = Literal["single", "parallel", "sequence", "dag"]
STRATEGIES: tuple[Strategy, ...] = ("single", "parallel", "sequence", "dag")

MAX_CHUNKS = 40
"""More chunks than this are not a plan that a person can review."""
MAX_PROMPT_CHARS = 12_000
"""Characters of a prompt that the planner writes itself; inputs and answers come on top."""
MAX_WORDS = 8_000
"""Words of one answer: with a larger budget it comes near the output ceiling of models in use."""
MAX_ANSWER_CHARS = 1_000_000
MAX_PROBLEMS = 20
"""Problems told at once."""

_SHOWN_CHARS = 60
_ID_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChunk:
    """One chunk as the planner wants it: ids are normalised, `prompt` is its own text, not yet a template."""

    id: str
    title: str
    prompt: str
    depends_on: tuple[str, ...]
    inputs: tuple[str, ...]
    complexity: str | None
    words: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerAnswer:
    """An answer that holds together: every reference leads somewhere, nothing is in a cycle. `stitch` may be empty."""

    strategy: Strategy
    reason: str
    chunks: tuple[PlannedChunk, ...]
    stitch: tuple[str, ...]


@dataclass(slots=True)
class _Problems:
    """What is wrong, each thing once, in order."""

    found: list[str] = field(default_factory=list[str])

    def add(self, problem: str) -> None:
        if problem not in self.found:
            self.found.append(problem)


def read_answer(text: str, *, inputs: Sequence[str]) -> PlannerAnswer | list[str]:
    """The answer that `text` holds, or everything that is wrong with it in words that the planner can act on.

    `inputs` are the names that a chunk may ask for. Never raises.
    """
    problems = _Problems()
    value = _json_object(text, problems)
    if value is None:
        return problems.found
    strategy = value.get("strategy")
    if strategy not in STRATEGIES:
        problems.add(f"`strategy` must be one of {', '.join(STRATEGIES)}, not {_shown(strategy)}")
    reason = _text(value.get("reason"))
    if not reason:
        problems.add("`reason` is missing: say in one or two sentences why the strategy is right")
    chunks: list[PlannedChunk] = []
    stitch: tuple[str, ...] = ()
    if strategy != "single":
        chunks = _chunks(value.get("chunks"), problems)
        stitch = _names(value.get("stitch"), "`stitch`", problems, ids=True)
        _check_references(chunks, stitch, inputs=inputs, problems=problems)
    if problems.found:
        return problems.found[:MAX_PROBLEMS]
    return PlannerAnswer(strategy=cast("Strategy", strategy), reason=reason, chunks=tuple(chunks), stitch=stitch)


def plain_id(text: str) -> str:
    """`text` as an id of a chunk: small letters, digits and `_`, beginning with a letter; "" when nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if name and not name[0].isalpha():
        name = f"part_{name}"
    return name[:_ID_CHARS].rstrip("_")


def _json_object(text: str, problems: _Problems) -> dict[str, Any] | None:
    if len(text) > MAX_ANSWER_CHARS:
        problems.add(f"the answer has {len(text):,} characters; a plan has at most {MAX_ANSWER_CHARS:,}")
        return None
    fenced = re.fullmatch(r"\s*```[a-z]*\n(.*?)\n?```\s*", text, flags=re.DOTALL)
    try:
        value: object = json.loads(fenced[1] if fenced else text)
    except RecursionError:
        problems.add("the answer is nested too deeply; give the plan in the form that was asked for")
        return None
    except ValueError as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        what = "JSON that breaks off or is not well formed" if text.lstrip()[:1] in ("{", "[", "`") else "prose"
        problems.add(f"the answer is {what}{place}; give the plan alone, in the form that was asked for")
        return None
    if not isinstance(value, dict):
        problems.add(f"the answer must be one JSON object, not {_shown(value)}")
        return None
    return cast("dict[str, Any]", value)


def _chunks(value: object, problems: _Problems) -> list[PlannedChunk]:
    if not isinstance(value, list) or not value:
        problems.add("`chunks` must be a list with at least one chunk, unless the strategy is single")
        return []
    listed = cast("list[object]", value)
    if len(listed) > MAX_CHUNKS:
        problems.add(
            f"{len(listed)} chunks are too many: put parts together until there are at most {MAX_CHUNKS}, "
            "or choose single"
        )
        return []
    chunks = [_chunk(each, at, problems) for at, each in enumerate(listed, 1)]
    return [chunk for chunk in chunks if chunk is not None]


def _chunk(value: object, at: int, problems: _Problems) -> PlannedChunk | None:
    if not isinstance(value, dict):
        problems.add(f"chunk {at} must be an object, not {_shown(value)}")
        return None
    raw = cast("dict[str, Any]", value)
    name = plain_id(_text(raw.get("id")))
    if not name:
        problems.add(f"chunk {at} needs an `id` of small letters, digits and _, not {_shown(raw.get('id'))}")
        return None
    told = f"chunk {name}"
    prompt = raw.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        problems.add(f"{told} needs a `prompt` that says all its call has to know")
        prompt = ""
    elif "\0" in prompt or re.search("[\ud800-\udfff]", prompt):
        problems.add(f"the prompt of {told} holds a NUL character or half a character")
    elif len(prompt) > MAX_PROMPT_CHARS:
        problems.add(
            f"the prompt of {told} has {len(prompt):,} characters, at most {MAX_PROMPT_CHARS:,} are allowed: "
            "refer to inputs instead of quoting them"
        )
    complexity = raw.get("complexity")
    if complexity is not None and (not isinstance(complexity, str) or complexity not in TIMEOUT_S):
        problems.add(f"`complexity` of {told} must be one of {', '.join(TIMEOUT_S)}, not {_shown(complexity)}")
        complexity = None
    return PlannedChunk(
        id=name,
        title=_text(raw.get("title"))[:200],
        prompt=prompt,
        depends_on=_names(raw.get("depends_on"), f"`depends_on` of {told}", problems, ids=True),
        inputs=_names(raw.get("inputs"), f"`inputs` of {told}", problems),
        complexity=complexity,
        words=_words(raw.get("words"), told, problems),
    )


def _words(value: object, told: str, problems: _Problems) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < float("inf"):
        problems.add(f"`words` of {told} must be a whole number above 0, not {_shown(value)}")
        return None
    if value > MAX_WORDS:
        problems.add(f"{told} is to have {_shown(value)} words, an answer has at most {MAX_WORDS:,}: split it further")
        return None
    return round(value)


def _names(value: object, told: str, problems: _Problems, *, ids: bool = False) -> tuple[str, ...]:
    """The names of a list, each once; nothing at all is an empty list. With `ids` they are normalised as ids are."""
    if value is None:
        return ()
    listed = cast("list[object]", value) if isinstance(value, list) else list[object]((value,))
    names: list[str] = []
    for each in listed:
        name = _text(each)
        if not name:
            problems.add(f"{told} must be a list of names, not of {_shown(each)}")
            break
        names.append(plain_id(name) or name if ids else name)
    return tuple(dict.fromkeys(names))


def _check_references(
    chunks: Sequence[PlannedChunk], stitch: Sequence[str], *, inputs: Sequence[str], problems: _Problems
) -> None:
    ids = [chunk.id for chunk in chunks]
    for name in dict.fromkeys(each for each in ids if ids.count(each) > 1):
        problems.add(f"the id {name} stands for {ids.count(name)} chunks; give each its own")
    known = ", ".join(inputs) or "none"
    for chunk in chunks:
        for name in needs(chunk):
            if name == chunk.id:
                problems.add(f"chunk {name} depends on itself")
            elif name not in ids:
                problems.add(f"chunk {chunk.id} refers to the chunk {_shown(name)}, which is not in the plan")
        for name in needed_inputs(chunk):
            if name not in inputs:
                problems.add(f"chunk {chunk.id} refers to the input {_shown(name)}; the inputs are: {known}")
    for name in stitch:
        if name not in ids:
            problems.add(f"`stitch` names the chunk {_shown(name)}, which is not in the plan")
    if not problems.found:
        _check_graph(chunks, stitch, problems)


def _check_graph(chunks: Sequence[PlannedChunk], stitch: Sequence[str], problems: _Problems) -> None:
    graph = {chunk.id: needs(chunk) for chunk in chunks}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        problems.add(f"chunks wait for each other in a circle: {' → '.join(reversed(error.args[1]))}; break it")
        return
    used = set(stitch)
    waiting = list(stitch)
    while waiting:
        for name in graph[waiting.pop()]:
            if name not in used:
                used.add(name)
                waiting.append(name)
    for name in graph if stitch else ():
        if name not in used:
            problems.add(
                f"the answer of chunk {name} reaches nothing: name it in `stitch`, let another chunk depend on it, "
                "or leave it out"
            )


PLACEHOLDER = re.compile(r"\{\{\s*(chunks|inputs)\.([A-Za-z0-9_-]{1,100})\s*\}\}")
"""The only placeholders in what a planner writes; all other braces are plain text."""


def placed(prompt: str, namespace: str) -> Iterator[str]:
    """The names that a prompt refers to in its own text."""
    for found in PLACEHOLDER.finditer(prompt):
        if found[1] == namespace:
            yield reference_name(found[1], found[2])


def reference_name(namespace: str, name: str) -> str:
    """The name as it is meant: ids of chunks are normalised, names of inputs are not."""
    return plain_id(name) or name if namespace == "chunks" else name


def needs(chunk: PlannedChunk) -> tuple[str, ...]:
    """The chunks whose answers it needs, each once."""
    return tuple(dict.fromkeys((*placed(chunk.prompt, "chunks"), *chunk.depends_on)))


def needed_inputs(chunk: PlannedChunk) -> tuple[str, ...]:
    """The inputs it needs, each once."""
    return tuple(dict.fromkeys((*placed(chunk.prompt, "inputs"), *chunk.inputs)))


def in_order(answer: PlannerAnswer) -> tuple[PlannedChunk, ...]:
    """The chunks in the planner's order, but each after what it needs."""
    by_id: Mapping[str, PlannedChunk] = {chunk.id: chunk for chunk in answer.chunks}
    ordered: dict[str, PlannedChunk] = {}
    waiting = list(reversed(answer.chunks))
    while waiting:
        chunk = waiting[-1]
        missing = [name for name in needs(chunk) if name not in ordered]
        if missing and chunk.id not in ordered:
            waiting.extend(by_id[name] for name in reversed(missing))
        else:
            ordered.setdefault(waiting.pop().id, chunk)
    return tuple(ordered.values())


def _text(value: object) -> str:
    """A text on one line, without control characters and half characters; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(character if character.isprintable() else " " for character in value).split())


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
