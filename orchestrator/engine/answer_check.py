"""Whether an answer has the form that was asked for. Pure.

The CLI checks too, but what it lets through is checked again here, and what no schema can say: that each record belongs
to one row, and each row has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from orchestrator.engine.ceilings import Continuations
from orchestrator.plan.answer_form import AnswerForm
from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.schema_check import misfit
from orchestrator.plan.workload import Chunk
from orchestrator.prompt_texts import fill, prompt_text
from orchestrator.runners.base import Failure, FailureClass, Reply

_NAMED = 5
"""Rows that are named in a reason before they are only counted."""


class WrongForm(ValueError):  # noqa: N818 (it says what is the case, as `RenderTooLarge` does)
    """The answer does not fit. The message says where and why, with nothing of the answer but names of rows."""


def value_text(text: str, form: AnswerForm) -> str:
    """The answer as it is kept: compact JSON, out of its wrapper, the records in the order of their rows.

    `text` is the JSON text that the runner gave. Raises `WrongForm`.
    """
    try:
        value = read_json(text)
    except ValueError as error:
        raise WrongForm(f"it is no JSON: {error}") from None
    if form.wrapper:
        if not isinstance(value, dict) or list(cast("dict[str, Any]", value)) != [form.wrapper]:
            raise WrongForm(f"it is no object with `{form.wrapper}` alone")
        value = cast("dict[str, Any]", value)[form.wrapper]
    if wrong := misfit(value, form.answer_schema):
        raise WrongForm(wrong)
    if form.key and form.rows:
        records = _in_row_order(cast("list[dict[str, Any]]", value if form.is_list else [value]), form)
        value = records if form.is_list else records[0]
    return write_json(value, compact=True)


def _in_row_order(records: Sequence[Mapping[str, Any]], form: AnswerForm) -> list[Mapping[str, Any]]:
    names = [str(record.get(form.key, "")).strip() for record in records]
    counts = Counter(names)
    missing = [row for row in form.rows if not counts[row]]
    twice = [row for row in form.rows if counts[row] > 1]
    strange = len([name for name in names if name not in set(form.rows)])
    told = [f"no record has the {form.key} {_named(missing)}"] if missing else []
    told += [f"several have the {form.key} {_named(twice)}"] if twice else []
    told += [f"{strange} have a {form.key} of no row"] if strange else []
    if told:
        raise WrongForm("; ".join(told))
    of_row = dict(zip(names, records, strict=True))
    return [of_row[row] for row in form.rows]


def _named(rows: Sequence[str]) -> str:
    shown = ", ".join(rows[:_NAMED])
    return shown if len(rows) <= _NAMED else f"{shown} and {len(rows) - _NAMED} more"


class AnswerCheck:
    """Looks at every answer before it is stored, and tells a chunk's next attempt what was wrong with the last one.

    `chunks` may grow; `continuations` has the beginnings of answers that were cut.
    """

    def __init__(self, chunks: Mapping[str, Chunk], continuations: Continuations) -> None:
        self._chunks = chunks
        self._continuations = continuations
        self._wrong: dict[str, str] = {}

    def prompt(self, chunk_id: str, prompt: str) -> str:
        """What the next attempt is asked: the chunk's prompt, with what its earlier attempts have shown."""
        prompt = self._continuations.prompt(chunk_id, prompt)
        reason = self._wrong.get(chunk_id)
        return prompt if reason is None else fill(prompt_text("wrong-form"), {"prompt": prompt, "reason": reason})

    def judged(self, chunk_id: str, outcome: Reply | Failure) -> Reply | Failure:
        """The outcome of an attempt: a reply only when it is whole and has the form that was asked for."""
        if isinstance(outcome, Failure):
            return outcome
        text, form = self._continuations.whole(chunk_id, outcome.text), self._chunks[chunk_id].form
        error_type, message = FailureClass.EMPTY, "the answer is empty"
        if text.strip():
            try:
                return replace(outcome, text=text if form is None else value_text(text, form))
            except WrongForm as wrong:
                error_type, message = FailureClass.MALFORMED, f"the answer does not have the form asked for: {wrong}"
                self._wrong[chunk_id] = str(wrong)
        return Failure(error_type=error_type, message=message, cost_usd=outcome.cost_usd, usage=outcome.usage)
