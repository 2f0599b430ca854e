"""Which screen shows a run, decided by the stream and the environment. `rich` is imported for a live one alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestrator.cli.display.screens import Closing, JsonScreen, PlainScreen, QuietScreen, Screen
from orchestrator.cli.display.sink import Sink

Mode = Literal["tty", "plain", "json", "quiet"]


def choose_mode(wanted: str, *, is_terminal: bool, environment: Mapping[str, str]) -> Mode:
    """The mode that is shown for the one that was wanted (`auto` too).

    A live view needs a terminal that can move its cursor; what lacks one gets plain lines, as does a build machine
    (`CI`) under `auto`.
    """
    if wanted == "json" or wanted == "quiet" or wanted == "plain":
        return wanted
    can_move = is_terminal and environment.get("TERM", "dumb") not in ("", "dumb")
    on_build_machine = environment.get("CI", "").lower() not in ("", "0", "false", "no")
    return "tty" if can_move and not (wanted == "auto" and on_build_machine) else "plain"


def make_screen(mode: Mode, sink: Sink, *, closing: Closing, environment: Mapping[str, str]) -> Screen:
    """A screen of this mode. Any non-empty `NO_COLOR` in the environment is honoured."""
    if mode == "json":
        return JsonScreen(sink)
    if mode == "quiet":
        return QuietScreen()
    if mode == "plain":
        return PlainScreen(sink, closing=closing)
    from orchestrator.cli.display.live import LiveScreen

    return LiveScreen(sink, closing=closing, colour=not environment.get("NO_COLOR"))
