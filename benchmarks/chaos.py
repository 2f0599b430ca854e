"""What `kill -9` costs: at random moments of a run with real child processes, and between any two steps to the disk.

Prints a Markdown table, and ends with 1 when any figure is not what it should be. `benchmarks/README.md` says how to
run it and what the rows mean.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.cli.forked import Forge
from tests.end_to_end.crashed import Ended, Place, check_fault, differing, forge, watched
from tests.end_to_end.processes import wait_until_gone
from tests.equipment.disk_steps import PID
from tests.equipment.fake_claude import HELP

CONCURRENCY = 4
FAULTY_CHUNKS = 3
LEFT_WITHIN_S = 2.0
CALL_S = 0.03
"""What a call of the stand-in takes."""

STAND_IN = """#!/bin/sh
case "$*" in
  *--version*) echo "2.1.330 (Claude Code)"; exit ;;
  *--help*) cat {help}; exit ;;
  "auth status"*) echo '{{"loggedIn": true, "authMethod": "api_key", "apiKeySource": "ANTHROPIC_API_KEY"}}'; exit ;;
esac
IFS= read -r line
id=${{line#*%%}}
id=${{id%%\\%\\%*}}
echo "$id" >> {calls}
echo '{{"type":"system","subtype":"init","session_id":"s","model":"m"}}'
sleep {call_s}
printf '{{"type":"assistant","message":{{"model":"m","role":"assistant",\
"content":[{{"type":"text","text":"Answer %s."}}]}},"parent_tool_use_id":null}}\\n' "$id"
echo '{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn",\
"terminal_reason":"completed","total_cost_usd":0.01,"usage":{{"input_tokens":3,"output_tokens":2}}}}'
"""
"""A `claude` in a shell script, since a thousand starts of anything larger would be most of the time."""


@dataclass
class Tally:
    """What came of one way to kill a run of `chunks`. All but `kills`, `states` and `identical` should be 0."""

    chunks: int
    kills: int = 0
    states: int = 0
    again: int = 0
    lost: int = 0
    doubled: int = 0
    left: int = 0
    identical: int = 0
    wrong: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        """Whether nothing was paid twice, lost, doubled or left, and all results are the same."""
        return (
            not (self.again or self.lost or self.doubled or self.left or self.wrong) and self.identical == self.states
        )

    def judge(self, place: Place, *, before: dict[str, str], ended: Ended, calls: list[str], expected: bytes) -> None:
        """Count what `ended`, which went on after a kill, made of the answers that were there `before`."""
        self.states += 1
        self.again += sum(count for chunk, count in Counter(calls).items() if chunk in before)
        after = place.answers()
        self.lost += sum(after.get(chunk) != text for chunk, text in before.items()) + self.chunks - len(after)
        stored = place.query("SELECT fingerprint FROM answers")
        self.doubled += len(stored) - len(set(stored)) + sum(count - 1 for count in Counter(calls).values())
        self.identical += ended.code == 0 and place.files.get("out.md") == expected
        try:
            place.check_events(ended)
            left = sorted(set(place.files) - {"plan.yaml", "out.md", "out.md.map.json"})
            assert not left, left
        except AssertionError as error:
            self.wrong.append(str(error))


def plan(chunks: int) -> str:
    """So many chunks, two of three with one of the others before them."""
    lines = ["name: chaos", "chunks:"]
    for number in range(chunks):
        needs = f" {{{{ chunks.c{number // 2} }}}}" if number and number % 3 else ""
        lines.append(f"  - {{id: c{number}, prompt: 'Write %%c{number}%%.{needs}'}}")
    ids = ", ".join(f"c{number}" for number in range(chunks))
    return "\n".join(
        [*lines, f"stitch: {{chunks: [{ids}], output: out.md}}", f"limits: {{max_concurrency: {CONCURRENCY}}}"]
    )


class Claude:
    """The stand-in, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.path, self._calls, known = folder / "claude", folder / "asked", folder / "help"
        known.write_text(HELP)
        self.path.write_text(STAND_IN.format(help=known, calls=self._calls, call_s=CALL_S))
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def forget(self) -> None:
        """As if nobody had asked."""
        self._calls.unlink(missing_ok=True)

    def calls(self) -> list[str]:
        """The chunks that were asked for."""
        return self._calls.read_text().split() if self._calls.exists() else []


def random_kills(forging: Forge, base: Path, *, chunks: int, kills: int, seed: int) -> Tally:
    """Kill after a random number of calls, and a random moment more; look for processes; go on."""
    claude, pid_file, temporary = Claude(base), base / "pid", base / "tmp"
    temporary.mkdir()
    more = {"ORCHESTRATE_CLAUDE": str(claude.path), "ANTHROPIC_API_KEY": "made-up", "TMPDIR": str(temporary)}
    place = Place(forging, base / "work", plan(chunks), more={**more, PID: str(pid_file)})
    runner = ("--runner", "claude")
    whole = place.begin(runner=runner)
    assert whole.code == 0, whole.stderr
    expected = place.files["out.md"]
    tally, chance = Tally(chunks), random.Random(seed)
    for number in range(kills):
        place.put_back()
        claude.forget()
        pid_file.unlink()
        run = threading.Thread(target=place.begin, kwargs={"runner": runner})
        run.start()
        wanted = chance.randrange(chunks)
        while run.is_alive() and len(claude.calls()) < wanted:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 2 * CALL_S))
        if run.is_alive() and pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            tally.kills += 1
        run.join()
        tally.left += len(wait_until_gone(str(base), within_s=LEFT_WITHIN_S))
        before = place.answers()
        claude.forget()
        ended = place.go_on(runner=runner)
        tally.judge(place, before=before, ended=ended, calls=claude.calls(), expected=expected)
        show(f"{number + 1} kills")
    return tally


def enumerated_kills(forging: Forge, base: Path, *, chunks: int, points: int | None) -> Tally:
    """What a kill leaves before each step and within each write, all looked at; those that differ are gone on with."""
    place = Place(forging, base / "steps", plan(chunks))
    copies = watched(place, base / "copies", how="copy-all")
    expected = place.files["out.md"]
    tally = Tally(chunks, kills=len(copies))
    states = differing(copies, base / "scratch")
    for copy in states[:: max(1, len(states) // points)] if points else states:
        place.put_back(copy)
        before = place.answers()
        ended = place.go_on()
        tally.judge(place, before=before, ended=ended, calls=ended.calls, expected=expected)
        show(f"{tally.states} of {len(states)} states")
    shutil.rmtree(base / "copies")
    return tally


def faults(forging: Forge, base: Path) -> tuple[Counter[tuple[str, int]], list[str]]:
    """A run in which the n-th step fails, for every n, then one in which nothing does. Counts the exit codes."""
    place = Place(forging, base / "faults", plan(FAULTY_CHUNKS))
    place.begin()
    earlier = place.files
    changed = place.folder / "plan.yaml"
    changed.write_text(changed.read_text().replace("Write %%c1", "Write again %%c1"))
    start = place.keep("changed")
    place.begin()
    expected, steps = place.files, len(place.steps)
    codes: Counter[tuple[str, int]] = Counter()
    wrong: list[str] = []
    for fault in ("EIO", "ENOSPC", "EROFS"):
        for number in range(1, steps + 1):
            place.put_back(start)
            try:
                trouble = f"{fault}:{number}"
                codes[fault, check_fault(place, trouble=trouble, expected=expected, earlier=earlier).code] += 1
            except AssertionError as error:
                wrong.append(f"{fault} at step {number}: {error}")
            show(f"{fault} {number} of {steps}")
    return codes, wrong


def show(text: str) -> None:
    """How far it is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text}   ", end="", file=sys.stderr, flush=True)


def row(name: str, tally: Tally) -> str:
    """A line of the table."""
    figures = (tally.kills, tally.states, tally.again, tally.lost, tally.doubled, tally.left)
    same = f"{tally.identical:,} of {tally.states:,}"
    return f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} | {same} |"


def main() -> int:
    """Kills, or faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="random kills, each followed by a resume")
    parser.add_argument("--points", default="all", help="of the states between two steps: all, or about so many")
    parser.add_argument("--chunks", type=int, default=50, help="of the plan")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    parser.add_argument("--faults", action="store_true", help="no kills: a disk that fails at every step, or is full")
    options = parser.parse_args()
    forging = forge()
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as name:
            return tell_faults(forging, Path(name)) if options.faults else tell_kills(forging, Path(name), options)
    finally:
        forging.close()


def tell_kills(forging: Forge, folder: Path, options: argparse.Namespace) -> int:
    """Both kinds of kill, and their table. Returns the exit code."""
    points = None if options.points == "all" else int(options.points)
    base, chunks = folder.resolve(), options.chunks
    by_chance = random_kills(forging, base, chunks=chunks, kills=options.kills, seed=options.seed)
    at_steps = enumerated_kills(forging, base, chunks=chunks, points=points)
    print(f"{machine()}, {chunks} chunks, seed {options.seed}\n")
    print("| killed | kills | gone on | finished chunks asked again | answers lost | twice ", end="")
    print(f"| processes left after {LEFT_WITHIN_S:g} s | same result |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    print(row("at random, with child processes", by_chance))
    print(row("before each step to the disk, and within each write", at_steps))
    for wrong in (*by_chance.wrong, *at_steps.wrong):
        print(f"\n{wrong}")
    return 0 if by_chance.good and at_steps.good else 1


def tell_faults(forging: Forge, folder: Path) -> int:
    """Every fault, and its table. Returns the exit code."""
    codes, wrong = faults(forging, folder.resolve())
    print(f"{machine()}, {FAULTY_CHUNKS} chunks\n")
    print("| fault | runs | exit code 0 | exit code 3 |\n|---|---:|---:|---:|")
    for fault in ("EIO", "ENOSPC", "EROFS"):
        ended = [codes[fault, code] for code in (0, 3)]
        print(f"| {fault} | {' | '.join(f'{figure:,}' for figure in (sum(ended), *ended))} |")
    for each in wrong:
        print(f"\n{each}")
    return 1 if wrong else 0


def machine() -> str:
    """Where and when."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    return f"{datetime.date.today()} · {where} · Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
