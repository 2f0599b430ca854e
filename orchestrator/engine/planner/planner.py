"""The planner: from a request to a prompt that asks for a plan, and from the model's answer to that plan. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from orchestrator.engine.planner.answer import read_answer
from orchestrator.engine.planner.by_rule import large_inputs, plan_by_rule
from orchestrator.engine.planner.fit import MAX_PIECES, room_tokens
from orchestrator.engine.planner.form import (
    MAX_CHUNKS,
    MAX_PIECE_TOKENS,
    MAX_PROMPT_CHARS,
    MAX_WORDS,
    MIN_PIECE_TOKENS,
    PIECE_TOKENS,
    PLACEHOLDER,
    PlannedChunk,
    PlannerAnswer,
    Strategy,
    goes_over,
    in_order,
    needed_inputs,
    needs,
    placed,
    reference_name,
)
from orchestrator.engine.planner.material import marked, shown_input
from orchestrator.plan.load import STAND_IN
from orchestrator.plan.model import TIMEOUT_S
from orchestrator.plan.tally import Tally
from orchestrator.plan.template import compile_template
from orchestrator.plan.tokens import head_tokens
from orchestrator.plan.workload import InputKind, InputText, Workload
from orchestrator.prompt_texts import fill, json_text, prompt_text

PLANNER_ID = "plan"
MEND_IDS = ("plan_mended_1", "plan_mended_2")
"""Chunk ids of the planner's calls: a plan that cannot be run is sent back at most twice."""

PIECE, PARTS = "{{ item.text }}", "{{ parts }}"
"""What stands for a piece and for merged answers in a prompt. We alone write these; a planner's are plain text."""

CONTEXT_TOKENS = 1_000
"""The most that is shown of the plan's `context`."""
EARLIER_TOKENS = 12_000
"""The most that is shown of an answer that has to be mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWork:
    """What the planner decided. `plan` is a plan as a person writes it; `titles` has a few words for each chunk id."""

    strategy: Strategy
    reason: str
    plan: dict[str, Any]
    titles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerTask:
    """What the planner is asked, and the JSON Schema that its answer has to fit."""

    prompt: str
    schema: Mapping[str, Any]


def planner_task(request: Workload, tally: Tally | None = None) -> PlannerTask:
    """The task of planning a workload that is `to_be_planned`.

    Of each input the planner sees name, kind, size and a short head; it is told how much fits one call, and what does
    not. Where not everything does, the schema has the plan that size alone suggests as its default. Counts tokens, by
    `tally`: that takes about a second for 5 MB of new inputs. Raises `TokenRanksError`.
    """
    inputs, context, asked = list(request.inputs.values()), request.context, request.plan.request or ""
    tally = tally or Tally()
    tally.prepare(each.text for each in inputs)
    sizes = {each.name: tally.count(each.text) for each in inputs}
    room = room_tokens(request.chunks[STAND_IN["id"]].model, context=context)
    left = room - tally.count(asked)
    large = large_inputs(inputs, sizes=sizes, room=left)
    material = [shown_input(each, tokens=sizes[each.name]) for each in inputs]
    if context:
        head = head_tokens(context, CONTEXT_TOKENS)
        material.insert(0, marked("context", 'context note="all chunks are told this too"', head))
    values = {
        "request": marked("request", "request", asked),
        "material": "\n\n".join(material) or "There are no inputs.",
        "room": f"{room:,}",
        "too_large": _too_large(inputs, large, sizes, left),
        "format": request.stitch_format,
        "max_chunks": str(MAX_CHUNKS),
        "max_pieces": f"{MAX_PIECES:,}",
        "min_piece": f"{MIN_PIECE_TOKENS:,}",
        "max_piece": f"{MAX_PIECE_TOKENS:,}",
        "piece_tokens": f"{PIECE_TOKENS:,}",
        "max_prompt_chars": str(MAX_PROMPT_CHARS),
        "max_words": str(MAX_WORDS),
    }
    others = [each.name for each in inputs if each not in large]
    default = plan_by_rule(asked, large, others, sizes=sizes, room=room)
    return PlannerTask(
        prompt=fill(prompt_text("planner"), values),
        schema=answer_schema() | ({"default": default} if default is not None else {}),
    )


def _too_large(inputs: Sequence[InputText], large: Sequence[InputText], sizes: Mapping[str, int], room: int) -> str:
    """What is said of inputs that do not fit one call; the empty text when all do."""
    alone = {f"the input {each.name}": sizes[each.name] for each in large if sizes[each.name] > room}
    together = {"all inputs together": sum(sizes[each.name] for each in inputs)} if large and not alone else {}
    told = [
        fill(prompt_text("planner-too-large"), {"what": what, "tokens": f"{tokens:,}"})
        for what, tokens in {**alone, **together}.items()
    ]
    return "".join(f"\n{each}" for each in told)


def mend_task(task: PlannerTask, *, answer: str, problems: Sequence[str]) -> PlannerTask:
    """What the planner is asked when its answer to `task` cannot be run."""
    shown = marked("answer", "answer", head_tokens(answer, EARLIER_TOKENS))
    listed = "\n".join(f"- {problem}" for problem in problems)
    values = {"task": task.prompt, "answer": shown, "problems": listed}
    return replace(task, prompt=fill(prompt_text("planner-mend"), values))


def answer_schema() -> dict[str, Any]:
    """The JSON Schema that the planner's answer has to fit."""
    return json.loads(json_text("planner-answer"))


def planning_workload(request: Workload, *, chunk_id: str, task: PlannerTask) -> Workload:
    """A run of one chunk that asks the planner's task, made of a workload that is `to_be_planned`.

    Model, effort and attempts are the plan's own. Its answer may always be reused: a request is planned once.
    """
    chunk = replace(
        request.chunks[STAND_IN["id"]],
        id=chunk_id,
        template=compile_template(task.prompt, literal=True),
        references=(),
        complexity="complex",
        timeout_s=max(TIMEOUT_S["complex"], request.plan.timeout_s or 0.0),
        reuse="always",
        # A second mend may have the very prompt of the first: it is another question all the same.
        occurrence=MEND_IDS.index(chunk_id) if chunk_id in MEND_IDS else 0,
        recipe=hashlib.sha256(task.prompt.encode("utf-8", "replace")).hexdigest(),
        output_schema=task.schema,
        tooling=None,
        memory="",
    )
    return replace(
        request,
        name=f"{request.name} (planning)",
        context="",
        system="planner-system",
        chunks={chunk_id: chunk},
        stitch_chunks=(chunk_id,),
        stitch_format="text",
        stitch_template=None,
        stitch_schema=None,
        expect=None,
        review=None,
        rubric="",
        output=None,
    )


def plan_from_answer(
    answer: str, *, base: Mapping[str, Any], inputs: Mapping[str, InputKind] | None = None
) -> PlannedWork | list[str]:
    """The plan that the answer makes of `base`, or everything that is wrong with the answer. Never raises.

    `base` is a plan with a request and without chunks; what it says stays, and `inputs` are its inputs and their kinds.
    What the planner wrote becomes data: only its references to its own chunks and to inputs are placeholders.
    """
    kinds = inputs or {}
    read = read_answer(answer, inputs=list(kinds))
    if isinstance(read, list):
        return read
    if read.strategy == "single":
        chunks: list[dict[str, Any]] = [_single(list(kinds))]
        stitched = [chunks[0]["id"]]
    else:
        chunks = [_chunk(each, kinds) for each in in_order(read)]
        stitched = list(read.stitch) or _leaves(read)
    plan = {key: value for key, value in base.items() if key not in ("chunks", "stitch")}
    # In a sequence pieces would run one after the other too; what they wait for is known without it.
    if read.strategy == "sequence" and not any(chunk.for_each for chunk in read.chunks):
        plan.setdefault("mode", "sequence")
    plan["chunks"] = chunks
    plan["stitch"] = {**(base.get("stitch") or {}), "chunks": stitched}
    titles = {chunk.id: chunk.title for chunk in read.chunks}
    return PlannedWork(strategy=read.strategy, reason=read.reason, plan=plan, titles=titles)


def as_template(text: str, *, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """A template that renders as `text`, but for its references to chunks and inputs, which stay placeholders.

    `instead` has what stands in place of one, by names such as `inputs.book`.
    """
    parts: list[str] = []
    end = 0
    for found in PLACEHOLDER.finditer(text):
        name = f"{found[1]}.{reference_name(found[1], found[2])}"
        parts += [_literal(text[end : found.start()]), instead.get(name) or _reference(name)]
        end = found.end()
    return "".join([*parts, _literal(text[end:])])


def _literal(text: str) -> str:
    # A brace before a brace, a sign or a placeholder could open a tag; written as a constant it cannot.
    return re.sub(r"\{(?=[{%#]|\Z)", "{{ '{' }}", text)


def _reference(name: str) -> str:
    return f"{{{{ {name} }}}}"


def _single(inputs: Sequence[str]) -> dict[str, Any]:
    material = [_input_text(name) for name in inputs]
    return {"id": STAND_IN["id"], "prompt": "\n\n".join([STAND_IN["prompt"], *material]), "complexity": "complex"}


def _chunk(chunk: PlannedChunk, kinds: Mapping[str, InputKind]) -> dict[str, Any]:
    """A chunk of the plan: what it goes over stands where its prompt says so, else at the end, under a line of ours."""
    over = ".".join(goes_over(chunk)).strip(".")
    named = {f"{space}.{name}" for space in ("chunks", "inputs") for name in placed(chunk.prompt, space)}
    lead, shown = _piece_texts(chunk, kinds)
    parts = [as_template(chunk.prompt, instead={over: shown})]
    if chunk.words is not None:
        parts.append(fill(prompt_text("planned-words"), {"words": f"{chunk.words:,}"}))
    parts += [_input_text(name) for name in needed_inputs(chunk) if f"inputs.{name}" not in {*named, over}]
    parts += [_reference(f"chunks.{name}") for name in needs(chunk) if f"chunks.{name}" not in {*named, over}]
    parts += [lead] if over and over not in named else []
    spec: dict[str, Any] = {"id": chunk.id}
    if chunk.for_each is not None:
        pieces = {key: value for key, value in asdict(chunk.for_each).items() if value}
        spec["for_each"] = pieces | _defaults(pieces, kinds)
    if chunk.reduce is not None:
        spec["reduce"] = asdict(chunk.reduce)
    if chunk.complexity is not None:
        spec["complexity"] = chunk.complexity
    return spec | {"prompt": "\n\n".join(parts)}


def _defaults(pieces: Mapping[str, Any], kinds: Mapping[str, InputKind]) -> dict[str, Any]:
    """What has to be said of a text that is cut, where the planner left it out."""
    split = pieces.get("split") or ("markdown" if kinds.get(pieces.get("input", "")) == "text" else None)
    return {"split": split, "max_tokens": pieces.get("max_tokens", PIECE_TOKENS)} if split else {}


def _piece_texts(chunk: PlannedChunk, kinds: Mapping[str, InputKind]) -> tuple[str, str]:
    """What is written for a piece, or for merged answers: under a line of ours, and in place of a placeholder."""
    space, name = goes_over(chunk)
    if chunk.reduce is not None:
        return prompt_text("planned-parts"), PARTS
    if space == "chunks":
        return prompt_text("planned-element"), PIECE
    kind = kinds.get(name, "text")
    text = {"text": "planned-piece", "files": "planned-file"}.get(kind, "planned-one")
    return fill(prompt_text(text), {"name": name}), f"{{{{ item.source }}}}:\n{PIECE}" if kind == "files" else PIECE


def _input_text(name: str) -> str:
    return fill(prompt_text("planned-input"), {"name": name, "text": _reference(f"inputs.{name}")})


def _leaves(answer: PlannerAnswer) -> list[str]:
    needed = {name for chunk in answer.chunks for name in needs(chunk)}
    return [chunk.id for chunk in answer.chunks if chunk.id not in needed]
