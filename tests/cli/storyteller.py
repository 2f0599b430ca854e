"""A program that shows a made-up run: `python -m tests.cli.storyteller STORY MODE`. Exits 7 when the story is over.

It stands where the command line stands, without an engine: it hands events over and prints on stderr how many
seconds that took.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

from orchestrator.cli.asking import asker
from orchestrator.cli.display.choose import choose_mode, make_screen
from orchestrator.cli.display.screens import Closing
from orchestrator.cli.display.sink import Sink
from orchestrator.cli.display.writer import Writer
from orchestrator.events import Event
from tests.cli import stories

MANY = 5_000
IDS = [f"c{number}" for number in range(MANY)]


def short() -> Iterator[Event]:
    """Two chunks, one with a hostile id, half a second of work."""
    hostile = "b\x1b[2J\x1b]52;c;eA==\x07"
    yield stories.started("a", hostile)
    yield stories.estimated()
    yield stories.begun("a")
    yield stories.begun(hostile)
    for chars in range(0, 5000, 100):
        time.sleep(0.01)
        yield stories.progressed("a", chars)
    yield stories.succeeded("a")
    yield stories.failed(hostile, message="declined\x1b[31m\nforged line")
    yield stories.stitched("/elsewhere/guide.incomplete.md")
    yield stories.finished("partial", failed=1)


def many() -> Iterator[Event]:
    """Thousands of chunks without a pause."""
    yield stories.started(*IDS)
    for chunk_id in IDS:
        yield stories.begun(chunk_id)
        yield stories.progressed(chunk_id, 10)
        yield stories.succeeded(chunk_id)
    yield stories.finished()


def broken() -> Iterator[Event]:
    """The run dies half-way."""
    yield stories.started("a", "b")
    yield stories.begun("a")
    time.sleep(0.4)
    raise RuntimeError("the engine has a bug")


def odd() -> Iterator[Event]:
    """An event that no display can show: its duration is no number."""
    yield stories.started("a")
    yield stories.succeeded("a", elapsed_s="soon")  # type: ignore[arg-type]
    for _ in range(100):
        yield stories.begun("a")


def expensive() -> Iterator[Event]:
    """Up to three dollars are announced; `main` asks."""
    yield stories.started("a")
    yield stories.begun("a")
    yield stories.estimated(cost_usd_high=3.0)


STORIES = {"expensive": expensive, "short": short, "many": many, "broken": broken, "odd": odd}


def main() -> None:
    """Tell the story."""
    story, wanted = sys.argv[1:]
    sink = Sink(1)
    mode = choose_mode(wanted, is_terminal=sink.isatty(), environment=os.environ)
    closing = Closing(next_command=lambda run_id: f"orchestrate resume {run_id}")
    screen = make_screen(mode, sink, closing=closing, environment=os.environ)
    stall_s = 5.0 if mode == "json" else 0.5
    with Writer(screen, sink, keep_all=mode == "json", stall_s=stall_s) as writer:
        begun_s = time.monotonic()
        for event in STORIES[story]():
            writer.on_event(event)
        if story == "expensive":
            confirm = asker(writer=writer, descriptor=1, on_interrupt=lambda level: print(f"interrupt {level}"))
            sys.stderr.write(f"answer: {confirm and confirm(stories.estimated(cost_usd_high=3.0))}\n")
        sys.stderr.write(f"told in {time.monotonic() - begun_s:.3f} s\n")
    sys.exit(7)


if __name__ == "__main__":
    main()
