"""The planner's answer, read, or what is wrong with it in words. Pure: whatever the text is, nothing is raised."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast

from orchestrator.engine.planner.form import (
    MAX_ANSWER_CHARS,
    MAX_CHUNKS,
    MAX_PROBLEMS,
    MAX_PROMPT_CHARS,
    MAX_WORDS,
    STRATEGIES,
    PlannedChunk,
    PlannerAnswer,
    Problems,
    Strategy,
    needed_inputs,
    needs,
    one_line,
    plain_id,
    shown,
)
from orchestrator.engine.planner.pieces import check_groups, read_merged, read_pieces
from orchestrator.plan.model import TIMEOUT_S


def read_answer(text: str, *, inputs: Sequence[str]) -> PlannerAnswer | list[str]:
    """The answer that `text` holds, or everything that is wrong with it in words that the planner can act on.

    `inputs` are the names that a chunk may ask for. Never raises.
    """
    problems = Problems()
    value = _json_object(text, problems)
    if value is None:
        return problems.found
    strategy = value.get("strategy")
    if strategy not in STRATEGIES:
        problems.add(f"`strategy` must be one of {', '.join(STRATEGIES)}, not {shown(strategy)}")
    reason = one_line(value.get("reason"))
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


def _json_object(text: str, problems: Problems) -> dict[str, Any] | None:
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
        problems.add(f"the answer must be one JSON object, not {shown(value)}")
        return None
    return cast("dict[str, Any]", value)


def _chunks(value: object, problems: Problems) -> list[PlannedChunk]:
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


def _chunk(value: object, at: int, problems: Problems) -> PlannedChunk | None:
    if not isinstance(value, dict):
        problems.add(f"chunk {at} must be an object, not {shown(value)}")
        return None
    raw = cast("dict[str, Any]", value)
    name = plain_id(one_line(raw.get("id")))
    if not name:
        problems.add(f"chunk {at} needs an `id` of small letters, digits and _, not {shown(raw.get('id'))}")
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
        problems.add(f"`complexity` of {told} must be one of {', '.join(TIMEOUT_S)}, not {shown(complexity)}")
        complexity = None
    return PlannedChunk(
        id=name,
        title=one_line(raw.get("title"))[:200],
        prompt=prompt,
        depends_on=_names(raw.get("depends_on"), f"`depends_on` of {told}", problems, ids=True),
        inputs=_names(raw.get("inputs"), f"`inputs` of {told}", problems),
        complexity=complexity,
        words=_words(raw.get("words"), told, problems),
        for_each=read_pieces(raw.get("for_each"), told, problems),
        reduce=read_merged(raw.get("reduce"), told, problems),
    )


def _words(value: object, told: str, problems: Problems) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < float("inf"):
        problems.add(f"`words` of {told} must be a whole number above 0, not {shown(value)}")
        return None
    if value > MAX_WORDS:
        problems.add(f"{told} is to have {shown(value)} words, an answer has at most {MAX_WORDS:,}: split it further")
        return None
    return round(value)


def _names(value: object, told: str, problems: Problems, *, ids: bool = False) -> tuple[str, ...]:
    """The names of a list, each once; nothing at all is an empty list. With `ids` they are normalised as ids are."""
    if value is None:
        return ()
    listed = cast("list[object]", value) if isinstance(value, list) else list[object]((value,))
    names: list[str] = []
    for each in listed:
        name = one_line(each)
        if not name:
            problems.add(f"{told} must be a list of names, not of {shown(each)}")
            break
        names.append(plain_id(name) or name if ids else name)
    return tuple(dict.fromkeys(names))


def _check_references(
    chunks: Sequence[PlannedChunk], stitch: Sequence[str], *, inputs: Sequence[str], problems: Problems
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
                problems.add(f"chunk {chunk.id} refers to the chunk {shown(name)}, which is not in the plan")
        for name in needed_inputs(chunk):
            if name not in inputs:
                problems.add(f"chunk {chunk.id} refers to the input {shown(name)}; the inputs are: {known}")
    for name in stitch:
        if name not in ids:
            problems.add(f"`stitch` names the chunk {shown(name)}, which is not in the plan")
    check_groups(chunks, problems)
    if not problems.found:
        _check_graph(chunks, stitch, problems)


def _check_graph(chunks: Sequence[PlannedChunk], stitch: Sequence[str], problems: Problems) -> None:
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
