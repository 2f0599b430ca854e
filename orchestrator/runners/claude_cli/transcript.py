"""What was said in one attempt, folded from its messages; no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.runners.base import UsageWindow
from orchestrator.runners.claude_cli.clearing import NOTHING_SPENT, Spent
from orchestrator.runners.claude_cli.messages import (
    ApiRetry,
    AssistantLine,
    ConversationReset,
    Init,
    Malformed,
    Message,
    RateLimit,
    RefusalNote,
    ResultLine,
    Skipped,
    StreamMark,
    TextDelta,
    UserLine,
)

CONTINUATIONS = (
    ("ceiling", "Output token limit hit"),
    ("cut", "cut off mid-stream"),
    ("empty", "no visible output"),
    ("refusal", "safety classifier"),
    ("form", "structured-output-enforce"),
)
"""Why the CLI made the model go on, by words of what it said to it (2.1.328, 2.1.330)."""


@dataclass(slots=True)
class Seam:
    """A place where the answer was cut and went on: after `chars` characters of it, for `reason`."""

    reason: str
    chars: int


class Transcript:
    """State of one attempt. Feed it every message in order with `add`; read it at any time.

    With tools, the answer is what the model said after the last result of one: before that it tells what it will do.
    `called` counts the tools that it called. `answered` says that the model has begun to answer, so that the login is
    good. Error texts pass through `redact` before anybody clips them: half a key is no longer found. `before` is what
    the process had spent when the attempt began; the results tell what came to it.
    """

    def __init__(self, *, redact: Callable[[str], str] = str, before: Spent = NOTHING_SPENT) -> None:
        self._redact = redact
        self._before = before
        self.init: Init | None = None
        self.results: list[ResultLine] = []
        self.errors: list[AssistantLine] = []
        self.refusals: list[str] = []
        self.seams: list[Seam] = []
        self.rejected: RateLimit | None = None
        self.windows: dict[str, UsageWindow] = {}
        self.retry: ApiRetry | None = None
        self.retries = 0
        self.model = ""
        self.malformed: list[Malformed] = []
        self.skipped: Counter[str] = Counter()
        self.lines = 0
        self.answered = False
        self.called: Counter[str] = Counter()
        self._texts: list[str] = []
        self._complete_chars = 0
        self._delta_chars = 0

    @property
    def text(self) -> str:
        """The answer: the text blocks of the model's own lines, in order. Half a surrogate pair becomes U+FFFD."""
        joined = "".join(self._texts)
        try:
            joined.encode("utf-8")
        except UnicodeEncodeError:
            return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return joined

    @property
    def output_chars(self) -> int:
        """Characters of the answer seen so far. Falls back when the CLI starts an answer again."""
        return self._complete_chars + self._delta_chars

    def add(self, message: Message) -> None:
        """Take the next message in."""
        self.lines += 1
        match message:
            case TextDelta(chars=chars):
                self.retry = None
                self._delta_chars += chars
            case StreamMark(stop_reason=stop_reason):
                self._mark(stop_reason)
            case AssistantLine():
                self._assistant(message)
            case UserLine():
                self._user(message)
            case ApiRetry():
                self.retry, self.retries, self._delta_chars = message, self.retries + 1, 0
            case RateLimit():
                self.rejected = message if message.status == "rejected" else None
                self.windows |= {window.name: window for window in message.windows}
            case RefusalNote():
                self._refused(message.explanation or message.subtype)
            case ResultLine():
                self._result(message)
            case Init():
                self.init = self.init or message
            case Malformed():
                self._malformed(message)
            case ConversationReset():
                self.skipped["conversation_reset"] += 1
            case Skipped(type=kind):
                self.skipped[kind] += 1

    def _mark(self, stop_reason: str) -> None:
        self.answered = True
        if stop_reason == "refusal":
            self._refused(stop_reason)
        elif not stop_reason:
            self._delta_chars = 0

    def _assistant(self, line: AssistantLine) -> None:
        if line.refused:
            self._refused(line.text if line.synthetic else "refusal")
        if line.nested:
            self.skipped["nested assistant"] += 1
        elif line.synthetic:
            self.errors.append(replace(line, text=self._redact(line.text)))
        else:
            self.retry = None
            self.answered = True
            self.model = line.model or self.model
            self.called.update(line.tools)
            if line.text:
                self._texts.append(line.text)
                self._complete_chars += len(line.text)
                self._delta_chars = 0

    def _user(self, line: UserLine) -> None:
        if line.refused:
            self._refused("refusal")
        if line.synthetic:
            reason = next((name for name, words in CONTINUATIONS if words in line.text), "unknown")
            self.seams.append(Seam(reason=reason, chars=self._complete_chars))
        if line.tool_result and not line.nested:
            self._texts.clear()
            self.seams.clear()
            self._complete_chars = self._delta_chars = 0

    def _result(self, line: ResultLine) -> None:
        line = self._before.taken_from(line)
        if line.is_error is not False:
            told = tuple(self._redact(error) for error in line.errors)
            line = replace(line, text=self._redact(line.text) if line.text else line.text, errors=told)
        self.results.append(line)
        if line.stop_reason == "refusal":
            self._refused(line.text or "refusal")

    def _refused(self, reason: str) -> None:
        self.refusals.append(self._redact(reason))

    def _malformed(self, line: Malformed) -> None:
        """A wrapper around the CLI may print a banner first; after the first real line every line may hold text."""
        if self.init is None:
            self.skipped["before init"] += 1
        else:
            self.malformed.append(line)
