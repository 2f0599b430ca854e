"""Several prompts for one process, and processes that are started ahead of their prompt."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.claude_cli.attempts import eventually, request, runs
from tests.claude_cli.test_watchdog import NOTHING_LEFT_WITHIN_S, left_over, start_victim
from tests.equipment.counted_cli import CountedCli
from tests.equipment.fake_claude import FakeClaude
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi, answer, error

PATIENT = Timing(linger_s=60.0)
IMPATIENT = Timing(reset_s=0.5, grace_s=1.0)
CLEAR_BLOCKS = 3
"""Text blocks that the CLI puts before the first prompt after a `/clear` (2.1.328, 2.1.332)."""


class Cli(CountedCli):
    """The real CLI with a stand-in API behind it."""

    def __init__(self, binary: Path, api: StandInApi, home: Path) -> None:
        super().__init__(binary, home.parent)
        self.api = api
        self.environment = {**cli_environment(api, home), "TMPDIR": str(home.parent)}

    def use(self, work: Callable[[ClaudeCliRunner], Awaitable[None]], *, timing: Timing = PATIENT) -> None:
        """Do `work` with an open runner; afterwards nothing of it is left."""

        async def main() -> None:
            runner = ClaudeCliRunner(claude=self.path, environment=self.environment, timing=timing)
            await runner.open()
            try:
                await work(runner)
            finally:
                await runner.close()

        asyncio.run(main())
        assert not [pid for pid in self.pids if runs(pid)]


@pytest.fixture
def cli(claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> Iterator[Cli]:
    """The CLI; afterwards nothing of it may be left, neither process nor private folder."""
    yield Cli(claude_binary, standin_api, isolated_home)
    assert eventually(lambda: not left_over(isolated_home), within_s=2.0)
    assert not list(isolated_home.parent.glob("orchestrate-*"))


async def ask(runner: ClaudeCliRunner, prompt: str, **settings: object) -> Reply | Failure:
    """One prompt for a process that may have answered others."""
    given = request(**{"prompt": prompt, "timeout_s": 60.0, "isolation": "reuse", **settings})
    return await runner.run(given, on_progress=lambda _: None)


async def share(runner: ClaudeCliRunner, prompts: Sequence[str], *, at_once: int) -> dict[str, Reply | Failure]:
    """Ask all of them, so many at once."""
    slots, outcomes = asyncio.Semaphore(at_once), dict[str, Reply | Failure]()

    async def one(prompt: str) -> None:
        async with slots:
            outcomes[prompt] = await ask(runner, prompt)

    await asyncio.gather(*map(one, prompts))
    return outcomes


def answered(outcome: Reply | Failure) -> Reply:
    """The reply, or a failed test that says why there is none."""
    assert isinstance(outcome, Reply), outcome
    return outcome


def test_no_prompt_sees_another(cli: Cli) -> None:
    """Twelve prompts through two processes: no request holds a word of another, and each is charged its own tokens."""
    secrets = [f"SECRET-{number:02d}-OF-ITS-OWN" for number in range(12)]
    for number, secret in enumerate(secrets):
        said = answer(f"ANSWER-{number:02d} to that.", input_tokens=10, output_tokens=100 * (number + 1))
        cli.api.when(secret, said)
    outcomes: dict[str, Reply | Failure] = {}

    async def work(runner: ClaudeCliRunner) -> None:
        outcomes.update(await share(runner, secrets, at_once=2))

    cli.use(work)
    assert len(cli.pids) == 2
    assert len(cli.api.requests) == 12
    bodies = [sent.body.decode() for sent in cli.api.requests]
    for body in bodies:
        assert sum(secret in body for secret in secrets) == 1
        assert "ANSWER-" not in body
    replies = [answered(outcomes[secret]) for secret in secrets]
    assert [reply.text for reply in replies] == [f"ANSWER-{number:02d} to that." for number in range(12)]
    assert [reply.usage.output_tokens for reply in replies] == [100 * (number + 1) for number in range(12)]
    steps = [round(after.cost_usd - before.cost_usd, 9) for before, after in pairwise(replies)]
    assert len(set(steps)) == 1
    assert steps[0] > 0
    assert len({reply.session_id for reply in replies}) == 12


def test_a_later_prompt_differs_by_three_short_blocks(cli: Cli) -> None:
    """What stands in decision 0028 of the request: before the prompt come three blocks about the command, no more."""

    async def work(runner: ClaudeCliRunner) -> None:
        await share(runner, ["the first", "/clear the second"], at_once=1)

    cli.use(work)
    first, second = (sent.parsed["messages"][0]["content"] for sent in cli.api.requests)
    *blocks, prompt = [block["text"] for block in second]
    assert len(blocks) == CLEAR_BLOCKS
    assert sum(map(len, blocks)) < 500
    assert prompt == first.replace("the first", "/clear the second")
    assert len(cli.api.requests[1].body) - len(cli.api.requests[0].body) < 1_000


@pytest.mark.parametrize(
    ("response", "expected", "timeout_s"),
    [
        (error(500), FailureClass.TRANSIENT, 60.0),
        (answer("no", stop_reason="refusal"), FailureClass.REFUSAL, 60.0),
        (answer(hang=True), FailureClass.SILENCE_TIMEOUT, 1.5),
    ],
    ids=["500", "refusal", "hang"],
)
def test_a_process_whose_turn_failed_is_replaced(
    cli: Cli, response: object, expected: FailureClass, timeout_s: float
) -> None:
    """After a failure the next prompt gets a new process, and the one after that the same again."""
    cli.api.when("goes wrong", response)  # pyright: ignore[reportArgumentType]
    seen: list[int] = []

    async def work(runner: ClaudeCliRunner) -> None:
        answered(await ask(runner, "one"))
        failed = await ask(runner, "this goes wrong", timeout_s=timeout_s)
        assert isinstance(failed, Failure)
        assert failed.error_type is expected
        assert not runs(cli.pids[0])
        seen.append(len(cli.pids))
        answered(await ask(runner, "two"))
        answered(await ask(runner, "three"))

    cli.use(work)
    assert seen == [1]
    assert len(cli.pids) == 2
    for sent in cli.api.requests_for("two") + cli.api.requests_for("three"):
        assert b"goes wrong" not in sent.body


def test_only_the_same_settings_share_a_process(cli: Cli) -> None:
    """Another context, another model, a schema: each gets a process of its own, and gets it again."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

    async def work(runner: ClaudeCliRunner) -> None:
        for _ in range(2):
            answered(await ask(runner, "one", context="Be brief."))
            answered(await ask(runner, "two", context="Be long."))
            answered(await ask(runner, "three", model="haiku"))
            assert isinstance(await ask(runner, "four", output_schema=schema), Failure)

    cli.use(work)
    assert len(cli.pids) == 3 + 2
    assert all("Be long." in sent.system for sent in cli.api.requests_for("two"))


def test_a_process_is_there_before_its_prompt(cli: Cli) -> None:
    """After the first answer one process is started ahead; its prompt is sent as it is, and it answers only that."""
    upcoming = request(prompt="", isolation="fresh")

    async def work(runner: ClaudeCliRunner) -> None:
        runner.expect([upcoming])
        assert cli.pids == []
        answered(await ask(runner, "one", isolation="fresh"))
        assert await asyncio.to_thread(eventually, lambda: len(cli.pids) == 2, within_s=20.0)
        ahead = cli.pids[1]
        runner.expect([])
        answered(await ask(runner, "two", isolation="fresh"))
        assert len(cli.pids) == 2
        assert not runs(ahead)

    cli.use(work)
    contents = [sent.parsed["messages"][0]["content"] for sent in cli.api.requests]
    assert contents[1] == contents[0].replace("one", "two")


def test_what_nobody_needs_is_ended(cli: Cli) -> None:
    """A process that was started ahead, or kept, and that nothing is expected for, ends within seconds."""

    async def work(runner: ClaudeCliRunner) -> None:
        answered(await ask(runner, "one"))
        runner.expect([request(prompt="", context="Another.")])
        assert await asyncio.to_thread(eventually, lambda: len(cli.pids) == 2, within_s=20.0)
        kept, ahead = cli.pids
        assert await asyncio.to_thread(eventually, lambda: not runs(kept), within_s=20.0)
        assert runs(ahead)
        runner.expect([])
        assert await asyncio.to_thread(eventually, lambda: not runs(ahead), within_s=20.0)

    cli.use(work, timing=Timing(linger_s=0.2))


NOT_AVAILABLE = [{"text": "/clear isn't available in this environment."}, {"result": {"num_turns": 0}}]


@pytest.mark.parametrize(
    "clear",
    [
        NOT_AVAILABLE,
        [{"result": {"num_turns": 0}}],
        ["reset", {"result": {"num_turns": 1}}],
        ["reset", {"text": "Cleared."}, {"result": {"num_turns": 0}}],
        ["reset", {"result": {"num_turns": 0, "is_error": True}}],
        ["reset", {"raw": "junk"}, {"result": {"num_turns": 0}}],
        ["reset", {"sleep": 3600}],
        [{"exit": 1}],
    ],
)
def test_without_the_sign_no_second_prompt(fake_claude: FakeClaude, tmp_path: Path, clear: list[object]) -> None:
    """Where the CLI does not say that a clean conversation began, every prompt gets a process of its own, and nothing
    fails; the second process is not even asked to begin anew.
    """
    fake_claude.play({"serve": clear})
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "ANTHROPIC_API_KEY": "x"}

    async def main() -> None:
        runner = ClaudeCliRunner(
            claude=fake_claude.path, environment=environment, timing=Timing(reset_s=0.5, grace_s=1)
        )
        await runner.open()
        try:
            for prompt in ("one", "two", "three", "four"):
                answered(await ask(runner, prompt))
        finally:
            await runner.close()

    asyncio.run(main())
    assert len(fake_claude.pids()) == 4
    prompts = [line["pid"] for line in fake_claude.lines() if line["content"] != "/clear"]
    assert len(prompts) == len(set(prompts)) == 4
    assert [line["content"] for line in fake_claude.lines()].count("/clear") == 1
    assert not [pid for pid in fake_claude.pids() if runs(pid)]


def test_processes_that_wait_do_not_outlive_us(tmp_path: Path) -> None:
    """`kill -9` while one process is kept and another was started ahead: neither is left after 2 s."""
    fake = FakeClaude(tmp_path)
    fake.play("ignore_sigterm", "grandchild", {"serve": None})
    with start_victim(fake.path, tmp_path, count=0) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if line.strip() == b"waiting":
                break
        assert len([pid for pid in fake.pids() if runs(pid)]) == 4
        victim.kill()
        victim.wait()
    assert eventually(lambda: not left_over(tmp_path), within_s=NOTHING_LEFT_WITHIN_S)
    assert not [pid for pid in fake.pids() if runs(pid)]


def test_costs_that_are_not_set_back_are_charged_once(fake_claude: FakeClaude, tmp_path: Path) -> None:
    """Where a process goes on counting after a reset, each prompt is charged what came to it."""
    spent = {"num_turns": 0, "total_cost_usd": 0.006, "usage": {"input_tokens": 2, "output_tokens": 1}}
    fake_claude.play({"serve": ["reset", {"result": spent}]})
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "ANTHROPIC_API_KEY": "x"}
    replies: list[Reply] = []

    async def main() -> None:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=PATIENT)
        await runner.open()
        try:
            replies.extend([answered(await ask(runner, prompt)) for prompt in ("one", "two")])
        finally:
            await runner.close()

    asyncio.run(main())
    assert [round(reply.cost_usd, 6) for reply in replies] == [0.01, 0.004]
    assert [(reply.usage.input_tokens, reply.usage.output_tokens) for reply in replies] == [(3, 2), (1, 1)]
