"""Printing to stdout for commands that answer and end."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Any, cast

from orchestrator.cli.display.neutralise import neutralise
from orchestrator.cli.display.sink import STALL_S, Sink
from orchestrator.errors import OrchestrateError

STDOUT, STDERR = 1, 2

DIGITS = 9
"""Of a number in JSON, after the point."""


class OutputLostError(OrchestrateError):
    """Stdout took only a part of what was to be printed, or is closed."""

    exit_code = 3

    def __init__(self, error: OSError, *, remedy: str = "") -> None:
        closed = error.errno == errno.EBADF
        told = "stdout is closed" if closed else f"stdout could not take the result: {error.strerror}"
        super().__init__(f"{told}; {remedy}" if remedy else told)


def require_stdout() -> None:
    """Raises `OutputLostError` when stdout is closed, so that nobody pays for a result that has nowhere to go."""
    try:
        os.write(STDOUT, b"")
    except OSError as error:
        raise OutputLostError(error, remedy="open it, or name a file with -o") from None


def print_exactly(text: str) -> None:
    """The text as it is, in UTF-8, no newline added.

    On a terminal control sequences are made visible, and the last line is ended.
    """
    if os.isatty(STDOUT):
        text = neutralise(text) + ("" if text.endswith("\n") else "\n")
    _write(text, encoding="utf-8")


def print_lines(lines: list[str]) -> None:
    """Lines for people."""
    text = "".join(f"{line}\n" for line in lines)
    _write(neutralise(text) if os.isatty(STDOUT) else text, encoding=sys.stdout.encoding)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON value and a newline; on a terminal in ASCII, so that no text in it can steer the terminal."""
    text = json.dumps(_rounded(value), ensure_ascii=os.isatty(STDOUT), indent=indent, default=str)
    _write(f"{text}\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    """The same value, its numbers without the noise that sums of floats end in."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in cast("dict[str, Any]", value).items()}
    return [_rounded(each) for each in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def print_error(message: str) -> None:
    """A message on stderr, its control sequences made visible. A reader that takes nothing does not hold up the end."""
    sink = Sink(STDERR)
    sink.write(f"{neutralise(message)}\n")
    sink.flush_within(STALL_S)


def _write(text: str, *, encoding: str) -> None:
    sink = Sink(STDOUT, encoding=encoding)
    sink.write(text)
    sink.flush()
    # A reader that has seen enough (`| head`) is no trouble; a full disk is.
    if sink.error is not None and sink.error.errno != errno.EPIPE:
        raise OutputLostError(sink.error)
