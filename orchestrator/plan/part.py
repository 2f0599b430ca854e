"""What every part of a plan is made of. A leaf of this package."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
MODEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,199}$"

ChunkId = Annotated[str, Field(pattern=ID_PATTERN)]
ModelName = Annotated[str, Field(pattern=MODEL_PATTERN)]


class PlanPart(BaseModel):
    """Base of every part: unknown keys are refused, values keep their YAML type, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileText(PlanPart):
    """A text that stands in a file."""

    file: str = Field(
        min_length=1, description="Path of a UTF-8 text file, relative to the plan file, inside its folder."
    )
