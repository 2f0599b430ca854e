"""The CLI is found where it should be, and what is wrong with it is told with a remedy before anything is paid."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from orchestrator.errors import RunnerUnavailableError
from orchestrator.runners.base import RunnerInfo
from orchestrator.runners.claude_cli.locate import INSTALL, LOG_IN, UPDATE, find_claude, login_of
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.claude_cli.attempts import QUICK, runs
from tests.equipment.fake_claude import HELP, FakeClaude
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi


def opened(claude: Path | None, environment: dict[str, str], *, timing: Timing = QUICK) -> tuple[RunnerInfo, Path]:
    async def main() -> tuple[RunnerInfo, Path]:
        runner = ClaudeCliRunner(claude=claude, environment=environment, timing=timing)
        try:
            return await runner.open(), runner.claude_path
        finally:
            await runner.close()

    return asyncio.run(main())


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(temporary)}


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_order_of_places(tmp_path: Path, claude_binary: Path) -> None:
    """The given path wins, then ORCHESTRATE_CLAUDE, then PATH, then the bundled binary."""
    given, named, on_path = (program(tmp_path / name / "claude") for name in ("given", "named", "path"))
    environment = {"ORCHESTRATE_CLAUDE": str(named), "PATH": str(on_path.parent)}
    assert find_claude(explicit=given, environment=environment) == given
    assert find_claude(explicit=None, environment=environment) == named
    del environment["ORCHESTRATE_CLAUDE"]
    assert find_claude(explicit=None, environment=environment) == on_path
    assert find_claude(explicit=Path("claude"), environment=environment) == on_path
    assert find_claude(explicit=None, environment={"PATH": str(tmp_path)}) == claude_binary


def test_home_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with `~` or be relative; what is kept is absolute."""
    claude = program(tmp_path / "bin" / "claude")
    monkeypatch.chdir(tmp_path)
    assert find_claude(explicit=Path("bin/claude"), environment={}) == claude
    assert find_claude(explicit=Path("~/bin/claude"), environment={"HOME": str(tmp_path)}) == claude


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
def test_unusable_path_is_refused(tmp_path: Path, environment: dict[str, str], kind: str) -> None:
    """A named CLI that is not there, is a folder, or may not be run is refused; nothing else is tried instead."""
    path = tmp_path / "claude"
    if kind == "folder":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("")
    remedy = f"chmod +x {path}" if kind == "not executable" else "--claude PATH"
    with pytest.raises(RunnerUnavailableError) as caught:
        opened(path, environment)
    assert str(path) in str(caught.value)
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02 no program", b"#!/no/such/interpreter\n", b"#!/bin/sh\nexit 4\n", b""]
)
def test_no_program_is_refused(tmp_path: Path, environment: dict[str, str], content: bytes) -> None:
    """A file that cannot run, or runs and is no Claude CLI, is refused with the way to get one."""
    path = tmp_path / "claude"
    path.write_bytes(content)
    path.chmod(0o755)
    with pytest.raises(RunnerUnavailableError) as caught:
        opened(path, environment)
    assert caught.value.remedy == INSTALL
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_hanging_program_is_refused_in_time(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """A CLI that does not even tell its version is ended and refused."""
    fake_claude.describe(version="hang")
    began = time.monotonic()
    with pytest.raises(RunnerUnavailableError, match="did not end within 1 s"):
        opened(fake_claude.path, environment, timing=Timing(probe_s=1.0, grace_s=1.0))
    assert time.monotonic() - began < 10
    assert not any(runs(pid) for pid in fake_claude.pids())


@pytest.mark.parametrize("flag", ["--tools", "--setting-sources", "--strict-mcp-config", "--input-format"])
def test_too_old_cli_is_refused(fake_claude: FakeClaude, environment: dict[str, str], flag: str) -> None:
    """A CLI without a flag that we need is refused by name and version."""
    known = "\n".join(line for line in HELP.splitlines() if flag not in line)
    fake_claude.describe(version="1.0.60", flags=known)
    with pytest.raises(RunnerUnavailableError, match=rf"1\.0\.60.*{flag}") as caught:
        opened(fake_claude.path, environment)
    assert caught.value.remedy == UPDATE


@pytest.mark.parametrize("version", ["2.1.83", "2.1.227"])
def test_known_bad_version_is_refused(fake_claude: FakeClaude, environment: dict[str, str], version: str) -> None:
    """Versions that are known to lose answers or to fill the memory are refused."""
    fake_claude.describe(version=version)
    with pytest.raises(RunnerUnavailableError) as caught:
        opened(fake_claude.path, environment)
    assert version in str(caught.value)
    assert caught.value.remedy == UPDATE


def test_not_logged_in_is_refused(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Without a login nothing starts."""
    fake_claude.describe(auth={"loggedIn": False, "authMethod": "none", "apiProvider": "firstParty"})
    with pytest.raises(RunnerUnavailableError) as caught:
        opened(fake_claude.path, environment)
    assert caught.value.remedy == LOG_IN


def test_unwritable_temporary_folder_is_refused(fake_claude: FakeClaude, environment: dict[str, str]) -> None:
    """Without a private folder nothing starts."""
    environment["TMPDIR"] += "/missing"
    with pytest.raises(RunnerUnavailableError) as caught:
        opened(fake_claude.path, environment)
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "environment", "words"),
    [
        (
            '{"loggedIn":true,"authMethod":"api_key","apiProvider":"firstParty","apiKeySource":"ANTHROPIC_API_KEY"}',
            {},
            "API key from ANTHROPIC_API_KEY",
        ),
        (
            '{"loggedIn":true,"authMethod":"oauth_token","apiProvider":"firstParty"}',
            {"CLAUDE_CODE_OAUTH_TOKEN": "x", "ANTHROPIC_API_KEY": "x"},
            "subscription token from CLAUDE_CODE_OAUTH_TOKEN",
        ),
        (
            '{"loggedIn":true,"authMethod":"oauth_token","apiProvider":"firstParty"}',
            {"ANTHROPIC_AUTH_TOKEN": "x"},
            "token from ANTHROPIC_AUTH_TOKEN",
        ),
        (
            '{"loggedIn":true,"authMethod":"claude.ai","apiProvider":"firstParty","subscriptionType":"max",'
            '"configDirectory":"/home/u/.claude"}',
            {},
            "subscription login (max) of /home/u/.claude",
        ),
        ('{"loggedIn":true,"authMethod":"third_party","apiProvider":"bedrock"}', {}, "bedrock account"),
        ('{"loggedIn":false,"apiProvider":"vertex"}', {}, "vertex account"),
        ("error: unknown command 'auth'", {}, "the CLI's own login"),
        ("", {"ANTHROPIC_API_KEY": "x"}, "API key from ANTHROPIC_API_KEY"),
        ("[]", {}, "the CLI's own login"),
    ],
)
def test_login_is_told_in_words(status: str, environment: dict[str, str], words: str) -> None:
    """Which login pays is said before the first call; a version that cannot tell is not judged."""
    assert login_of(status, environment=environment) == words


def test_answers_about_itself_that_cannot_be_read_are_not_judged(
    fake_claude: FakeClaude, environment: dict[str, str]
) -> None:
    """An older CLI without `auth status` is used, and the login told as far as it is known."""
    fake_claude.describe(auth="error: unknown command")
    info, path = opened(fake_claude.path, environment)
    assert (info.version, info.login) == ("2.1.330", "the CLI's own login")
    assert path == fake_claude.path


def test_real_cli_is_probed(claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> None:
    """The real CLI tells its version and which login pays, in a second or so; no request is made."""
    info, path = opened(claude_binary, cli_environment(standin_api, isolated_home))
    assert info.version.count(".") == 2
    assert info.login == "API key from ANTHROPIC_API_KEY"
    assert path == claude_binary
    assert standin_api.requests == []


def test_real_cli_without_login_is_refused(claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> None:
    """The real CLI in an empty home, without a key, is not logged in."""
    environment = cli_environment(standin_api, isolated_home)
    del environment["ANTHROPIC_API_KEY"]
    with pytest.raises(RunnerUnavailableError) as caught:
        opened(claude_binary, environment)
    assert caught.value.remedy == LOG_IN
