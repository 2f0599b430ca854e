"""What every part of a plan is made of. A leaf of this package."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

ID_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
MODEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,199}$"

ChunkId = Annotated[str, Field(pattern=ID_PATTERN)]
ModelName = Annotated[str, Field(pattern=MODEL_PATTERN)]


class PlanPart(BaseModel):
    """Base of every part: unknown keys are refused, values keep their YAML type, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Task = Literal["synthesis", "findings"]
ConflictRule = Literal["earliest", "latest", "both", "ask"]


class TaskText(PlanPart):
    """A prompt of our own for a `reduce`, so that nobody has to write again what most merges need."""

    task: Task = Field(
        description="synthesis: one text out of all. findings: one list, with what was found twice standing once."
    )
    conflicts: ConflictRule = Field(
        default="both",
        description="Where parts contradict each other: earliest or latest holds, both stay and are marked, or ask.",
    )


class FileText(PlanPart):
    """A text that stands in a file."""

    file: str = Field(
        min_length=1, description="Path of a UTF-8 text file, relative to the plan file, inside its folder."
    )


def _prompt_kind(value: Any) -> str:
    if isinstance(value, TaskText) or (isinstance(value, dict) and "task" in value):
        return "task"
    return "file" if isinstance(value, dict | FileText) else "text"


PromptText = Annotated[
    Annotated[str, Tag("text")] | Annotated[FileText, Tag("file")] | Annotated[TaskText, Tag("task")],
    Discriminator(_prompt_kind),
]
"""A prompt as a plan writes it."""
