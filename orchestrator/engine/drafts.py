"""What a chunk has answered so far, when that is not its answer yet: cut at the output limit, or sent back. Pure.

Of an answer that was cut the rest is asked for in a new call, and of one that is not what the plan expects the whole,
with the reason: nothing paid for is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.engine.ceilings import join_continuation
from orchestrator.engine.reviewing.answer_check import WrongForm, value_text
from orchestrator.engine.reviewing.judging import answer_shortfalls
from orchestrator.plan.values import Answer
from orchestrator.plan.workload import Chunk
from orchestrator.prompt_texts import fill, prompt_text
from orchestrator.runners.base import Failure, FailureClass, Reply

MAX_CONTINUATIONS = 5
"""Calls for the rest of one answer: with the CLI's own, twenty-four times the model's output limit."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What there is of an answer that was cut so many times."""

    text: str = ""
    cuts: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """An answer that is not what the plan expects, and why not, a sentence each."""

    text: str
    problems: tuple[str, ...]


class Drafts:
    """The answers of one process that are not whole, or not right, by chunk.

    Of one chunk only one thing happens at a time; of several, `whole` may look at the replies in threads.
    """

    def __init__(self) -> None:
        self._beginnings: dict[str, Beginning] = {}
        self._rejected: dict[str, Rejected] = {}
        self._wrong_forms: dict[str, str] = {}

    def found(self, chunk_id: str, draft: Beginning | Rejected) -> None:
        """An earlier process got so far, or gave an answer that will not do any more."""
        if isinstance(draft, Beginning):
            self._beginnings[chunk_id] = draft
        else:
            self._rejected[chunk_id] = draft

    def is_cut(self, chunk: Chunk, failure: Failure) -> bool:
        """Whether what was written can be gone on with; half a JSON value cannot, it is asked for again."""
        return failure.error_type is FailureClass.OUTPUT_CEILING and chunk.output_schema is None

    def keep(self, chunk_id: str, text: str) -> Beginning | None:
        """Keep what was written before a cut; None, and nothing is kept, when the rest may not be asked for."""
        before = self._beginnings.pop(chunk_id, Beginning())
        if not text.strip() or before.cuts >= MAX_CONTINUATIONS:
            return None
        self._beginnings[chunk_id] = Beginning(join_continuation(before.text, text), before.cuts + 1)
        return self._beginnings[chunk_id]

    def whole(self, chunk: Chunk, reply: Reply) -> Reply | Failure:
        """The reply with what was written before it, in the form that was asked for; a failure when it is empty, has
        another form, or is not what the plan expects.
        """
        text = join_continuation(self._beginnings.pop(chunk.id, Beginning()).text, reply.text)
        charged = Failure(
            error_type=FailureClass.EMPTY,
            message="",
            cost_usd=reply.cost_usd,
            usage=reply.usage,
            windows=reply.windows,
        )
        if not text.strip():
            return replace(charged, message="the answer is empty")
        if chunk.form is not None:
            try:
                text = value_text(text, chunk.form)
            except WrongForm as wrong:
                self._wrong_forms[chunk.id] = str(wrong)
                message = f"the answer does not have the form asked for: {wrong}"
                return replace(charged, error_type=FailureClass.MALFORMED, message=message)
        problems = answer_shortfalls(chunk, text)
        if problems:
            self._rejected[chunk.id] = Rejected(text, problems)
            return replace(charged, error_type=FailureClass.REJECTED, message="; ".join(problems))
        return replace(reply, text=text)

    def prompt(self, chunk_id: str, prompt: str) -> str:
        """What is asked now: the prompt itself, or one that puts right or goes on with what is there."""
        if (rejected := self._rejected.get(chunk_id)) is not None:
            prompt = repair_prompt(chunk_id, prompt, rejected.text, rejected.problems)
        if (reason := self._wrong_forms.get(chunk_id)) is not None:
            prompt = fill(prompt_text("wrong-form"), {"prompt": prompt, "reason": reason})
        if (beginning := self._beginnings.get(chunk_id)) is None:
            return prompt
        answer = str(Answer(chunk_id, beginning.text))
        return fill(prompt_text("continue"), {"prompt": prompt, "answer": answer})


def repair_prompt(chunk_id: str, prompt: str, text: str, problems: Sequence[str]) -> str:
    """The prompt that asks for `text`, an answer to `prompt`, again with the problems put right."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    values = {"prompt": prompt, "problems": listed, "answer": str(Answer(chunk_id, text))}
    return fill(prompt_text("repair"), values)
