"""Faults of the process itself, played by a stand-in `claude`: each ends in time, in its class, with nothing left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply
from orchestrator.runners.claude_cli.command import OUR_SETTINGS
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.claude_cli.attempts import QUICK, attempt, eventually, request, runs
from tests.equipment.fake_claude import HELP, FakeClaude, Step

ANSWER: list[Step] = ["read_prompt", "init", {"text": "fine"}, "result"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As little as a shell has, and a temporary folder that the test can look into."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(temporary), "ANTHROPIC_API_KEY": "sk-x"}


def failed(outcome: Reply | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def answered(outcome: Reply | Failure) -> Reply:
    assert isinstance(outcome, Reply), outcome
    return outcome


def open_files() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - a listing, no paths


def nothing_left(fake: FakeClaude) -> bool:
    return eventually(lambda: not any(runs(pid) for pid in fake.pids()), within_s=2.0)


def test_healthy_answer(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """The answer, its price, its model and growing progress come through; the private folder is gone afterwards."""
    seen: list[int] = []
    reply = answered(attempt(fake_claude.path, environment, on_progress=seen.append))
    assert (reply.text, reply.model, reply.cost_usd, reply.session_id) == (
        "fake answer",
        "fake-model",
        0.01,
        "fake-session",
    )
    assert seen[-1] == len("fake answer")
    assert seen == sorted(seen)
    assert nothing_left(fake_claude)
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_call_is_lean_and_private(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Flags, input, folder and environment are exactly what is promised; nothing of the prompt is in the arguments."""
    secret = "PROMPT-\u2028-漢字-\x00-\ud83d"
    outside = {**environment, "CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "x", "SECRET": "s", "LC_ALL": "C.UTF-8"}
    settings = {"model": "sonnet", "fallback_model": "haiku", "effort": "low", "context": "You know\nmuch."}
    answered(attempt(fake_claude.path, outside, prompt=secret, **settings))
    (call,) = fake_claude.calls()
    argv = call["argv"]
    context_file = argv.pop(argv.index("--system-prompt-file") + 1)
    assert argv == [
        *("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
        *("--include-partial-messages", "--tools", "", "--system-prompt-file"),
        *("--setting-sources", "", "--strict-mcp-config", "--no-session-persistence"),
        *("--model", "sonnet", "--fallback-model", "haiku", "--effort", "low"),
    ]
    lines = call["stdin"].split("\n")
    assert lines[1:] == [""]
    content = json.loads(lines[0])["message"]["content"]
    first_line, _, rest = content.partition("\n")
    assert rest == secret
    assert first_line
    assert not first_line.startswith("/")
    assert call["cwd_entries"] == []
    assert Path(context_file).parent == Path(call["cwd"]).parent
    ours = {*OUR_SETTINGS, "PATH", "HOME", "TMPDIR", "ANTHROPIC_API_KEY", "LC_ALL"}
    assert set(call["env"]) - {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"} == ours
    assert {name: call["env"][name] for name in OUR_SETTINGS} == OUR_SETTINGS


def test_folder_is_private_and_contexts_are_shared(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Only their owner may enter the folder and read its files; equal contexts share one file."""

    def look() -> tuple[int, list[int], list[str]]:
        (folder,) = Path(environment["TMPDIR"]).iterdir()
        files = sorted(folder.glob("context-*"), key=lambda file: file.read_text())
        modes = [stat.S_IMODE(file.stat().st_mode) for file in files]
        return stat.S_IMODE(folder.stat().st_mode), modes, [file.read_text() for file in files]

    async def main() -> tuple[int, list[int], list[str]]:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        for context in ("one", "two", "one", ""):
            answered(await runner.run(request(context=context), on_progress=lambda _: None))
        seen = look()
        await runner.close()
        return seen

    assert asyncio.run(main()) == (0o700, [0o600] * 3, ["", "one", "two"])
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"sleep": 3600}], FailureClass.START_TIMEOUT),
        (["read_prompt", "init", {"sleep": 3600}], FailureClass.SILENCE_TIMEOUT),
        (["read_prompt", "init", {"delta": "half"}, {"sleep": 3600}], FailureClass.SILENCE_TIMEOUT),
        (["ignore_sigterm", "read_prompt", "init", {"sleep": 3600}], FailureClass.SILENCE_TIMEOUT),
        (["read_prompt", "init", "grandchild", {"sleep": 3600}], FailureClass.SILENCE_TIMEOUT),
        (
            ["read_prompt", "init", {"repeat": {"times": 1000, "steps": [{"raw": "{}"}, {"sleep": 0.05}]}}],
            FailureClass.WALL_TIMEOUT,
        ),
        (
            ["read_prompt", "init", {"repeat": {"times": 1000, "steps": [{"delta": "x"}, {"sleep": 0.05}]}}],
            FailureClass.WALL_TIMEOUT,
        ),
    ],
)
def test_hang_ends_in_time(
    fake_claude: FakeClaude, environment: dict[str, str], steps: list[Step], expected: FailureClass
) -> None:
    """Whatever hangs, and however stubbornly, is ended with all it started; the class says where it hung."""
    fake_claude.play(*steps)
    began = time.monotonic()
    failure = failed(attempt(fake_claude.path, environment, timeout_s=1.0))
    assert failure.error_type is expected
    assert time.monotonic() - began < 8
    assert nothing_left(fake_claude)


@pytest.mark.alone
def test_arriving_text_extends_the_limit(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """An answer that takes longer than its limit, but keeps coming, is let finish."""
    slow: Step = {"repeat": {"times": 15, "steps": [{"delta": "x"}, {"sleep": 0.1}]}}
    fake_claude.play("read_prompt", "init", slow, {"text": "x" * 15}, "result")
    assert answered(attempt(fake_claude.path, environment, timeout_s=1.0)).text == "x" * 15


@pytest.mark.parametrize("stubborn", [False, True])
def test_result_stays_valid_when_the_process_never_exits(
    fake_claude: FakeClaude, environment: dict[str, str], stubborn: bool
) -> None:
    """A paid answer is kept when its process has to be ended, even with SIGKILL."""
    first: list[Step] = ["ignore_sigterm"] if stubborn else []
    fake_claude.play(*first, *ANSWER, {"sleep": 3600})
    assert answered(attempt(fake_claude.path, environment)).text == "fine"
    assert nothing_left(fake_claude)


def test_what_a_process_leaves_behind_is_ended(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A grandchild that outlives its parent and holds stdout open neither delays the answer nor stays."""
    fake_claude.play("grandchild", *ANSWER, {"exit": 0})
    began = time.monotonic()
    assert answered(attempt(fake_claude.path, environment)).text == "fine"
    assert time.monotonic() - began < 5
    assert len(fake_claude.pids()) == 2
    assert nothing_left(fake_claude)


@pytest.mark.parametrize(
    ("steps", "expected", "words"),
    [
        (["read_prompt", "init", {"text": "half"}, {"exit": 3}], FailureClass.CRASH, "exited with 3"),
        (["read_prompt", "init", {"kill_self": int(signal.SIGKILL)}], FailureClass.CRASH, "SIGKILL"),
        ([{"stderr": "error: unknown option '--x'"}, {"exit": 1}], FailureClass.ENVIRONMENT, "unknown option"),
        (["read_prompt", "init", {"text": "half"}, {"unfinished": '{"type":"result"'}], FailureClass.CRASH, "result"),
        (["read_prompt", "init", {"text": "a"}, "result", "result"], FailureClass.PROTOCOL, "2 results"),
        (["read_prompt", "init", {"text": "a"}, {"raw": "junk"}, "result"], FailureClass.PROTOCOL, "could not be read"),
        (["read_prompt", "init", {"text": "a"}, "result", {"exit": 1}], FailureClass.PROTOCOL, "exited with 1"),
        (["read_prompt", "init", {"error": "API Error: 500 x"}, "result"], FailureClass.TRANSIENT, "500"),
        (
            ["read_prompt", "init", {"text": "a"}, {"error": "API Error: 500 x"}, "result"],
            FailureClass.PROTOCOL,
            "error",
        ),
        (["read_prompt", "init", "result"], FailureClass.EMPTY, "without any text"),
        (
            [
                "read_prompt",
                "init",
                {"result": {"is_error": True, "result": "API Error: 529 x", "api_error_status": 529}},
            ],
            FailureClass.TRANSIENT,
            "API Error",
        ),
    ],
)
def test_bad_end_is_told(
    fake_claude: FakeClaude, environment: dict[str, str], steps: list[Step], expected: FailureClass, words: str
) -> None:
    """Crashes, contradictions and errors with exit 0 are failures of the right class; never an answer."""
    fake_claude.play(*steps)
    failure = failed(attempt(fake_claude.path, environment))
    assert failure.error_type is expected
    assert words in failure.message


def test_banner_before_the_first_line_is_tolerated(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A wrapper around the CLI may print something first."""
    fake_claude.play({"raw": "Loading the environment…"}, *ANSWER)
    assert answered(attempt(fake_claude.path, environment)).text == "fine"


def test_line_of_70_mb_is_whole(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A single line of 70 MB is one answer."""
    fake_claude.play("read_prompt", "init", {"big_text": 70_000_000}, "result")
    assert len(answered(attempt(fake_claude.path, environment)).text) == 70_000_000


def test_prompt_of_12_mb_goes_in_while_output_comes_out(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Writing a large prompt and reading a large output at once locks nobody up."""
    fake_claude.play("init", {"big_text": 5_000_000}, "read_prompt", "result")
    reply = answered(attempt(fake_claude.path, environment, prompt="p" * 12_000_000))
    assert len(reply.text) == 5_000_000
    (call,) = fake_claude.calls()
    assert len(call["stdin"]) > 12_000_000


def test_stderr_is_drained_and_its_end_kept(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A flood on stderr locks nobody up, and only its end is kept."""
    flood: Step = {"repeat": {"times": 2000, "steps": [{"stderr": "noise " * 100}]}}
    fake_claude.play("read_prompt", "init", flood, {"stderr": "the last words"}, {"exit": 2})
    failure = failed(attempt(fake_claude.path, environment))
    stderr = str(failure.evidence["stderr"])
    assert stderr.endswith("the last words")
    assert len(stderr) <= 4000


@pytest.mark.alone
@pytest.mark.parametrize(
    "steps", [[{"mark": "here"}, {"sleep": 3600}], ["ignore_sigterm", {"mark": "here"}, {"sleep": 3600}]]
)
def test_cancelling_ends_the_process(fake_claude: FakeClaude, environment: dict[str, str], steps: list[Step]) -> None:
    """Cancelling an attempt ends its whole group within the grace, and raises on."""
    fake_claude.play(*steps)

    async def main() -> float:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        running = asyncio.create_task(runner.run(request(), on_progress=lambda _: None))
        assert await asyncio.to_thread(eventually, (fake_claude.folder / "here").exists, within_s=20.0)
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        took = time.monotonic() - began
        assert not any(runs(pid) for pid in fake_claude.pids())
        await runner.close()
        return took

    assert asyncio.run(main()) < 3


def test_second_cancel_ends_at_once(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A second cancellation does not wait for the grace."""
    fake_claude.play("ignore_sigterm", {"mark": "here"}, {"sleep": 3600})

    async def main() -> float:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=Timing(grace_s=60.0))
        await runner.open()
        running = asyncio.create_task(runner.run(request(), on_progress=lambda _: None))
        assert await asyncio.to_thread(eventually, (fake_claude.folder / "here").exists, within_s=20.0)
        began = time.monotonic()
        running.cancel()
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await runner.close()
        return time.monotonic() - began

    assert asyncio.run(main()) < 10
    assert nothing_left(fake_claude)


def test_cancelling_at_any_moment_leaves_nothing(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Thirty cancellations from the first instant on: no process and no open file is left."""

    async def main() -> None:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        before = open_files()
        for number in range(30):
            running = asyncio.create_task(runner.run(request(), on_progress=lambda _: None))
            await asyncio.sleep(number * 0.002)
            running.cancel()
            await asyncio.wait({running})
        assert open_files() == before
        await runner.close()

    asyncio.run(main())
    assert nothing_left(fake_claude)


def test_many_at_once_keep_to_themselves(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Twenty attempts at once, some failing: each gets its own outcome."""
    for number in range(20):
        fake_claude.when(f"<{number}>", "read_prompt", "init", {"text": f"answer {number}"}, "result")
    fake_claude.when("<7>", "read_prompt", "init", {"exit": 5})

    async def main() -> list[Reply | Failure]:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        requests = [request(prompt=f"<{number}>") for number in range(20)]
        outcomes = await asyncio.gather(*(runner.run(each, on_progress=lambda _: None) for each in requests))
        await runner.close()
        return outcomes

    outcomes = asyncio.run(main())
    assert failed(outcomes.pop(7)).error_type is FailureClass.CRASH
    texts = [answered(outcome).text for outcome in outcomes]
    assert texts == [f"answer {number}" for number in range(20) if number != 7]


def test_older_cli_works_without_progress(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Flags that the installed CLI does not list are left out."""
    known = [line for line in HELP.splitlines() if "partial" not in line and "persistence" not in line]
    fake_claude.describe(flags="\n".join(known))
    answered(attempt(fake_claude.path, environment))
    (call,) = fake_claude.calls()
    assert "--include-partial-messages" not in call["argv"]
    assert "--no-session-persistence" not in call["argv"]


def test_program_that_vanished_is_a_fault_of_the_environment(
    fake_claude: FakeClaude, environment: dict[str, str]
) -> None:
    """A CLI that is uninstalled while a run goes stops the run with a remedy."""

    async def main() -> Reply | Failure:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        fake_claude.path.unlink()
        outcome = await runner.run(request(), on_progress=lambda _: None)
        await runner.close()
        return outcome

    assert failed(asyncio.run(main())).error_type is FailureClass.ENVIRONMENT


def gathered(fake: FakeClaude, environment: dict[str, str], count: int, timing: Timing) -> list[Reply | Failure]:
    async def main() -> list[Reply | Failure]:
        runner = ClaudeCliRunner(claude=fake.path, environment=environment, timing=timing)
        await runner.open()
        attempts = (runner.run(request(), on_progress=lambda _: None) for _ in range(count))
        outcomes = await asyncio.gather(*attempts)
        await runner.close()
        return outcomes

    return asyncio.run(main())


@pytest.mark.alone
def test_many_that_start_at_once_get_more_time(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """The limit for the first sign of life grows with how many start together."""
    fake_claude.play({"sleep": 1.5}, *ANSWER)
    timing = Timing(start_s=1.0, starts_at_once=1, grace_s=0.5)
    assert failed(gathered(fake_claude, environment, 1, timing)[0]).error_type is FailureClass.START_TIMEOUT
    assert [answered(outcome).text for outcome in gathered(fake_claude, environment, 6, timing)] == ["fine"] * 6


@pytest.mark.alone
def test_subscription_login_lets_one_call_be_answered_first(
    fake_claude: FakeClaude, environment: dict[str, str]
) -> None:
    """Processes that share a token to refresh start together only after one of them was answered."""
    fake_claude.describe(auth={"loggedIn": True, "authMethod": "claude.ai", "subscriptionType": "max"})
    fake_claude.play("read_prompt", "init", {"sleep": 0.5}, {"text": "fine"}, {"sleep": 0.5}, "result")
    assert [answered(outcome).text for outcome in gathered(fake_claude, environment, 4, QUICK)] == ["fine"] * 4
    first, *others = sorted(call["at"] for call in fake_claude.calls())
    assert others[0] - first >= 0.5
    assert others[-1] - others[0] < 0.5


def test_failed_first_call_lets_the_next_one_try(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A first call that fails holds nobody up."""
    fake_claude.describe(auth={"loggedIn": True, "authMethod": "claude.ai"})
    fake_claude.play("read_prompt", "init", {"exit": 3})
    outcomes = gathered(fake_claude, environment, 3, QUICK)
    assert [failed(outcome).error_type for outcome in outcomes] == [FailureClass.CRASH] * 3


def test_closing_ends_running_attempts_as_cancelled(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Closing while attempts run ends them in bounded time; each comes back as cancelled, and nothing is left."""
    fake_claude.play("ignore_sigterm", {"mark": "here"}, {"sleep": 3600})

    async def main() -> tuple[list[Reply | Failure], float]:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        running = [asyncio.create_task(runner.run(request(), on_progress=lambda _: None)) for _ in range(3)]
        assert await asyncio.to_thread(eventually, (fake_claude.folder / "here").exists, within_s=20.0)
        began = time.monotonic()
        await runner.close()
        await runner.close()
        return await asyncio.gather(*running), time.monotonic() - began

    outcomes, took_s = asyncio.run(main())
    assert [failed(outcome).error_type for outcome in outcomes] == [FailureClass.CANCELLED] * 3
    assert took_s < 5
    assert nothing_left(fake_claude)
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_closing_cancels_who_waits_for_the_first_call(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """An attempt that has not started yet when the runner is closed never starts."""
    fake_claude.describe(auth={"loggedIn": True, "authMethod": "claude.ai"})
    fake_claude.play({"mark": "here"}, {"sleep": 3600})

    async def main() -> list[Reply | Failure]:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        await runner.open()
        running = [asyncio.create_task(runner.run(request(), on_progress=lambda _: None)) for _ in range(3)]
        assert await asyncio.to_thread(eventually, (fake_claude.folder / "here").exists, within_s=20.0)
        await runner.close()
        return await asyncio.gather(*running)

    assert [failed(outcome).error_type for outcome in asyncio.run(main())] == [FailureClass.CANCELLED] * 3
    assert len(fake_claude.pids()) == 1
    assert nothing_left(fake_claude)


def test_closed_runner_says_so(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A runner that was not opened, or was closed, raises instead of starting anything."""

    async def main() -> None:
        runner = ClaudeCliRunner(claude=fake_claude.path, environment=environment, timing=QUICK)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="not open"):
                await runner.run(request(), on_progress=lambda _: None)
            await runner.open()
            assert await runner.open() == await runner.open()
            await runner.close()

    asyncio.run(main())
    assert fake_claude.pids() == []
