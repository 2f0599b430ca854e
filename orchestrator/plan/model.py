"""The plan as a person writes it: validated, immutable, every field described (the description is the editor's hover).

This module knows the form of a plan, not its world: it reads no file. `load.py` reads files and reports places;
`workload.py` is what a run is made of.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.plan.accounts import AccountSettings
from orchestrator.plan.amounts import Share, Span
from orchestrator.plan.expecting import ExpectSpec, ReviewSpec
from orchestrator.plan.fields import FIELD_SCHEMA
from orchestrator.plan.part import ChunkId, FileText, ModelName, PlanPart, PromptText
from orchestrator.plan.stitching import StitchSpec
from orchestrator.plan.tool_settings import ToolSettings

Complexity = Literal["simple", "medium", "complex"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
OnMissing = Literal["skip", "gap"]
Isolation = Literal["fresh", "reuse"]
Mode = Literal["parallel", "sequence"]
SplitMode = Literal["markdown", "headings", "text", "code", "lines", "regex"]

TIMEOUT_S: dict[Complexity, float] = {"simple": 120.0, "medium": 300.0, "complex": 600.0}
"""Seconds for one attempt of each size class."""

REUSE_PATTERN = r"^(always|never|[1-9][0-9]{0,5}[smhd])$"
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]


def _short_context(value: Any) -> Any:
    return [cast("object", value)] if isinstance(value, str | dict) else value


def _short_input(value: Any) -> Any:
    if value == "required":
        return {"required": True}
    if isinstance(value, str):
        return {"file": value}
    return short_items(value)


def short_items(value: Any) -> Any:
    """The long form of a list; anything else as it is."""
    return {"items": cast("list[object]", value)} if isinstance(value, list | tuple) else value


def _short_patterns(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class InputSpec(PlanPart):
    """A named text, or several. Exactly one of `file`, `text`, `items`, `files`, `rows` and `required` is given.

    Short forms: a string is `{file: …}`, a list is `{items: […]}`, the word `required` is `{required: true}`.
    """

    file: str | None = Field(
        default=None, min_length=1, description="Path of a UTF-8 text file, relative to the plan file."
    )
    text: str | None = Field(default=None, description="The text itself.")
    items: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None, min_length=1, description="Several short texts; in a prompt they render one a line."
    )
    files: (
        Annotated[
            tuple[str, ...],
            BeforeValidator(_short_patterns, json_schema_input_type=str | list[str]),
            Field(strict=False),
        ]
        | None
    ) = Field(
        default=None,
        min_length=1,
        description="Glob patterns of UTF-8 text files, such as src/**/*.py; what .gitignore names is left out.",
    )
    rows: str | None = Field(
        default=None, min_length=1, description="Path of a .csv or .jsonl file, relative to the plan file."
    )
    key: str | None = Field(default=None, min_length=1, description="With `rows`: the column that names each row.")
    required: Literal[True] | None = Field(
        default=None, description="The text must come from the command line: --input NAME=FILE or --set NAME=TEXT."
    )


class SharedSettings(AccountSettings, ToolSettings):
    """Settings that a plan gives to all its chunks and a chunk may override."""

    model: ModelName | None = Field(
        default=None, description="Model alias or full name; the CLI's default when left out."
    )
    fallback_model: ModelName | None = Field(
        default=None, description="Model the CLI falls back to when the first is overloaded."
    )
    effort: Effort | None = Field(
        default=None, description="How hard the model thinks; the CLI's default when left out."
    )
    complexity: Complexity | None = Field(
        default=None, description="Size class: simple 120 s, medium 300 s (the default), complex 600 s for an attempt."
    )
    timeout_s: PositiveSeconds | None = Field(
        default=None, description="Seconds for one attempt; wins over `complexity`."
    )
    max_attempts: int | None = Field(
        default=None, ge=1, le=20, description="Attempts for a chunk, the first included; 3 when left out."
    )
    reuse: str | None = Field(
        default=None,
        pattern=REUSE_PATTERN,
        description="When a stored answer may be used again: always (the default), never (the default with tools), or "
        "up to an age such as 24h.",
    )
    isolation: Isolation | None = Field(
        default=None,
        description="fresh (the default): a process for each answer. reuse: one process answers several, with a clean "
        "conversation for each.",
    )


class ForEachSpec(PlanPart):
    """What a chunk runs over, once for each piece. Exactly one of `input`, `chunk` and `items` is given.

    Short form: a list is `{items: […]}`.
    """

    input: str | None = Field(
        default=None, min_length=1, description="An input: a text to split, files, items or rows."
    )
    chunk: str | None = Field(
        default=None,
        min_length=1,
        description="A chunk whose answer is taken apart (array, headings, list); over a `for_each` it is paired.",
    )
    items: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None, min_length=1, description="Short texts, one for each piece."
    )
    split: SplitMode | None = Field(
        default=None,
        description="How a text is cut: markdown, headings (with level), text, code, lines, regex (with pattern).",
    )
    level: int | None = Field(
        default=None, ge=1, le=6, description="With `split: headings`: one piece for each heading of this level."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Tokens (cl100k_base) that no piece exceeds, overlap not counted."
    )
    overlap_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of the neighbours shown as item.previous_tail and item.next_head."
    )
    pattern: str | None = Field(
        default=None, min_length=1, description="With `split: regex`: a piece begins at each match of this expression."
    )
    batch: int | None = Field(default=None, ge=1, description="Items or rows that go into one prompt; 1 when left out.")


class ReduceSpec(PlanPart):
    """Which answers a chunk merges, and how much goes into one merge."""

    chunk: str = Field(min_length=1, description="The `for_each` chunk whose answers are merged.")
    max_tokens: int = Field(
        ge=200, description="Tokens (cl100k_base) of the answers in one merge; more are merged in a tree."
    )
    final_prompt: PromptText | None = Field(
        default=None, description="Prompt of the last merge, when it is not that of all others."
    )


class CarrySpec(PlanPart):
    """What a chunk is told of those before it: `tail_tokens`, one of `summary` and `glossary`, or both."""

    tail_tokens: int | None = Field(
        default=None, ge=1, description="Tokens (cl100k_base) of the end of the answer before."
    )
    summary: Literal[True] | None = Field(
        default=None, description="A running summary of all answers so far, kept by one more call after each."
    )
    glossary: Literal[True] | None = Field(
        default=None, description="A running list of names and terms, kept by one more call after each answer."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=50,
        description="With `summary` or `glossary`: tokens (cl100k_base) that it may take in a prompt; 600 or 800 when "
        "left out.",
    )


class ChunkSpec(SharedSettings):
    """One sub-prompt as written in a plan."""

    id: ChunkId = Field(description="Name of the chunk: a small letter, then small letters, digits and underscores.")
    prompt: PromptText = Field(
        description="What is asked: a jinja2 template, {file: …} to read it from a file, or {task: …} in a `reduce`."
    )
    template: bool = Field(
        default=True, description="false takes the prompt literally, for prompts that contain braces."
    )
    depends_on: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="Chunks that must have an answer first, beside those the prompt refers to."
    )
    on_missing: OnMissing | None = Field(
        default=None,
        description="When something it refers to failed: skip it too (default for one answer), or go on with a visible "
        "gap (default for groups and `reduce`).",
    )
    for_each: (
        Annotated[ForEachSpec, BeforeValidator(short_items, json_schema_input_type=ForEachSpec | list[str])] | None
    ) = Field(default=None, description="Run this chunk once for each piece: {input: …}, {chunk: …} or a list.")
    reduce: ReduceSpec | None = Field(
        default=None, description="Merge the answers of a `for_each` chunk, in a tree when they are too long for one."
    )
    carry: CarrySpec | None = Field(
        default=None, description="What it is told of the chunks before it, in `mode: sequence` or over pieces."
    )
    fields: dict[str, Annotated[Any, WithJsonSchema(FIELD_SCHEMA)]] | None = Field(
        default=None,
        min_length=1,
        description="Fields of the record that it answers with: {customer: string, severity: [low, high]}. With "
        "`batch` the answer is a list with a record for each row.",
    )
    output_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema (draft 7) of the whole answer, or {file: schema.json}."
    )
    expect: ExpectSpec | None = Field(
        default=None, description="What its answer has to be like; an answer that is not is sent back with the reason."
    )


class Limits(PlanPart):
    """Bounds of a run."""

    max_concurrency: int = Field(default=4, ge=1, le=256, description="Chunks under way at once.")
    max_cost_usd: float | None = Field(default=None, gt=0, description="US dollars; nothing new starts beyond.")
    max_tokens: int | None = Field(
        default=None, gt=0, description="Tokens sent and received, cached ones included; nothing new starts beyond."
    )
    max_wall_s: float | None = Field(
        default=None, gt=0, description="Seconds of running time; nothing new starts beyond."
    )
    max_wait: Span | None = Field(
        default=None,
        description="How long the run waits in a row for a usage limit: 30m, 6h, 7d, or seconds; beyond, it stops.",
    )
    leave_usage: Share | None = Field(
        default=None,
        description="Share of each usage window of the login that is left alone, such as 30%.",
    )
    max_memory_mb: int = Field(
        default=2000,
        ge=100,
        description="Megabytes that the processes of one call may hold; beyond, the call is ended and made again.",
    )
    max_same_failure: int = Field(
        default=5, ge=1, description="Stop after so many chunks in a row failed for the same permanent reason."
    )


class Plan(SharedSettings):
    """A whole plan. Immutable; all references are checked by `load_plan`."""

    version: Literal[1] = Field(default=1, description="Version of this format.")
    name: str | None = Field(
        default=None,
        pattern=r"^[^\x00-\x1f/\\]{1,100}$",
        description="Name of the plan; by default the stem of its file.",
    )
    request: str | None = Field(default=None, description="The request as a whole; in prompts it is {{ request }}.")
    mode: Mode = Field(
        default="parallel", description="parallel: as dependencies allow. sequence: in plan order, one after the other."
    )
    context: Annotated[
        tuple[str | FileText, ...],
        BeforeValidator(_short_context, json_schema_input_type=str | FileText | list[str | FileText]),
        Field(strict=False),
    ] = Field(
        default=(),
        description="Text that is the same for all chunks: the system prompt. A string, {file: …}, or a list of both.",
    )
    inputs: dict[
        ChunkId, Annotated[InputSpec, BeforeValidator(_short_input, json_schema_input_type=InputSpec | str | list[str])]
    ] = Field(default_factory=dict, description="Named texts for the prompts.")
    chunks: Annotated[tuple[ChunkSpec, ...], Field(strict=False)] = Field(min_length=1, description="The sub-prompts.")
    stitch: StitchSpec = Field(default_factory=StitchSpec, description="How the answers become one result.")
    review: ReviewSpec | None = Field(
        default=None, description="What the result is looked at for when all chunks have answered, and how often."
    )
    limits: Limits = Field(default_factory=Limits, description="Bounds of a run.")
