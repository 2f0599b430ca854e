"""The real CLI, end to end, against the stand-in Messages API."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply, UsageWindow
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.claude_cli.attempts import attempt, eventually, request
from tests.claude_cli.test_watchdog import left_over, start_victim
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiResponse, StandInApi, answer, default_answer, error

OVERHEAD_BYTES = 2_500
TIMING = Timing(grace_s=5.0)


class Cli:
    """The real CLI with a stand-in API behind it."""

    def __init__(self, binary: Path, api: StandInApi, home: Path) -> None:
        self.binary = binary
        self.api = api
        self.home = home
        self.environment = {**cli_environment(api, home), "TMPDIR": str(home.parent)}

    def ask(self, prompt: str, *responses: ApiResponse, **settings: object) -> Reply | Failure:
        """One attempt on `prompt`, answered with these responses in turn."""
        if responses:
            self.api.when(prompt, *responses)
        environment = settings.pop("environment", self.environment)
        assert isinstance(environment, dict)
        return attempt(self.binary, environment, timing=TIMING, prompt=prompt, **{"timeout_s": 60.0, **settings})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ClaudeCliRunner]:
        runner = ClaudeCliRunner(claude=self.binary, environment=self.environment, timing=TIMING)
        await runner.open()
        try:
            yield runner
        finally:
            await runner.close()


@pytest.fixture
def cli(claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> Iterator[Cli]:
    """The CLI; afterwards nothing of it may be left, neither process nor private folder."""
    yield Cli(claude_binary, standin_api, isolated_home)
    assert eventually(lambda: not left_over(isolated_home), within_s=2.0)
    assert not list(isolated_home.parent.glob("orchestrate-*"))


def text_of(outcome: Reply | Failure) -> str:
    assert isinstance(outcome, Reply), outcome
    return outcome.text


def failed(outcome: Reply | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def test_plain_answer(cli: Cli) -> None:
    """One prompt makes one lean request, and the answer comes back with usage, price, model and login."""
    reply = cli.ask("What is it?", answer("It is.", input_tokens=11, output_tokens=7, cache_read_tokens=5))
    assert isinstance(reply, Reply)
    assert reply.text == "It is."
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cache_read_tokens) == (11, 7, 5)
    assert reply.cost_usd > 0
    assert reply.login == "ANTHROPIC_API_KEY"
    assert len(reply.session_id) == 36
    (sent,) = cli.api.requests
    assert (sent.prompt, sent.system, sent.model) == ("What is it?", "Be brief.", reply.model)
    assert sent.parsed["tools"] == []
    assert sent.overhead < OVERHEAD_BYTES
    assert [str(kind) for kind in reply.evidence] == ["num_turns", "skipped_lines"]


def test_model_and_effort_reach_the_api(cli: Cli) -> None:
    """The chunk's model and effort are what the API is asked for."""
    reply = cli.ask("Which model?", model="claude-sonnet-4-5", effort="low")
    assert isinstance(reply, Reply)
    (sent,) = cli.api.requests
    assert sent.model.startswith("claude-sonnet-4-5")
    assert reply.model == sent.model


def test_empty_context_is_no_default_system_prompt(cli: Cli) -> None:
    """A plan without context sends none; the CLI does not fill its own 7 kB in."""
    assert text_of(cli.ask("No context.", context="")) == default_answer("No context.")
    assert cli.api.requests[0].system == ""
    assert cli.api.requests[0].overhead < OVERHEAD_BYTES


def test_two_blocks_are_one_answer(cli: Cli) -> None:
    """Where the result line holds the second block alone, the answer is both."""
    assert text_of(cli.ask("Two blocks.", answer("PART-ONE ", "PART-TWO"))) == "PART-ONE PART-TWO"


def test_thinking_is_no_answer(cli: Cli) -> None:
    """Thinking stays out of the answer; thinking alone is an empty answer."""
    assert text_of(cli.ask("Think, then say.", answer("Said.", thinking="Hm."))) == "Said."
    assert failed(cli.ask("Think only.", answer(thinking="Hm."))).error_type is FailureClass.EMPTY


def test_continued_after_the_ceiling_is_whole(cli: Cli) -> None:
    """An answer that the CLI continued by itself is whole, and its seam is told."""
    reply = cli.ask("Long.", answer("One, ", stop_reason="max_tokens"), answer("two."))
    assert isinstance(reply, Reply)
    assert reply.text == "One, two."
    assert reply.evidence["seams"] == [{"reason": "ceiling", "chars": 5}]


def test_answer_without_end_is_a_failure(cli: Cli) -> None:
    """An answer that never ends is no answer, and what it cost is told."""
    failure = failed(cli.ask("Endless.", answer("More. ", stop_reason="max_tokens")))
    assert failure.error_type is FailureClass.OUTPUT_CEILING
    assert failure.cost_usd > 0
    assert failure.usage.input_tokens == 10 * len(cli.api.requests)


def test_refused_then_answered_is_a_refusal(cli: Cli) -> None:
    """A refusal that the CLI talked over, with a clean success in the end, is a refusal."""
    failure = failed(cli.ask("Delicate.", answer("Well, ", stop_reason="refusal"), answer("fine.")))
    assert failure.error_type is FailureClass.REFUSAL


def test_answer_of_5_mb_is_whole(cli: Cli) -> None:
    """5 MB with every kind of line end arrive to the character."""
    text = "".join(f"Line {number}: \u2028 é 漢 😀\r\n" for number in range(180_000))
    assert len(text.encode()) > 5_000_000
    assert text_of(cli.ask("Big.", answer(text, delta_chars=20_000))) == text


def test_empty_answer_is_a_failure(cli: Cli) -> None:
    """A clean end without text is no answer."""
    assert failed(cli.ask("Nothing.", answer())).error_type is FailureClass.EMPTY


@pytest.mark.parametrize(
    ("status", "message", "expected", "requests"),
    [
        # 2.1.330 asks three times on a 400 whose message it does not know: without one field, then again.
        (400, "", FailureClass.INVALID_REQUEST, 3),
        (400, "prompt is too long: 250000 tokens > 200000 maximum", FailureClass.TOO_LONG, 1),
        (400, "Your credit balance is too low to access the API.", FailureClass.BILLING, None),
        (401, "", FailureClass.AUTH, 1),
        (403, "", FailureClass.AUTH, 1),
        # 2.1.330 asks again without streaming.
        (404, "", FailureClass.UNKNOWN_MODEL, 2),
        (413, "", FailureClass.TOO_LONG, 1),
        (429, "", FailureClass.THROTTLED, 1),
        (500, "", FailureClass.TRANSIENT, 1),
        (529, "", FailureClass.TRANSIENT, 1),
    ],
)
def test_api_error_has_its_class(
    cli: Cli, status: int, message: str, expected: FailureClass, requests: int | None
) -> None:
    """Each status ends with its class, and the CLI's own retries do not multiply with ours."""
    failure = failed(cli.ask("Fail.", error(status, message)))
    assert failure.error_type is expected
    assert failure.evidence["api_error_status"] == status
    assert requests in {None, len(cli.api.requests)}


def test_cut_before_a_block_is_complete_starts_again(cli: Cli) -> None:
    """The CLI asks again without streaming; the answer is the second one alone, and progress falls back."""
    text = "This answer is cut in the middle."
    seen: list[int] = []
    reply = cli.ask("Cut.", answer(text, cut_after_chars=20, delta_chars=5), on_progress=seen.append)
    assert text_of(reply) == text
    assert [sent.stream for sent in cli.api.requests] == [True, False]
    assert seen[-1] == len(text)


def test_cut_after_a_complete_block_goes_on(cli: Cli) -> None:
    """The CLI lets the model go on behind the complete block; the answer is whole, with a seam."""
    reply = cli.ask("Cut later.", answer("Whole. ", "Cut here.", cut_after_chars=10), answer("The rest."))
    assert isinstance(reply, Reply)
    assert reply.text == "Whole. The rest."
    assert reply.evidence["seams"] == [{"reason": "cut", "chars": 7}]


def test_nobody_listening_is_transient(cli: Cli) -> None:
    """A refused connection may work later."""
    environment = {**cli.environment, "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    assert failed(cli.ask("Hello?", environment=environment)).error_type is FailureClass.TRANSIENT


def test_subscription_limit_is_a_usage_limit_with_its_end(cli: Cli) -> None:
    """A rejected allowance of a subscription login is told with the second at which it ends."""
    resets_at = int(time.time()) + 3600
    limit = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(resets_at),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
    }
    environment = {**cli.environment, "CLAUDE_CODE_OAUTH_TOKEN": "made-up", "ANTHROPIC_API_KEY": ""}
    failure = failed(cli.ask("Too much.", error(429, headers=limit), environment=environment))
    assert (failure.error_type, failure.resets_at) == (FailureClass.USAGE_LIMIT, resets_at)


def test_usage_windows_are_told(cli: Cli) -> None:
    """A subscription login's windows come with an answer and with a failure; an API key has none (2.1.331)."""
    resets_at = int(time.time()) + 3600
    limit = {
        "anthropic-ratelimit-unified-status": "allowed",
        "anthropic-ratelimit-unified-5h-utilization": "0.41",
        "anthropic-ratelimit-unified-5h-reset": str(resets_at),
        "anthropic-ratelimit-unified-7d-utilization": "0.1234",
        "anthropic-ratelimit-unified-7d-reset": str(resets_at + 86_400),
    }
    rejected = {
        **limit,
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(resets_at),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-5h-utilization": "1",
    }
    environment = {**cli.environment, "CLAUDE_CODE_OAUTH_TOKEN": "made-up", "ANTHROPIC_API_KEY": ""}
    week = UsageWindow(name="seven_day", utilization=0.1234, resets_at=resets_at + 86_400)
    reply = cli.ask("Some.", answer("Some.", headers=limit), environment=environment)
    assert text_of(reply) == "Some."
    assert reply.windows == (UsageWindow(name="five_hour", utilization=0.41, resets_at=resets_at), week)
    failure = failed(cli.ask("Too much.", error(429, headers=rejected), environment=environment))
    assert failure.windows == (UsageWindow(name="five_hour", utilization=1.0, resets_at=resets_at), week)
    assert cli.ask("By key.", answer("Some.", headers=limit)).windows == ()


@pytest.mark.parametrize("inside", ["@{file}", "Say: '@{file}' <doc>@{file}</doc>", "@{folder}/ and @~/secret.txt"])
def test_files_named_in_a_prompt_are_never_read(cli: Cli, tmp_path: Path, inside: str) -> None:
    """`@path` stays as it is: nothing of a file reaches the API, though the CLI would read it with all tools off."""
    for file in (tmp_path / "secret.txt", cli.home / "secret.txt"):
        file.write_text("TOP-SECRET-CONTENT")
    prompt = inside.format(file=tmp_path / "secret.txt", folder=tmp_path) + " @/etc/hostname"
    cli.ask(prompt)
    (sent,) = cli.api.requests
    assert sent.prompt == prompt
    assert b"TOP-SECRET-CONTENT" not in sent.body
    assert sent.overhead < OVERHEAD_BYTES


def test_own_instructions_of_the_user_stay_out(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's CLAUDE.md, nor settings and hooks, nor those of the current folder reach the request."""
    hook = {"hooks": [{"type": "command", "command": f"touch {tmp_path}/hooked"}]}
    settings = f'{{"env": {{"X": "1"}}, "hooks": {{"UserPromptSubmit": [{hook}]}}}}'.replace("'", '"')
    for folder in (cli.home / ".claude", tmp_path / "project" / ".claude"):
        folder.mkdir(parents=True)
        (folder / "CLAUDE.md").write_text("TOP-SECRET-INSTRUCTION")
        (folder / "settings.json").write_text(settings)
    (tmp_path / "project" / "CLAUDE.md").write_text("TOP-SECRET-INSTRUCTION")
    monkeypatch.chdir(tmp_path / "project")
    cli.ask("Plain.")
    (sent,) = cli.api.requests
    assert b"TOP-SECRET-INSTRUCTION" not in sent.body
    assert str(tmp_path / "project").encode() not in sent.body
    assert sent.overhead < OVERHEAD_BYTES
    assert not (tmp_path / "hooked").exists()


@pytest.mark.parametrize("prompt", ["/clear", "/cost and more", "!ls", "#remember", "  /help", "\n/clear"])
def test_prompt_like_a_command_reaches_the_model(cli: Cli, prompt: str) -> None:
    """A prompt that begins like a command of the CLI is a prompt."""
    assert text_of(cli.ask(prompt)) == default_answer(prompt)


def test_prompt_over_the_window_is_too_long(cli: Cli) -> None:
    """A prompt of 12 MB is written without locking up, and refused by the CLI itself."""
    failure = failed(cli.ask("many words " * 1_100_000))
    assert failure.error_type is FailureClass.TOO_LONG
    assert cli.api.requests == []


def test_progress_grows_while_the_answer_comes(cli: Cli) -> None:
    """The count of characters grows many times before the end, and ends at the length of the answer."""
    text = "word " * 40
    seen: list[int] = []
    response = answer(text, delta_chars=20, delta_delay_s=0.05)
    assert text_of(cli.ask("Slowly.", response, on_progress=seen.append)) == text
    assert len(seen) >= 5
    assert seen == sorted(seen)
    assert seen[-1] == len(text)


def test_cancelling_breaks_the_request(cli: Cli) -> None:
    """Cancelling ends the process, and with it the request, in time."""
    cli.api.when("Hang.", answer(hang=True))

    async def main() -> float:
        async with cli.open() as runner:
            running = asyncio.create_task(runner.run(request(prompt="Hang."), on_progress=lambda _: None))
            await asyncio.to_thread(cli.api.wait_for_requests, 1)
            began = time.monotonic()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            return time.monotonic() - began

    assert asyncio.run(main()) < 5


def test_hanging_api_is_silence(cli: Cli) -> None:
    """An API that never answers is given up after the chunk's limit."""
    failure = failed(cli.ask("Hang.", answer(hang=True), timeout_s=3.0))
    assert failure.error_type is FailureClass.SILENCE_TIMEOUT


def test_eight_at_once(cli: Cli) -> None:
    """Eight attempts at once share a runner, each with its own answer."""
    prompts = [f"Number {number}." for number in range(8)]

    async def main() -> list[Reply | Failure]:
        async with cli.open() as runner:
            requests = [request(prompt=prompt, timeout_s=60.0) for prompt in prompts]
            return await asyncio.gather(*(runner.run(each, on_progress=lambda _: None) for each in requests))

    assert [text_of(outcome) for outcome in asyncio.run(main())] == [default_answer(prompt) for prompt in prompts]


def test_killed_parent_leaves_no_real_cli(cli: Cli, tmp_path: Path) -> None:
    """After `kill -9` of the parent the real CLI, its request under way, is gone within 2 s."""
    cli.api.when("Say something.", answer(hang=True))
    folder = tmp_path / "victim"
    folder.mkdir()
    with start_victim(cli.binary, folder, count=2, base_url=cli.api.url) as victim:
        cli.api.wait_for_requests(2)
        assert len(left_over(folder)) >= 3
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert eventually(lambda: not left_over(folder), within_s=2.0)
    assert not list((folder / "tmp").glob("orchestrate-*"))
