"""Streams of the CLI that are damaged, and streams that arrive in two pieces, cut at every byte.

`benchmarks/parser_mutations.py` tries a million, and shows one again.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.runners.base import Reply
from orchestrator.runners.claude_cli import verdict
from orchestrator.runners.claude_cli.framing import LineFramer
from orchestrator.runners.claude_cli.messages import AssistantLine
from orchestrator.runners.claude_cli.transcript import Transcript
from orchestrator.runners.claude_cli.verdict import Ending
from tests.claude_cli.mutations import NAMES, damaged, outcome, recorded, second_opinion, verdict_on

STREAMS = int(os.environ.get("PARSER_MUTATIONS", "20000"))
"""Damaged streams in a normal test run."""


def test_damage_is_never_a_crash_and_never_a_false_success() -> None:
    """Whatever became of the bytes: no exception, and what counts as an answer is what the model's own lines say."""
    for seed in range(STREAMS):
        wrong = verdict_on(seed)
        assert not wrong, f"seed {seed}: {wrong}; python benchmarks/parser_mutations.py --replay {seed}"


def test_the_second_opinion_and_the_damage_are_worth_something() -> None:
    """Some damaged streams still answer, with and without a form, most do not, and every class of failure shows."""
    found = Counter(
        "reply" if isinstance(each, Reply) else each.error_type.value
        for each in (outcome(damaged(seed)) for seed in range(3000))
    )
    assert 0.05 < found["reply"] / 3000 < 0.5
    assert {"refusal", "protocol", "crash", "auth", "throttled", "transient", "empty"} <= found.keys()
    forms = [seed for seed in range(3000) if damaged(seed).structured and isinstance(outcome(damaged(seed)), Reply)]
    assert forms
    # What the product refuses for finer reasons the plain opinion may allow; not the other way round.
    assert sum(second_opinion(damaged(seed)) is not None for seed in range(3000)) >= found["reply"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_cut_at_every_byte_has_the_same_lines(name: str) -> None:
    """Two pieces, cut anywhere, inside a character too: the same lines, from which the same messages are read."""
    data = recorded(name)
    lines = data.split(b"\n")[:-1]
    for cut in range(len(data) + 1):
        framer = LineFramer()
        assert framer.feed(data[:cut]) + framer.feed(data[cut:]) == lines
        assert framer.finish() is None


READS = verdict._verdict


def any_result(transcript: Transcript, *given: Any) -> Any:
    """A result line with text before it is a success, whatever it says."""
    return None if len(transcript.results) == 1 and transcript.text.strip() else READS(transcript, *given)


def no_exit_code(transcript: Transcript, ending: Ending, *given: Any) -> Any:
    """How the process ended does not matter."""
    return READS(transcript, replace(ending, exit_code=0), *given)


def half_line(transcript: Transcript, ending: Ending, *given: Any) -> Any:
    """Output that stops inside a line is whole."""
    return READS(transcript, replace(ending, incomplete=False), *given)


def refused_half(transcript: Transcript, *given: Any) -> Any:
    """A refusal with text after it is an answer."""
    transcript.refusals.clear()
    return READS(transcript, *given)


@pytest.mark.parametrize("believes", [any_result, no_exit_code, half_line, refused_half])
def test_a_reader_that_believes_too_much_is_found_out(believes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within as many streams, so that the silence about the real one means something."""
    monkeypatch.setattr(verdict, "_verdict", believes)
    assert any(verdict_on(seed) for seed in range(STREAMS))


def test_error_texts_taken_for_answers_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes the CLI's own lines for the model's tells them as answers."""
    monkeypatch.setattr(AssistantLine, "synthetic", False)
    assert any(verdict_on(seed) for seed in range(STREAMS))
