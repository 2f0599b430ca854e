"""The planner: from a request to a prompt that asks for a plan, and from the model's answer to that plan. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.engine.planner_answer import (
    MAX_CHUNKS,
    MAX_PROMPT_CHARS,
    MAX_WORDS,
    PLACEHOLDER,
    PlannedChunk,
    PlannerAnswer,
    Strategy,
    in_order,
    needed_inputs,
    needs,
    placed,
    read_answer,
    reference_name,
)
from orchestrator.plan.load import STAND_IN
from orchestrator.plan.model import TIMEOUT_S
from orchestrator.plan.tally import Tally
from orchestrator.plan.template import compile_template
from orchestrator.plan.tokens import head_tokens
from orchestrator.plan.workload import InputText, Workload
from orchestrator.prompt_texts import fill, json_text, prompt_text

PLANNER_ID = "plan"
MEND_IDS = ("plan_mended_1", "plan_mended_2")
"""Chunk ids of the planner's calls: a plan that cannot be run is sent back at most twice."""

WHOLE_TOKENS = 300
"""An input up to this size (`cl100k_base`) is shown to the planner whole."""
HEAD_TOKENS = 150
"""Of a larger one, this much of its beginning."""
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


def planner_prompt(
    request: str,
    *,
    inputs: Sequence[InputText] = (),
    context: str = "",
    stitch_format: str = "markdown",
    tally: Tally | None = None,
) -> str:
    """What the planner is asked. Of each input it sees the name, the size in tokens and a short head.

    Counts tokens, by `tally`: that takes about a second for 5 MB of new inputs. Raises `TokenRanksError`.
    """
    tally = tally or Tally()
    tally.prepare(each.text for each in inputs)
    material = [_shown_input(each, tokens=tally.count(each.text)) for each in inputs]
    if context:
        head = head_tokens(context, CONTEXT_TOKENS)
        material.insert(0, _marked("context", 'context note="all chunks are told this too"', head))
    values = {
        "request": _marked("request", "request", request),
        "material": "\n\n".join(material) or "There are no inputs.",
        "format": stitch_format,
        "max_chunks": str(MAX_CHUNKS),
        "max_prompt_chars": str(MAX_PROMPT_CHARS),
        "max_words": str(MAX_WORDS),
    }
    return fill(prompt_text("planner"), values)


def mend_prompt(task: str, *, answer: str, problems: Sequence[str]) -> str:
    """What the planner is asked when its answer to `task` cannot be run."""
    shown = _marked("answer", "answer", head_tokens(answer, EARLIER_TOKENS))
    listed = "\n".join(f"- {problem}" for problem in problems)
    return fill(prompt_text("planner-mend"), {"task": task, "answer": shown, "problems": listed})


def answer_schema() -> dict[str, Any]:
    """The JSON Schema that the planner's answer has to fit."""
    return json.loads(json_text("planner-answer"))


def planning_workload(request: Workload, *, chunk_id: str, prompt: str) -> Workload:
    """A run of one chunk that asks `prompt` with the planner's schema, made of a workload that is `to_be_planned`.

    Model, effort and attempts are the plan's own. Its answer may always be reused: a request is planned once.
    """
    chunk = replace(
        request.chunks[STAND_IN["id"]],
        id=chunk_id,
        template=compile_template(prompt, literal=True),
        references=(),
        complexity="complex",
        timeout_s=max(TIMEOUT_S["complex"], request.plan.timeout_s or 0.0),
        reuse="always",
        # A second mend may have the very prompt of the first: it is another question all the same.
        occurrence=MEND_IDS.index(chunk_id) if chunk_id in MEND_IDS else 0,
        recipe=hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest(),
        output_schema=answer_schema(),
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


def plan_from_answer(answer: str, *, base: Mapping[str, Any], inputs: Sequence[str] = ()) -> PlannedWork | list[str]:
    """The plan that the answer makes of `base`, or everything that is wrong with the answer. Never raises.

    `base` is a plan with a request and without chunks; what it says stays, and `inputs` are the names of its inputs.
    What the planner wrote becomes data: only its references to its own chunks and to inputs are placeholders.
    """
    read = read_answer(answer, inputs=inputs)
    if isinstance(read, list):
        return read
    if read.strategy == "single":
        chunks: list[dict[str, Any]] = [_single(inputs)]
        stitched = [chunks[0]["id"]]
    else:
        chunks = [_chunk(each) for each in in_order(read)]
        stitched = list(read.stitch) or _leaves(read)
    plan = {key: value for key, value in base.items() if key not in ("chunks", "stitch")}
    if read.strategy == "sequence":
        plan.setdefault("mode", "sequence")
    plan["chunks"] = chunks
    plan["stitch"] = {**(base.get("stitch") or {}), "chunks": stitched}
    titles = {chunk.id: chunk.title for chunk in read.chunks}
    return PlannedWork(strategy=read.strategy, reason=read.reason, plan=plan, titles=titles)


def as_template(text: str) -> str:
    """A template that renders as `text`, but for its references to chunks and inputs, which stay placeholders."""
    parts: list[str] = []
    end = 0
    for found in PLACEHOLDER.finditer(text):
        parts += [_literal(text[end : found.start()]), _reference(found[1], reference_name(found[1], found[2]))]
        end = found.end()
    return "".join([*parts, _literal(text[end:])])


def _literal(text: str) -> str:
    # A brace before a brace, a sign or a placeholder could open a tag; written as a constant it cannot.
    return re.sub(r"\{(?=[{%#]|\Z)", "{{ '{' }}", text)


def _reference(namespace: str, name: str) -> str:
    return f"{{{{ {namespace}.{name} }}}}"


def _single(inputs: Sequence[str]) -> dict[str, Any]:
    material = [_input_text(name) for name in inputs]
    return {"id": STAND_IN["id"], "prompt": "\n\n".join([STAND_IN["prompt"], *material]), "complexity": "complex"}


def _chunk(chunk: PlannedChunk) -> dict[str, Any]:
    here, inputs = set(placed(chunk.prompt, "chunks")), set(placed(chunk.prompt, "inputs"))
    parts = [as_template(chunk.prompt)]
    if chunk.words is not None:
        parts.append(fill(prompt_text("planned-words"), {"words": f"{chunk.words:,}"}))
    parts += [_input_text(name) for name in needed_inputs(chunk) if name not in inputs]
    parts += [_reference("chunks", name) for name in needs(chunk) if name not in here]
    spec: dict[str, Any] = {"id": chunk.id}
    if chunk.complexity is not None:
        spec["complexity"] = chunk.complexity
    return spec | {"prompt": "\n\n".join(parts)}


def _input_text(name: str) -> str:
    return fill(prompt_text("planned-input"), {"name": name, "text": _reference("inputs", name)})


def _leaves(answer: PlannerAnswer) -> list[str]:
    needed = {name for chunk in answer.chunks for name in needs(chunk)}
    return [chunk.id for chunk in answer.chunks if chunk.id not in needed]


def _shown_input(each: InputText, *, tokens: int) -> str:
    whole = tokens <= WHOLE_TOKENS
    shown = "whole" if whole else f"its first {HEAD_TOKENS} tokens"
    label = f'input name="{each.name}" tokens="{tokens}" shown="{shown}"'
    return _marked("input", label, each.text if whole else head_tokens(each.text, HEAD_TOKENS))


def _marked(kind: str, label: str, text: str) -> str:
    """The text between marks that it cannot forge: they carry a hash of all of it."""
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return fill(prompt_text("planner-material"), {"kind": kind, "label": label, "hash": digest, "text": text})
