"""Whether a process may be given another prompt: what the CLI said to `/clear`, folded from its messages. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from orchestrator.runners.base import Usage
from orchestrator.runners.claude_cli.messages import (
    ConversationReset,
    Init,
    Message,
    RateLimit,
    ResultLine,
    Skipped,
    UserLine,
)

CLEAR_LINE = json.dumps({"type": "user", "message": {"role": "user", "content": "/clear"}}).encode("ascii") + b"\n"
"""The one prompt that has no constant first line in front: it is meant as a command."""

HARMLESS = (Init, RateLimit, Skipped, UserLine)
"""What may be said between two prompts. Anything of a model's answer may not: it belongs to no prompt that we know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a process tells it has spent so far. It counts from its start, or from the last reset (2.1.332)."""

    cost_usd: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def taken_from(self, line: ResultLine) -> ResultLine:
        """The result with what came after this."""
        if self == NOTHING_SPENT:
            return line
        usage = Usage(
            input_tokens=max(0, line.usage.input_tokens - self.usage.input_tokens),
            output_tokens=max(0, line.usage.output_tokens - self.usage.output_tokens),
            cache_read_tokens=max(0, line.usage.cache_read_tokens - self.usage.cache_read_tokens),
            cache_write_tokens=max(0, line.usage.cache_write_tokens - self.usage.cache_write_tokens),
        )
        return replace(line, cost_usd=max(0.0, line.cost_usd - self.cost_usd), usage=usage)


NOTHING_SPENT = Spent()


class Clearing:
    """State of one `/clear`. Feed it every message with `add`.

    `over` when the CLI has said its last word to it; `clean` when the next prompt then begins a conversation without
    what was said before. With `--disable-slash-commands` the CLI reports a success and goes on with the old one
    (2.1.328), so success alone is no sign: a `conversation_reset` line is, followed by a result that took no turn.
    `spent` is what the process counts from here on.
    """

    def __init__(self) -> None:
        self.over = False
        self.clean = False
        self.spent = NOTHING_SPENT
        self._reset = False
        self._spoiled = False

    def add(self, message: Message) -> None:
        """Take the next message in."""
        if isinstance(message, ConversationReset) and not self.over:
            self._reset = True
        elif isinstance(message, ResultLine) and not self.over:
            self.over = True
            self.clean = self._reset and not self._spoiled and message.is_error is False and message.num_turns == 0
            self.spent = Spent(cost_usd=message.cost_usd, usage=message.usage)
        elif not isinstance(message, HARMLESS):
            self._spoiled = True
            self.clean = False
