"""Whether an answer has the form that was asked for. Pure.

The CLI checks too, but what it lets through is checked again here, and what no schema can say: that each record belongs
to one row, and each row has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from orchestrator.plan.answer_form import AnswerForm
from orchestrator.plan.json_text import read_json, write_json
from orchestrator.plan.schema_check import misfit

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
