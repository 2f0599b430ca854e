"""Usage limits and accounts as a user meets them: exact starts, waits and exit codes of the command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fake_claude import FakeClaude
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer, error

PLAN = "chunks:\n" + "".join(f"  - {{id: {name}, prompt: About {name}.}}\n" for name in ("one", "two", "three"))


def limited(fake: FakeClaude, resets_at: float) -> None:
    """Let every call meet a usage limit that ends then."""
    told = f"Claude AI usage limit reached|{int(resets_at)}"
    result = {"is_error": True, "api_error_status": 429, "terminal_reason": "api_error", "result": told}
    fake.play("read_prompt", "init", {"error": told}, {"result": result})


def healthy(fake: FakeClaude) -> None:
    fake.play("read_prompt", "init", {"text": "fake answer"}, "result")


@pytest.fixture
def command(tmp_path: Path, fake_claude: FakeClaude) -> Command:
    """The command with a plan of three chunks, in front of the stand-in CLI."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANTHROPIC_API_KEY": "made-up"}
    return Command(folder, environment, claude=fake_claude.path)


def read_until(process: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    """The events of a running command, up to the first of this type."""
    events: list[dict[str, Any]] = []
    assert process.stdout is not None
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["type"] == kind:
            return events
    raise AssertionError(f"no {kind}: {events}")


def rest_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    stdout, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in stdout.splitlines()]


def starts_and_ends(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in events if each["type"] in ("chunk_started", "chunk_succeeded")]


def test_a_limit_pauses_and_one_call_goes_first(command: Command, fake_claude: FakeClaude) -> None:
    """Three calls meet it, nothing starts before the reset, then one goes alone; no attempt was used up; exit 0."""
    resets_at = int(time.time()) + 4
    limited(fake_claude, resets_at)
    process = command.start("plan.yaml", "--progress", "json")
    before = read_until(process, "run_paused")
    assert (before[-1]["cause"], before[-1]["met"], before[-1]["account"]) == ("limit", 1, "")
    while len(fake_claude.calls()) < 3:
        time.sleep(0.02)
    healthy(fake_claude)
    after = rest_of(process)
    assert process.returncode == 0
    at = [each["type"] for each in after].index("run_continued")
    assert starts_and_ends(after[:at]) == []
    assert starts_and_ends(after[at:])[:2] == ["chunk_started", "chunk_succeeded"]
    assert time.time() >= resets_at
    assert len(fake_claude.calls()) == 6


def test_a_pause_outlives_kill_9(command: Command, fake_claude: FakeClaude) -> None:
    """The resumed process waits for the same end, then sends one call first."""
    resets_at = int(time.time()) + 10
    limited(fake_claude, resets_at)
    process = command.start("plan.yaml", "--progress", "json", "-j", "1")
    told = read_until(process, "run_paused")[-1]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    healthy(fake_claude)
    process = command.start("resume", "last", "--progress", "json")
    assert read_until(process, "run_paused")[-1]["until"] == told["until"]
    after = rest_of(process)
    assert process.returncode == 0
    assert starts_and_ends(after)[:2] == ["chunk_started", "chunk_succeeded"]
    (_, canary, *_rest) = fake_claude.calls()
    assert len(fake_claude.calls()) == 4
    assert canary["at"] - time.monotonic() >= resets_at - time.time() - 0.1


def test_two_processes_that_wait_for_one_limit_pay_once(command: Command, fake_claude: FakeClaude) -> None:
    """Both were told of it by the same chunk; after the reset one asks for that, and the other takes its answer."""
    limited(fake_claude, time.time() + 12)
    processes: list[subprocess.Popen[str]] = []
    before: list[dict[str, Any]] = []
    for _ in range(2):
        # One after the other: while the first asks for a chunk, the second would turn to the next.
        processes.append(command.start("plan.yaml", "--progress", "json", "-j", "1"))
        before += read_until(processes[-1], "run_paused")
    assert [event["chunk_id"] for event in before if event["type"] == "chunk_started"] == ["one", "one"]
    met = len(fake_claude.calls())
    fake_claude.play("read_prompt", "init", {"sleep": 1}, {"text": "fake answer"}, "result")
    after = [event["type"] for process in processes for event in rest_of(process)]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(fake_claude.calls()) - met == 3
    assert (after.count("chunk_succeeded"), after.count("chunk_reused")) == (3, 3)


def test_status_tells_a_pause_and_who_holds_it(command: Command, fake_claude: FakeClaude) -> None:
    """While the process waits, and after it was killed: until when, why, and that resume waits on."""
    limited(fake_claude, time.time() + 3600)
    process = command.start("plan.yaml", "--progress", "json", "-j", "1")
    told = read_until(process, "run_paused")[-1]
    shown = command.run("status", "last").stdout
    assert "\na live process holds this run\npaused until " in shown
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    status = json.loads(command.run("status", "last", "--json").stdout)
    assert (status["live"], status["state"]) == (False, "interrupted")
    reason = told["reason"]
    left = {"account": "", "until": told["until"], "reason": reason, "cause": "limit", "met": 1, "over": False}
    assert status["pauses"] == [left]
    assert f" ({reason}); to go on waits for that" in command.run("status", "last").stdout


def test_who_does_not_wait_is_told_until_when(command: Command, fake_claude: FakeClaude) -> None:
    """`--no-wait`, and a limit longer than `--max-wait`: exit 4, the end of the limit, and the command to go on. A
    `--max-wait` for a run that was told `--no-wait` has it wait.
    """
    resets_at = int(time.time()) + 2 * 86_400
    limited(fake_claude, resets_at)
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(resets_at))
    stopped = command.run("plan.yaml", "--no-wait", "-j", "1")
    assert stopped.exit_code == 4
    assert f"the usage limit lasts until {until}: Claude AI usage limit reached" in stopped.stdout
    assert "to go on: orchestrate resume " in stopped.stdout
    assert len(fake_claude.calls()) == 1
    stopped = command.run("plan.yaml", "--max-wait", "6h", "-j", "1")
    assert stopped.exit_code == 4
    assert f"lasts until {until}, longer than max_wait" in stopped.stdout
    assert re.search(r"to go on: orchestrate resume \S+ --max-wait 4[89]h\n", stopped.stdout)
    assert command.run("plan.yaml", "--no-wait", "-j", "1").exit_code == 4
    limited(fake_claude, time.time() + 8)
    process = command.start("resume", "last", "--max-wait", "1h", "-j", "1", "--progress", "json")
    assert read_until(process, "run_paused")[-1]["cause"] == "limit"
    healthy(fake_claude)
    rest_of(process)
    assert process.returncode == 0
    assert len(fake_claude.calls()) == 4 + 3


def test_an_account_that_nobody_configured_is_a_problem_of_the_plan(command: Command, fake_claude: FakeClaude) -> None:
    """With its place, a suggestion and the remedy; nothing is started."""
    (command.folder / "plan.yaml").write_text("account: wrok\n" + PLAN)
    (command.folder / "request.yaml").write_text("account: wrok\nrequest: Tell me about one, two and three.\n")
    for words in (("check", "plan.yaml"), ("plan.yaml",), ("plan", "request.yaml"), ("request.yaml",)):
        refused = command.run(*words, "--account", "work=logins/work")
        assert refused.exit_code == 2
        assert f"{words[-1]}:1:10: there is no account `wrok`" in refused.stderr
        assert "did you mean work? If not, give its folder with --account wrok=DIR" in refused.stderr
    assert fake_claude.calls() == []


def log_in(folder: Path, token: str) -> None:
    """Keep a made-up login of a subscription there, as the CLI does."""
    folder.mkdir(parents=True)
    login = {
        "accessToken": token,
        "refreshToken": f"{token}-refresh",
        "expiresAt": int((time.time() + 9000) * 1000),
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
    (folder / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))


class Accounts:
    """An API at which the account `work` is at its limit for some seconds."""

    def __init__(self, *, for_s: float) -> None:
        self.for_s = for_s
        self.resets_at = 0.0
        self.paid_by: list[tuple[str, str]] = []

    def respond(self, request: ApiRequest) -> ApiResponse:
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key", "")
        self.paid_by.append((token, request.prompt.split()[-1].strip(".")))
        if token == "work-token":
            self.resets_at = self.resets_at or int(time.time() + self.for_s)
            if time.time() < self.resets_at:
                headers = {
                    "anthropic-ratelimit-unified-status": "rejected",
                    "anthropic-ratelimit-unified-reset": str(int(self.resets_at)),
                    "anthropic-ratelimit-unified-representative-claim": "five_hour",
                }
                return error(429, headers=headers)
        return answer("Some words.")


def test_a_limit_of_one_account_leaves_the_other_at_work(
    tmp_path: Path, claude_binary: Path, isolated_home: Path
) -> None:
    """On the real CLI: what the other account pays for is done meanwhile; each call has its own token, none the key."""
    for name in ("work", "spare"):
        log_in(tmp_path / "logins" / name, f"{name}-token")
    settings = isolated_home / ".config" / "orchestrate" / "accounts.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"work: {tmp_path}/logins/work\n")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "plan.yaml").write_text(
        "account: work\nchunks:\n"
        + "".join(f"  - {{id: {name}, prompt: About {name}.}}\n" for name in ("a", "b"))
        + "".join(f"  - {{id: {name}, account: spare, prompt: About {name}.}}\n" for name in ("x", "y"))
        + "  - {id: either, account: [work, spare], prompt: About either.}\n"
    )
    accounts = Accounts(for_s=10)
    with StandInApi(accounts.respond) as api:
        command = Command(folder, cli_environment(api, isolated_home), claude=claude_binary)
        done = command.run("plan.yaml", "--progress", "json", "--account", f"spare={tmp_path}/logins/spare", "-j", "2")
        assert done.exit_code == 0, done.stderr
        again = command.run("plan.yaml", "--account", f"spare={tmp_path}/logins/spare")
        assert again.exit_code == 0
        checked = command.run("doctor")
    events = done.events
    (estimated,) = [each for each in events if each["type"] == "run_estimated"]
    assert [(each["account"], each["calls"]) for each in estimated["logins"]] == [("work", 3), ("spare", 2)]
    assert "account work (subscription login (max)" in estimated["login"]
    kinds = [each["type"] for each in events]
    paused, continued = kinds.index("run_paused"), kinds.index("run_continued")
    assert events[paused]["account"] == events[continued]["account"] == "work"
    meanwhile = {each["chunk_id"] for each in events[:continued] if each["type"] == "chunk_succeeded"}
    assert meanwhile == {"x", "y", "either"}
    after = [each["account"] for each in events[continued:] if each["type"] == "chunk_started"]
    assert after == ["work", "work"]
    assert {token for token, _ in accounts.paid_by} == {"work-token", "spare-token"}
    assert {chunk for token, chunk in accounts.paid_by if token == "spare-token"} == {"x", "y", "either"}
    assert "account work" in checked.stdout


def test_an_account_that_is_not_logged_in_is_named(tmp_path: Path, claude_binary: Path, isolated_home: Path) -> None:
    """Exit 3 before any call, though a key of the environment would pay; with the command that logs in."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "plan.yaml").write_text("account: work\n" + PLAN)
    with StandInApi() as api:
        command = Command(folder, cli_environment(api, isolated_home), claude=claude_binary)
        refused = command.run("plan.yaml", "--account", f"work={tmp_path}/nobody")
        assert api.requests == []
    assert refused.exit_code == 3
    assert "the account work is not logged in" in refused.stderr
    assert f"Log in: CLAUDE_CONFIG_DIR={tmp_path}/nobody claude" in refused.stderr


def test_an_account_that_is_logged_out_in_the_middle_is_named(command: Command, fake_claude: FakeClaude) -> None:
    """Exit 3 with the account and how to log in to it again, while the other account's answer is kept."""
    (command.folder / "plan.yaml").write_text(
        "mode: sequence\naccount: work\n" + PLAN.replace("{id: one,", "{id: one, account: default,")
    )
    healthy(fake_claude)
    told = "OAuth token has expired"
    expired = {"is_error": True, "api_error_status": 401, "terminal_reason": "api_error", "result": told}
    fake_claude.when("About two", "init", {"error": told}, {"result": expired}, {"exit": 1})
    stopped = command.run("plan.yaml", "--account", "work=logins/work")
    assert stopped.exit_code == 3
    said = stopped.stdout + stopped.stderr
    assert f"account work: {told}. Log in: CLAUDE_CONFIG_DIR={command.folder}/logins/work claude" in said
    assert "set a valid ANTHROPIC_API_KEY" not in said
    assert "About three" not in str(fake_claude.calls())
    assert "[1/3] one" in stopped.stdout
    fake_claude.when("About two", "init", {"text": "fake answer"}, "result")
    assert command.run("resume", "last").exit_code == 0
    assert len(fake_claude.calls()) == 2 + 2


def test_the_rest_of_a_window_is_left_alone(tmp_path: Path, claude_binary: Path, isolated_home: Path) -> None:
    """With 30 % to leave nothing starts after the answer that told 80 %, and a later run makes no call at all."""
    resets_at = int(time.time()) + 7200
    calls = 0

    def respond(_: ApiRequest) -> ApiResponse:
        nonlocal calls
        calls += 1
        headers = {
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-ratelimit-unified-5h-utilization": ("0.5", "0.8", "0.9")[calls - 1],
            "anthropic-ratelimit-unified-5h-reset": str(resets_at),
        }
        return answer("Some words.", headers=headers)

    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN + "limits: {leave_usage: 30%, max_wait: 1h, max_concurrency: 1}\n")
    with StandInApi(respond) as api:
        environment = {**cli_environment(api, isolated_home), "CLAUDE_CODE_OAUTH_TOKEN": "made-up"}
        del environment["ANTHROPIC_API_KEY"]
        command = Command(folder, environment, claude=claude_binary)
        for words in (("plan.yaml",), ("resume", "last"), ("plan.yaml", "--no-wait")):
            stopped = command.run(*words)
            assert stopped.exit_code == 4, stopped.stderr
            assert "the 5-hour window is at 80 %, and 30 % of it are to be left" in stopped.stdout
            assert calls == 2
