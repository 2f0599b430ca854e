"""Keys of the person who runs it reach the CLI and nothing else: on the real CLI, and on one that says them aloud."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.end_to_end.command import Command, Outcome
from tests.end_to_end.processes import alive_with
from tests.equipment.fake_claude import FakeClaude
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi, answer, error

KEY = "sk-ant-api03-CANARY-key_0123456789"
TOKEN = "opaque/CANARY token=0123456789"
PLAN = "chunks: [{id: one, prompt: 'TASK-one', max_attempts: 2}]\n"
WORDS = ("CANARY", "0123456789")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    return folder


def traces(command: Command, run: Outcome) -> list[str]:
    """Where a key can be seen: what the commands print, and every file that they left."""
    told = [run.stdout, run.stderr]
    for words in (["show", "last", "one"], ["show", "last", "--json"], ["status", "--json"], ["events", "last"]):
        shown = command.run(*words)
        told += [shown.stdout, shown.stderr]
    files = [file for file in command.folder.rglob("*") if file.is_file()]
    assert any(file.name == "store.db" for file in files)
    return told + [file.read_bytes().decode("utf-8", "replace") for file in files]


def test_a_key_that_the_api_echoes_is_nowhere(
    folder: Path, claude_binary: Path, standin_api: StandInApi, isolated_home: Path
) -> None:
    """The API repeats the key in its error, as a header and cut by our own clipping: no file and no output has it."""
    environment = {**cli_environment(standin_api, isolated_home), "ANTHROPIC_API_KEY": KEY}
    long = "padding " * 47 + f"then {KEY}"
    standin_api.when(
        "TASK-one", error(500, f"bad key {KEY}; authorization: Bearer {KEY[7:]}"), error(400, f"{long} {KEY}")
    )
    command = Command(folder, environment, claude=claude_binary)
    run = command.run("plan.yaml", "--progress", "json")
    assert run.exit_code == 1
    assert standin_api.requests[0].headers["x-api-key"] == KEY
    seen = "".join(traces(command, run))
    assert "bad key [redacted]" in seen
    assert [word for word in WORDS if word in seen] == []


def test_keys_on_stderr_are_nowhere(folder: Path, fake_claude: FakeClaude, tmp_path: Path) -> None:
    """A CLI that prints its environment and dies: known values, however they are written, and what looks like a key."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_AUTH_TOKEN": TOKEN,
        "HTTPS_PROXY": "http://me:CANARY-0123456789@127.0.0.1:9",
        "DEPLOY_TOKEN": "CANARY-of-another-program",
    }
    fake_claude.play(
        "read_prompt",
        {"stderr": f"key={KEY} token='{TOKEN}' proxy http://me:CANARY-0123456789@127.0.0.1:9/"},
        {"stderr": "opaque%2FCANARY%20token%3D0123456789 and CANARY-of-another-program"},
        {"stderr": "Authorization: Bearer CANARYabc0123456789"},
        {"exit": 3},
    )
    command = Command(folder, environment, claude=fake_claude.path)
    run = command.run("plan.yaml", "--progress", "plain")
    assert run.exit_code in (1, 3)
    (call, *_) = fake_claude.calls()
    assert (call["env"]["ANTHROPIC_API_KEY"], "DEPLOY_TOKEN" in call["env"]) == (KEY, False)
    seen = "".join(traces(command, run))
    assert "Authorization: [redacted]" in seen
    assert [word for word in WORDS if word in seen] == []


def test_a_cli_that_does_not_start_says_no_key(folder: Path, fake_claude: FakeClaude, tmp_path: Path) -> None:
    """What `--version` and the login say when they fail is shown without keys too."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ANTHROPIC_AUTH_TOKEN": TOKEN}
    broken = tmp_path / "broken-claude"
    broken.write_text(f"#!/bin/sh\necho '{TOKEN} and {KEY}' >&2\nexit 4\n")
    broken.chmod(0o755)
    command = Command(folder, environment, claude=broken)
    for words in (["plan.yaml"], ["doctor"]):
        run = command.run(*words)
        assert run.exit_code != 0
        assert "[redacted]" in run.stdout + run.stderr
        assert [word for word in WORDS if word in run.stdout + run.stderr] == []


def test_no_prompt_and_no_key_shows_in_ps_and_all_files_are_private(
    folder: Path, claude_binary: Path, standin_api: StandInApi, isolated_home: Path, tmp_path: Path
) -> None:
    """While a call is under way: every command line of ours, the private folder and the store, whatever the umask."""
    (folder / "plan.yaml").write_text("context: WORDS-context\nchunks: [{id: one, prompt: WORDS-prompt}]\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**cli_environment(standin_api, isolated_home), "ANTHROPIC_API_KEY": KEY, "TMPDIR": str(temporary)}
    standin_api.when("WORDS-prompt", answer("Late.", delay_s=30.0))
    before = os.umask(0)
    try:
        process = Command(folder, environment, claude=claude_binary).start("plan.yaml")
    finally:
        os.umask(before)
    with process:
        standin_api.wait_for_requests(1)
        lines = [(Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in alive_with(standin_api.url)]
        (private,) = temporary.glob("orchestrate-*")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (private, *private.iterdir())}
        store = folder / ".orchestrate"
        found = {path: path.stat().st_mode for path in (store, *store.rglob("*"))}
        kept = {path: (0o700 if stat.S_ISDIR(mode) else 0o600, stat.S_IMODE(mode)) for path, mode in found.items()}
        contexts = [path.read_text() for path in private.glob("context-*")]
        process.terminate()
    assert any(b"--system-prompt-file" in line for line in lines)
    assert [line for line in lines if b"WORDS" in line or b"CANARY" in line] == []
    assert "WORDS-context" in contexts[0]
    context = next(name for name in modes if name.startswith("context-"))
    assert modes == {private.name: 0o700, "empty": 0o700, context: 0o600}
    assert {path.name for path in kept} >= {".orchestrate", ".gitignore", "store.db", "store.db.locks"}
    assert {path.name: oct(mode) for path, (wanted, mode) in kept.items() if mode != wanted} == {}
    assert list(temporary.glob("orchestrate-*")) == []
