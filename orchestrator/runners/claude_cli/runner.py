"""The runner `claude`: every attempt is a prompt to a process of the real Claude CLI."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from orchestrator.errors import RunnerUnavailableError
from orchestrator.redaction import Redactor, secrets_of
from orchestrator.runners.base import Failure, FailureClass, OnProgress, Reply, Request, RunnerInfo
from orchestrator.runners.claude_cli.attempt import Attempt
from orchestrator.runners.claude_cli.classify import REMEDIES, explain
from orchestrator.runners.claude_cli.command import (
    account_environment,
    arguments,
    child_environment,
    prompt_line,
    refused_schema,
)
from orchestrator.runners.claude_cli.locate import Installation, find_claude, log_in_again, probe
from orchestrator.runners.claude_cli.memory import MemoryWatch
from orchestrator.runners.claude_cli.pool import WorkerPool
from orchestrator.runners.claude_cli.process import Timing
from orchestrator.runners.claude_cli.turnstile import Turnstile
from orchestrator.runners.claude_cli.verdict import judge
from orchestrator.runners.claude_cli.watchdog import Watchdog
from orchestrator.runners.claude_cli.worker import Launch, Starts

CALL_MB = 200
"""What one process of the CLI holds at its peak (2.1.328), in megabytes."""

DEFAULT_TEMPORARY_FOLDER = "/tmp"
"""Where the private folder goes when `TMPDIR` is not set."""

_log = logging.getLogger("orchestrator")

CANNOT_KEEP = (
    "`isolation: reuse` is not possible here: the Claude CLI did not begin a clean conversation when it was told to. "
    "Each answer gets a process of its own instead."
)


class ClaudeCliRunner:
    """Answers prompts with the Claude CLI that is installed.

    `claude` is the program to use instead of the one that is found; `environment` is all that is known of the
    outside: the CLI gets an allow-listed part of it. `accounts` maps those that requests may name to the folders that
    their logins are kept in, None for the usual one, which has no name. `open` first, `close` in the end, both from the
    loop that runs the attempts. Nothing that was started outlives `close`, or this process by more than 2 seconds.
    """

    def __init__(
        self,
        *,
        claude: Path | None = None,
        environment: Mapping[str, str],
        accounts: Mapping[str, Path | None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._given = claude
        self._environment = environment
        self._environments = {
            account: child_environment(environment if folder is None else account_environment(environment, folder))
            for account, folder in (accounts or {"": None}).items()
        }
        self._redactor = Redactor(secrets_of(environment))
        self._timing = timing or Timing()
        self._starts = Starts()
        self._memory = MemoryWatch(every_s=self._timing.memory_s)
        self._attempts: set[Attempt] = set()
        self._turnstiles: Mapping[str, Turnstile] = {}
        self._installation: Installation | None = None
        self._folder: Path | None = None
        self._watchdog: Watchdog | None = None
        self._pool: WorkerPool | None = None
        self._told_once = False
        self._answered: set[str] = set()
        self._upcoming: tuple[Request, ...] = ()

    @property
    def kind(self) -> str:
        """`claude`."""
        return "claude"

    @property
    def claude_path(self) -> Path:
        """The program that `open` found. Raises `RuntimeError` before that."""
        return self._opened()[0].path

    async def open(self) -> RunnerInfo:
        """Find the CLI, ask what it knows and who is logged in, and make the private folder.

        Raises `RunnerUnavailableError` when it is missing, too old, does not run, or is not logged in.
        """
        if self._installation is None:
            path = find_claude(explicit=self._given, environment=self._environment)
            folder, watchdog = self._make_folder()
            try:
                self._installation = await probe(
                    path,
                    environments=self._environments,
                    folder=folder / "empty",
                    watchdog=watchdog,
                    timing=self._timing,
                    redactor=self._redactor,
                )
            except BaseException:
                await self.close()
                raise
            refreshes = self._installation.refreshes_token
            self._turnstiles = {account: Turnstile(open=not refreshes(account)) for account in self._environments}
        logins = self._installation.logins
        version, login = self._installation.version, next(iter(logins.values()))
        return RunnerInfo(version=version, login=login, logins=logins, call_mb=CALL_MB)

    def expect(self, upcoming: Sequence[Request]) -> None:
        """Start processes for these while others answer, as soon as one was answered: before that nobody knows whether
        the login is good.
        """
        self._upcoming = tuple(each for each in upcoming if _stands_alone(each))
        self._get_ready()

    def _get_ready(self) -> None:
        if self._pool is None or self._installation is None:
            return
        good = {account for account in self._answered if self._turnstiles[account].is_open}
        with suppress(OSError):
            self._pool.expect([self._launch(each) for each in self._upcoming if each.account in good])

    async def run(self, request: Request, *, on_progress: OnProgress) -> Reply | Failure:
        """Make one attempt. Its process is gone when this returns, or raises on cancellation, unless it is kept for
        another prompt.
        """
        installation, pool = self._opened()
        if refused := refused_schema(request.output_schema, features=installation.features):
            error_type, what = refused
            return Failure(error_type=error_type, message=explain(error_type, what))
        passage = await self._turnstiles[request.account].enter()

        def answered() -> None:
            passage.answered()
            self._answered.add(request.account)
            self._get_ready()

        attempt = Attempt(
            request=request,
            timing=self._timing,
            starts=self._starts,
            memory=self._memory,
            redactor=self._redactor,
            on_progress=on_progress,
            on_answered=answered,
        )
        self._attempts.add(attempt)
        try:
            outcome = await self._ask(request, attempt, pool=pool)
        except OSError as error:
            what = f"{installation.path} could not be started: {error.strerror or error}"
            return Failure(error_type=FailureClass.ENVIRONMENT, message=explain(FailureClass.ENVIRONMENT, what))
        finally:
            passage.left()
            self._attempts.discard(attempt)
            attempt.over.set()
        evidence = cast("Mapping[str, object]", self._redactor.value(outcome.evidence))
        outcome = replace(outcome, evidence=evidence)
        if isinstance(outcome, Failure):
            return replace(outcome, message=self._told(outcome, request.account))
        return outcome

    def _told(self, failure: Failure, account: str) -> str:
        """What went wrong. Of a named account it says which; a key in the environment would not help that one."""
        message = self._redactor.text(failure.message)
        if not account:
            return message
        if failure.error_type is FailureClass.AUTH:
            remedy = log_in_again(self._environments[account])
            message = message.replace(REMEDIES[FailureClass.AUTH], remedy)
        return f"account {account}: {message}"

    async def _ask(self, request: Request, attempt: Attempt, *, pool: WorkerPool) -> Reply | Failure:
        """Raises `OSError` when no process could be started."""
        keep = request.isolation == "reuse" and _stands_alone(request)
        worker = await pool.take(self._launch(request), keep=keep) if pool is self._pool else None
        if worker is None:
            told = explain(FailureClass.CANCELLED, "the runner was closed")
            return Failure(error_type=FailureClass.CANCELLED, message=told)
        try:
            ending = await attempt.run(worker, prompt_line(request.prompt), keep=keep and pool.keeps)
        except BaseException:
            await pool.give_back(worker, keep=keep, outcome=None)
            raise
        structured = request.output_schema is not None
        outcome = judge(attempt.transcript, ending, now=time.time(), structured=structured, tools=request.tools)
        await pool.give_back(worker, keep=keep, outcome=outcome)
        if not pool.keeps and not self._told_once:
            self._told_once = True
            _log.warning(CANNOT_KEEP)
        return outcome

    def _launch(self, request: Request) -> Launch:
        """What a process for this request is started with. Raises `OSError` when its context can not be written."""
        if self._installation is None or self._folder is None:
            raise RuntimeError("the runner is not open; await open() first")
        context_file = _context_file(self._folder, request.context)
        flags = arguments(request, system_prompt_file=context_file, features=self._installation.features)
        command = (str(self._installation.path), *flags)
        folder = request.workdir or self._folder / "empty"
        return Launch.of(command, environment=self._environments[request.account], folder=folder)

    async def close(self) -> None:
        """End what still runs, each as a cancelled attempt, and remove the private folder, within some seconds."""
        watchdog, self._watchdog = self._watchdog, None
        pool, self._pool = self._pool, None
        attempts = tuple(self._attempts)
        for attempt in attempts:
            attempt.stop()
        if pool is not None:
            await pool.close()
        for attempt in attempts:
            await attempt.over.wait()
        self._installation = self._folder = None
        if watchdog is not None:
            await asyncio.to_thread(watchdog.stop)

    def _opened(self) -> tuple[Installation, WorkerPool]:
        if self._installation is None or self._pool is None:
            raise RuntimeError("the runner is not open; await open() first")
        return self._installation, self._pool

    def _make_folder(self) -> tuple[Path, Watchdog]:
        """The watchdog comes first: it removes the folder even if we die on the next line."""
        parent = Path(self._environment.get("TMPDIR") or DEFAULT_TEMPORARY_FOLDER)
        folder = parent / f"orchestrate-{secrets.token_hex(8)}"
        watchdog = Watchdog(folder=folder)
        try:
            watchdog.ensure()
            folder.mkdir(mode=0o700)
            (folder / "empty").mkdir(mode=0o700)
        except OSError as error:
            watchdog.stop()
            raise RunnerUnavailableError(
                f"no private folder could be made in {parent}: {error.strerror or error}",
                remedy="Set TMPDIR to a folder that you may write to.",
            ) from error
        self._folder, self._watchdog = folder, watchdog
        self._pool = WorkerPool(watchdog=watchdog, timing=self._timing, starts=self._starts)
        return folder, watchdog


def _stands_alone(request: Request) -> bool:
    """Whether the process sees nothing but the prompt: what it looks at in a folder, it may remember."""
    return not request.tools and request.workdir is None


def _context_file(folder: Path, context: str) -> Path:
    """The file that holds this system prompt; one for each distinct text, so that equal requests stay equal."""
    name = hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    file = folder / f"context-{name}.txt"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(context.encode("utf-8", "replace"))
    return file
