"""The form that an answer has to have: what the CLI is given, what is checked, and how the two belong together. Pure.

The CLI takes the schema of an object alone (2.1.330: an array is never a tool's input), so any other is asked for as
the one property of an object, and taken out of it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.prompt_texts import prompt_text

_DEFINITIONS = ("$defs", "definitions")
_NAMES = ("$schema", "$id")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForm:
    """What an answer looks like.

    `schema` (a JSON Schema) is of the answer, or with `each_row` of one record; where a prompt holds a batch of rows,
    `is_list`, the answer is then an array with a record for each of them. With `key` that field of a record has the
    name of its row, and `rows` are the names, in order.
    """

    schema: Mapping[str, Any]
    each_row: bool = False
    key: str = ""
    rows: tuple[str, ...] = ()
    is_list: bool = False

    def for_batch(self, rows: tuple[str, ...]) -> AnswerForm:
        """The form of the answer to a prompt with these rows."""
        return replace(self, rows=rows, is_list=True) if self.each_row else self

    def for_row(self, row: str) -> AnswerForm:
        """The form of the answer to a prompt with this row alone."""
        return replace(self, rows=(row,) if self.key else (), is_list=False)

    @property
    def answer_schema(self) -> Mapping[str, Any]:
        """The schema of the answer itself."""
        if not self.is_list:
            return self.schema
        count = len(self.rows)
        records = {"type": "array", "items": self.schema, "minItems": count, "maxItems": count}
        return records | {"description": prompt_text("records")}

    @property
    def wrapper(self) -> str:
        """The property that the answer stands in, "" when it is an object of its own."""
        kind = self.answer_schema.get("type")
        return "" if kind == "object" else "items" if kind == "array" else "value"

    @property
    def sent(self) -> Mapping[str, Any]:
        """The schema that the CLI is given: always that of an object, and without a name of its own."""
        schema = {name: value for name, value in self.answer_schema.items() if name not in _NAMES}
        if not self.wrapper:
            return schema
        shared = {name: schema.pop(name) for name in _DEFINITIONS if name in schema}
        return {
            "type": "object",
            "properties": {self.wrapper: schema},
            "required": [self.wrapper],
            "additionalProperties": False,
            **shared,
        }
