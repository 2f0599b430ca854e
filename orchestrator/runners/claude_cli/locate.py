"""Finding the Claude CLI and asking it about itself: version, flags, login."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from orchestrator.errors import RunnerUnavailableError
from orchestrator.redaction import Redactor
from orchestrator.runners.claude_cli.command import Features
from orchestrator.runners.claude_cli.process import ChildProcess, Timing
from orchestrator.runners.claude_cli.watchdog import Watchdog

INSTALL = (
    "Install it (npm install -g @anthropic-ai/claude-code, or pip install 'orchestrate[claude]'), "
    "or name it with --claude PATH."
)
UPDATE = (
    "Update it (claude update, or npm install -g @anthropic-ai/claude-code@latest), or name another with --claude PATH."
)
LOG_IN = "Log in (run `claude`, then /login), or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN."

NEEDED = ("--input-format", "stream-json", "--system-prompt", "--tools", "--setting-sources", "--strict-mcp-config")
"""Words of `--help` without which we cannot work. `--system-prompt-file` is not listed in 2.1.330 but known."""

SUBSCRIPTION = "subscription login"

BAD_VERSIONS: Mapping[str, str] = {
    "2.1.83": "gives empty answers",
    "2.1.227": "fills the memory",
}
"""Versions that public issues report as broken for our use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A CLI that works for us. `logins` says in words which login pays, by account; the usual one has no name."""

    path: Path
    version: str
    logins: Mapping[str, str]
    features: Features

    def refreshes_token(self, account: str) -> bool:
        """Whether the login is a subscription's, whose token the CLI refreshes by itself."""
        return self.logins[account].startswith(SUBSCRIPTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the CLI answered to a question about itself. `exit_code` is None when it had to be ended."""

    exit_code: int | None
    stdout: str
    stderr: str


def find_claude(*, explicit: Path | None, environment: Mapping[str, str]) -> Path:
    """The program to use: the given one, else `ORCHESTRATE_CLAUDE`, else `claude` on PATH, else the bundled binary.

    Raises `RunnerUnavailableError` when there is none, or when a named one is no program.
    """
    named = explicit or (Path(environment["ORCHESTRATE_CLAUDE"]) if environment.get("ORCHESTRATE_CLAUDE") else None)
    if named is not None:
        return _checked(_resolved(named, environment))
    on_path = shutil.which("claude", path=environment.get("PATH", ""))
    found = Path(on_path) if on_path else _bundled()
    if found is None:
        raise RunnerUnavailableError("the Claude CLI was not found", remedy=INSTALL)
    return _checked(found.absolute())


def _resolved(named: Path, environment: Mapping[str, str]) -> Path:
    """A bare name is looked up on PATH, like a shell does; anything else is a path from here."""
    if len(named.parts) == 1 and not named.exists():
        on_path = shutil.which(str(named), path=environment.get("PATH", ""))
        return Path(on_path).absolute() if on_path else named
    home = environment.get("HOME")
    if named.parts and named.parts[0] == "~" and home:
        return Path(home, *named.parts[1:])
    return named.absolute()


def _checked(path: Path) -> Path:
    if not path.exists():
        raise RunnerUnavailableError(f"there is no Claude CLI at {path}", remedy=INSTALL)
    if not path.is_file():
        raise RunnerUnavailableError(f"{path} is no program", remedy=INSTALL)
    if not os.access(path, os.X_OK):
        raise RunnerUnavailableError(f"{path} is not executable", remedy=f"Run: chmod +x {path}")
    return path


def _bundled() -> Path | None:
    """The binary inside `claude-agent-sdk`, found without importing it."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "_bundled" / "claude"
    return binary if binary.is_file() else None


async def probe(
    path: Path,
    *,
    environments: Mapping[str, Mapping[str, str]],
    folder: Path,
    watchdog: Watchdog,
    timing: Timing,
    redactor: Redactor,
) -> Installation:
    """Ask the CLI for its version, its flags and its logins, all at once (0.2 s with 2.1.330), in the empty `folder`.

    `environments` has what the CLI gets for each account, at least one.
    Raises `RunnerUnavailableError` when it does not run, hangs, is too old or known to be bad, or is not logged in.
    """

    async def ask(*words: str, account: str) -> Said:
        command, environment = [str(path), *words], environments[account]
        said = await _ask(command, environment=environment, folder=folder, watchdog=watchdog, timing=timing)
        return replace(said, stdout=redactor.text(said.stdout), stderr=redactor.tail(said.stderr))

    first = next(iter(environments))
    about_logins = (ask("auth", "status", "--json", account=account) for account in environments)
    questions = (ask("--version", account=first), ask("--help", account=first), *about_logins)
    # With return_exceptions a cancellation, too, is passed on only when all of them have ended.
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for trouble in answers:
        if isinstance(trouble, BaseException):
            raise trouble
    version, flags, *logins = (said for said in answers if isinstance(said, Said))
    number = version_of(path, version, timing.probe_s)
    if trouble := BAD_VERSIONS.get(number):
        raise RunnerUnavailableError(f"Claude CLI {number} at {path} {trouble}", remedy=UPDATE)
    return Installation(
        path=path,
        version=number,
        logins={
            account: account_login(said.stdout, account=account, environment=environments[account])
            for account, said in zip(environments, logins, strict=True)
        },
        features=features_of(flags.stdout, path=path, version=number),
    )


def version_of(path: Path, said: Said, timeout_s: float) -> str:
    """The version number from what `--version` printed. Raises `RunnerUnavailableError` when there is none."""
    if said.exit_code is None:
        raise RunnerUnavailableError(f"{path} --version did not end within {timeout_s:g} s", remedy=INSTALL)
    found = re.search(r"\b\d+\.\d+\.\d+\S*", said.stdout)
    if said.exit_code != 0 or not found:
        told = (said.stderr or said.stdout).strip()[:300]
        detail = f": {told}" if told else ""
        raise RunnerUnavailableError(
            f"{path} is no working Claude CLI (--version exited with {said.exit_code}){detail}", remedy=INSTALL
        )
    return found[0]


def features_of(help_text: str, *, path: Path, version: str) -> Features:
    """Which flags the CLI knows, by its `--help`. Raises `RunnerUnavailableError` when needed ones are missing."""
    missing = [words for words in NEEDED if words not in help_text]
    if missing:
        raise RunnerUnavailableError(
            f"Claude CLI {version} at {path} is too old: it does not know {', '.join(missing)}", remedy=UPDATE
        )
    return Features(
        partial_messages="--include-partial-messages" in help_text,
        no_session_persistence="--no-session-persistence" in help_text,
        fallback_model="--fallback-model" in help_text,
        effort="--effort" in help_text,
        json_schema="--json-schema" in help_text,
    )


def account_login(status_text: str, *, account: str, environment: Mapping[str, str]) -> str:
    """As `login_of`; the error of a named account says which, and how to log in there."""
    try:
        return login_of(status_text, environment=environment)
    except RunnerUnavailableError as error:
        if not account:
            raise
        raise RunnerUnavailableError(
            f"the account {account} is not logged in", remedy=log_in_again(environment)
        ) from error


def log_in_again(environment: Mapping[str, str]) -> str:
    """How to log in to the account whose calls have this environment."""
    return f"Log in: CLAUDE_CONFIG_DIR={shlex.quote(environment.get('CLAUDE_CONFIG_DIR', ''))} claude, then /login."


def login_of(status_text: str, *, environment: Mapping[str, str]) -> str:
    """Which login pays, in words, from what `auth status --json` printed (2.1.330).

    Raises `RunnerUnavailableError` when it says that nobody is logged in. Anything that cannot be read, as from
    versions that do not know the question, is not judged.
    """
    try:
        value: object = json.loads(status_text)
    except ValueError:
        return _login_from_environment(environment)
    status = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    provider = status.get("apiProvider")
    if status.get("loggedIn") is False and provider in {None, "firstParty"}:
        raise RunnerUnavailableError("the Claude CLI is not logged in", remedy=LOG_IN)
    if isinstance(provider, str) and provider != "firstParty":
        return f"{provider} account"
    method, source = status.get("authMethod"), status.get("apiKeySource")
    if method == "api_key":
        return f"API key from {source}" if isinstance(source, str) else "API key"
    if method == "oauth_token":
        return _login_from_environment({**environment, "ANTHROPIC_API_KEY": ""})
    kind, config = status.get("subscriptionType"), status.get("configDirectory")
    if status.get("loggedIn") is True:
        plan = f" ({kind})" if isinstance(kind, str) and kind else ""
        place = f" of {config}" if isinstance(config, str) and config else ""
        return f"{SUBSCRIPTION}{plan}{place}"
    return _login_from_environment(environment)


def _login_from_environment(environment: Mapping[str, str]) -> str:
    for name, words in (
        ("ANTHROPIC_AUTH_TOKEN", "token"),
        ("ANTHROPIC_API_KEY", "API key"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "subscription token"),
    ):
        if environment.get(name):
            return f"{words} from {name}"
    return "the CLI's own login"


async def _ask(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, watchdog: Watchdog, timing: Timing
) -> Said:
    """Run a question to its end, or for `timing.probe_s`. Raises `RunnerUnavailableError` when it cannot be run."""
    pieces: list[bytes] = []
    try:
        child = await ChildProcess.start(
            command,
            environment=environment,
            folder=folder,
            on_output=pieces.append,
            watchdog=watchdog,
            timing=timing,
        )
    except OSError as error:
        raise RunnerUnavailableError(f"{command[0]} could not be run: {error}", remedy=INSTALL) from error
    in_time = True
    try:
        child.write(b"", last=True)
        await asyncio.wait_for(child.wait_exited(), timing.probe_s)
    except TimeoutError:
        in_time = False
        child.kill()
    finally:
        await child.end()
    return Said(
        exit_code=child.exit_code if in_time else None,
        stdout=b"".join(pieces).decode("utf-8", "replace"),
        stderr=child.stderr_tail,
    )
