"""What a plan expects of answers and of the result: the form of `expect` and `review`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orchestrator.plan.part import FileText, ModelName, PlanPart

SourceAspect = Literal["headings", "code", "links", "numbers"]
ConsistencyAspect = Literal["names", "numbers"]


def _short_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_short_list, json_schema_input_type=str | list[str]),
    Field(strict=False),
]


class ExpectSpec(PlanPart):
    """What a text has to be like. At least one of these is given; where a list is taken, one text will do."""

    contains: Texts = Field(default=(), description="Texts that have to stand in it, letter by letter.")
    matches: Texts = Field(
        default=(), description="Regular expressions that have to match somewhere; ^ and $ are the ends of any line."
    )
    min_words: int | None = Field(default=None, ge=1, description="Words that it has at least.")
    max_words: int | None = Field(default=None, ge=1, description="Words that it has at most.")
    headings: Texts = Field(
        default=(), description="Markdown headings that it has, in this order; others may stand between them."
    )
    json_schema: dict[str, Any] | None = Field(
        default=None, description="It is JSON, fenced or not, that fits this JSON Schema."
    )
    no_refusal: Literal[True] | None = Field(
        default=None, description="It does not begin like a refusal, as in: I can't help with that."
    )
    same_as_source: Annotated[tuple[SourceAspect, ...], Field(strict=False)] = Field(
        default=(), description="In a `for_each`: what stays as it is in the piece, as in a translation."
    )


class ReviewSpec(PlanPart):
    """What the result is looked at for once all chunks have answered. What is found goes back to the chunk it is in."""

    coverage: str | None = Field(
        default=None, min_length=1, description="A chunk, such as an outline, each point of which the result answers."
    )
    consistency: Annotated[tuple[ConsistencyAspect, ...], Field(strict=False)] = Field(
        default=(), description="Names, numbers, or both, that differ between chunks and should not."
    )
    rubric: str | FileText | None = Field(
        default=None, description="What a model judges the result by, in words; one more call a round."
    )
    model: ModelName | None = Field(default=None, description="Model that judges; that of the plan when left out.")
    repair: str | None = Field(
        default=None, min_length=1, description="The chunk that puts right what concerns the result as a whole."
    )
    rounds: int = Field(
        default=1, ge=0, le=5, description="Rounds of repair; with 0 what is found is told and nothing is repaired."
    )
