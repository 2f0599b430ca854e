"""A subscription login's usage windows, from the API's headers through the real CLI to what the command says."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer

ITEMS = 9
PLAN = f"""
model: sonnet
chunks:
  - id: part
    for_each: {{items: [{", ".join(f"piece {at}" for at in range(1, ITEMS + 1))}]}}
    prompt: "Tell of {{{{ item.text }}}}."
"""


class Meter:
    """Answers like the API of a subscription: each answer's head says how much was used before it."""

    def __init__(self, *, start: float, share_of_call: float) -> None:
        self.resets_at = int(time.time()) + 7200
        self._start = start
        self._share = share_of_call
        self._lock = threading.Lock()
        self.calls = 0

    def used(self) -> float:
        return self._start + self._share * self.calls

    def respond(self, _: ApiRequest) -> ApiResponse:
        with self._lock:
            shown = int(self.used() * 100 + 1e-9) / 100
            self.calls += 1
        headers = {
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-ratelimit-unified-5h-utilization": str(shown),
            "anthropic-ratelimit-unified-5h-reset": str(self.resets_at),
        }
        return answer("A few words. " * 20, input_tokens=500, output_tokens=300, headers=headers)


@pytest.fixture
def start(tmp_path: Path, claude_binary: Path, isolated_home: Path) -> Callable[[StandInApi], Command]:
    """Makes the command, logged in by a made-up token of a subscription."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)

    def make(api: StandInApi) -> Command:
        environment = {**cli_environment(api, isolated_home), "CLAUDE_CODE_OAUTH_TOKEN": "made-up"}
        del environment["ANTHROPIC_API_KEY"]
        return Command(folder, environment, claude=claude_binary)

    return make


def test_a_sample_says_what_the_whole_takes_of_the_window(start: Callable[[StandInApi], Command]) -> None:
    """After a sample the share told holds what the whole then really takes; machines find it in event and outlook."""
    meter = Meter(start=0.2, share_of_call=0.0137)
    with StandInApi(meter.respond) as api:
        command = start(api)
        sampled = command.run("plan.yaml", "--sample", "5", "-j", "1")
        assert sampled.exit_code == 0
        (line,) = [each for each in sampled.stdout.splitlines() if each.startswith("usage:")]
        found = re.match(r"usage: 5-hour window at 25 %, the whole would take (\d+) to (\d+) % more \(resets ", line)
        assert found, line
        assert int(found[1]) <= 100 * 0.0137 * (ITEMS - 5) <= int(found[2])
        outlook = json.loads(command.run("plan.yaml", "--dry-run", "--format", "json").stdout)
        (window,) = outlook["windows"]
        assert (window["name"], window["utilization"]) == ("five_hour", 0.25)
        assert window["resets_at"] == meter.resets_at
        assert window["share_low"] <= 0.0137 * (ITEMS - 5) <= window["share_high"]
        whole = command.run("plan.yaml", "--progress", "json", "-j", "2")
    assert meter.calls == ITEMS
    (seen,) = whole.events[-1]["windows"]
    assert seen["name"] == "five_hour"
    assert seen["utilization"] == pytest.approx(meter.used(), abs=0.03)


def test_a_window_that_does_not_move_is_bounded(start: Callable[[StandInApi], Command]) -> None:
    """Where the sample moved nothing, less than a bound is told, or that it is not enough; never nothing."""
    meter = Meter(start=0.4, share_of_call=0.0001)
    with StandInApi(meter.respond) as api:
        command = start(api)
        sampled = command.run("plan.yaml", "--sample", "5", "-j", "1")
        bound = re.search(r"usage: 5-hour window at 40 %, the whole would take under (\d) % more \(", sampled.stdout)
        assert bound
        assert 100 * 0.0001 * (ITEMS - 5) <= int(bound[1]) <= 2
        (ended,) = [each for each in sampled.stdout.splitlines() if "result:" in each]
        assert " · usage: 5-hour window at 40 % · " in ended
        one = command.run("plan.yaml", "--sample", "1", "--store", "other.db", "--force")
    assert "usage: 5-hour window at 40 % (resets " in one.stdout
    assert "not enough was seen to tell what the whole would take of it" in one.stdout
