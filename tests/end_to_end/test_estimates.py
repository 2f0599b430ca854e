"""Estimates on the real CLI: tokens after calibration, and what a sample of five tells of two hundred pieces."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.tokens import count_tokens
from orchestrator.runners.invented import WORDS
from tests.cli.command import orchestrate
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer

MODEL = "claude-sonnet-5-5"
USD_IN, USD_OUT = 2e-6, 10e-6
"""What the CLI charges for a token of this model (2.1.331); the test of a whole run proves it."""
CONTEXT = "Plain words. " * 40
PIECES = 200
SAMPLE = 5


def reported_input(prompt: str, system: str) -> int:
    """The stand-in's own way of counting: a factor, and an overhead that grows with the system prompt."""
    return round(1.37 * count_tokens(prompt) + 640 + 1.6 * count_tokens(system))


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


@dataclass(frozen=True)
class Place:
    """A folder to type commands in, with a stand-in API behind the real CLI."""

    folder: Path
    environment: dict[str, str]

    def plan(self, name: str, plan: dict[str, Any]) -> None:
        """Write a plan."""
        (self.folder / name).write_text(json.dumps({"model": MODEL, **plan}))

    def run(self, *words: str) -> str:
        """What the command prints; it has to succeed."""
        done = orchestrate(*words, cwd=self.folder, env=self.environment)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def events(self, name: str, *more: str) -> list[dict[str, Any]]:
        """Run a plan to its end; its events."""
        return [json.loads(line) for line in self.run(name, "--progress", "json", *more).splitlines()]

    def outlook(self, name: str) -> dict[str, Any]:
        """What a run would take."""
        return json.loads(self.run(name, "--dry-run", "--format", "json"))


@pytest.fixture
def place(tmp_path: Path, claude_binary: Path) -> Callable[[StandInApi, str], Place]:
    """Makes a folder of this name for commands that reach this API."""

    def make(api: StandInApi, name: str) -> Place:
        folder = tmp_path / name
        folder.mkdir()
        return Place(folder, {**cli_environment(api, folder), "ORCHESTRATE_CLAUDE": str(claude_binary)})

    return make


def test_tokens_are_foretold_after_calibration(place: Callable[[StandInApi, str], Place]) -> None:
    """After a dozen calls of varied length, the tokens told of new prompts are within 10 % of what is then reported."""
    chance = random.Random(4)

    def respond(request: ApiRequest) -> ApiResponse:
        tokens, cached = reported_input(request.prompt, request.system), count_tokens(request.system)
        return answer("Fine.", input_tokens=tokens - cached, cache_read_tokens=cached, output_tokens=30)

    def plan(context: str, count: int) -> dict[str, Any]:
        sizes = [round(40 * 60 ** chance.random()) for _ in range(count)]
        return {
            "context": context,
            "chunks": [{"id": f"c{at}", "prompt": words(chance, size)} for at, size in enumerate(sizes)],
        }

    with StandInApi(respond) as api:
        here = place(api, "work")
        here.plan("first.yaml", plan(CONTEXT, 12))
        here.run("first.yaml")
        for name, context, count in (("new.yaml", CONTEXT, 4), ("other.yaml", "Another.", 1)):
            here.plan(name, plan(context, count))
            entries = here.outlook(name)["entries"]
            told = {each["id"]: each["chunks"][0]["input_tokens"] for each in entries}
            ended = [each for each in here.events(name) if each["type"] == "chunk_succeeded"]
            assert len(ended) == len(told) == count
            for each in ended:
                assert told[each["chunk_id"]] == pytest.approx(each["input_tokens"], rel=0.1)


@dataclass(frozen=True)
class Case:
    """Pieces of varied length, and answers whose length follows a law of its own."""

    seed: int
    law: str
    pieces: int = PIECES

    def texts(self) -> list[str]:
        chance = random.Random(f"texts {self.seed}")
        sizes = [min(1500, max(30, round(chance.lognormvariate(5, 0.7)))) for _ in range(self.pieces)]
        return [f"Piece {at}: {words(chance, size)}" for at, size in enumerate(sizes, 1)]

    def plan(self) -> dict[str, Any]:
        each = {"id": "part", "for_each": {"input": "pieces"}, "prompt": "Judge:\n{{ item.text }}"}
        return {"context": CONTEXT, "inputs": {"pieces": {"items": self.texts()}}, "chunks": [each]}

    def output_tokens(self, prompt: str) -> int:
        chance = random.Random(f"answer {self.seed} {number_of(prompt)}")
        match self.law:
            case "constant":
                return 180
            case "log-normal":
                return max(5, round(200 * chance.lognormvariate(0, 0.5)))
            case "bimodal":
                return chance.choice([120, 360])
            case _:
                return round(len(prompt.split()) * chance.uniform(0.8, 1.5))

    def respond(self, request: ApiRequest) -> ApiResponse:
        input_tokens = reported_input(request.prompt, request.system)
        return answer("Judged.", input_tokens=input_tokens, output_tokens=self.output_tokens(request.prompt))

    def true_cost_usd(self, requests: list[ApiRequest]) -> float:
        """What all the pieces that are not among the requests cost, by the stand-in's own rule."""
        asked, system = {number_of(request.prompt) for request in requests}, requests[0].system
        left = [f"Judge:\n{text}" for at, text in enumerate(self.texts(), 1) if at not in asked]
        assert len(left) == self.pieces - len(requests)
        return sum(reported_input(each, system) * USD_IN + self.output_tokens(each) * USD_OUT for each in left)


def number_of(prompt: str) -> int:
    found = re.search(r"Piece (\d+):", prompt)
    assert found
    return int(found[1])


LAWS = ("grows", "constant", "log-normal", "bimodal", "log-normal")
CASES = [Case(seed, LAWS[seed % len(LAWS)]) for seed in range(10)]


def sampled(case: Case, here: Place) -> dict[str, Any]:
    """The totals that are told of the rest after a sample of five."""
    here.plan("plan.yaml", case.plan())
    said = here.run("plan.yaml", "--sample", str(SAMPLE))
    assert f"the whole: {case.pieces - SAMPLE} more calls, $" in said
    outlook = here.outlook("plan.yaml")
    total = outlook["total"]
    assert total["cost_usd_high"] <= 1.3 * (total["cost_usd_low"] + total["cost_usd_high"]) / 2
    return total


def holds(total: dict[str, Any], cost_usd: float) -> bool:
    return total["cost_usd_low"] <= cost_usd <= total["cost_usd_high"]


@pytest.mark.timeout(300)  # fifty real processes and more, on a machine that may be busy
def test_a_sample_of_five_tells_what_two_hundred_cost(place: Callable[[StandInApi, str], Place]) -> None:
    """Whether answers grow with their pieces, are all alike, vary at random or are of two kinds: the range told after
    5 of 200 holds the true cost in at least 9 of 10 cases, and is never wider than 30 % to each side.
    """
    missed: list[Case] = []
    for case in CASES:
        with StandInApi(case.respond) as api:
            total = sampled(case, place(api, str(case.seed)))
            assert len(api.requests) == SAMPLE
            if not holds(total, case.true_cost_usd(api.requests)):
                missed.append(case)
    assert len(missed) <= 1, missed


@pytest.mark.timeout(300)  # fifty real processes and more, on a machine that may be busy
def test_the_whole_costs_what_the_sample_told(place: Callable[[StandInApi, str], Place]) -> None:
    """The rest of a sampled plan, run to its end, costs what the stand-in's rule says, within what was told."""
    case = Case(seed=20, law="log-normal", pieces=60)
    with StandInApi(case.respond) as api:
        here = place(api, "work")
        total = sampled(case, here)
        expected_usd = case.true_cost_usd(api.requests)
        finished = here.events("plan.yaml")[-1]
        assert (finished["succeeded"], finished["reused"]) == (case.pieces - SAMPLE, SAMPLE)
        assert finished["cost_usd"] == pytest.approx(expected_usd, rel=1e-4)
        assert holds(total, finished["cost_usd"])
        assert len(api.requests) == case.pieces
