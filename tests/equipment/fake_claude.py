"""A stand-in `claude` for faults that the real one shows rarely.

`FakeClaude` is the test's side: it writes an executable and a scenario beside it, and reads what the executable saw.
Run as a program, this file is the executable's side: it plays the scenario, step by step. `README.md` lists the steps.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Step = str | dict[str, Any]

HELP = """Usage: claude [options] [command] [prompt]
  --effort <level>               Effort level
  --fallback-model <model>       Model to fall back to
  --include-partial-messages     Include partial message chunks as they arrive
  --input-format <format>        "text" or "stream-json"
  --json-schema <schema>         JSON Schema for structured output
  --model <model>                Model for the current session
  --no-session-persistence       Don't save sessions to disk
  --output-format <format>       "text", "json" or "stream-json"
  -p, --print                    Print response and exit
  --setting-sources <sources>    Setting sources to load
  --strict-mcp-config            Only use MCP servers from --mcp-config
  --system-prompt <prompt>       System prompt to use
  --system-prompt-file <file>    Read the system prompt from a file
  --tools <tools...>             Built-in tools to make available
  --verbose                      Override the verbose setting
"""

LOGGED_IN = {
    "loggedIn": True,
    "authMethod": "api_key",
    "apiProvider": "firstParty",
    "apiKeySource": "ANTHROPIC_API_KEY",
}

HEALTHY: list[Step] = [
    "read_prompt",
    "init",
    {"delta": "fake "},
    {"delta": "answer"},
    {"text": "fake answer"},
    "result",
]

CLEARED: list[Step] = ["reset", "init", {"result": {"num_turns": 0, "stop_reason": None, "total_cost_usd": 0}}]


class FakeClaude:
    """The test's side. `path` is the executable; every start of it is written down and read back by `calls()`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "claude"
        command = shlex.join([sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(folder)])
        self.path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        self.path.chmod(0o755)
        self._scenario: dict[str, Any] = {
            "version": "2.1.330",
            "help": HELP,
            "auth": LOGGED_IN,
            "steps": HEALTHY,
            "rules": [],
        }
        self._write()

    def play(self, *steps: Step) -> None:
        """Play these steps for every prompt that no rule names."""
        self._scenario["steps"] = list(steps)
        self._write()

    def when(self, words: str, *steps: Step) -> None:
        """Play these steps for prompts that contain `words`; a later rule wins."""
        self._scenario["rules"].insert(0, [words, list(steps)])
        self._write()

    def describe(self, *, version: str | None = None, flags: str | None = None, auth: object = None) -> None:
        """What `--version`, `--help` (`flags`) and `auth status --json` say; `auth` is a JSON value, or text as it is.

        The version `hang` hangs.
        """
        given = {"version": version, "help": flags, "auth": auth}
        self._scenario |= {key: value for key, value in given.items() if value is not None}
        self._write()

    def calls(self) -> list[dict[str, Any]]:
        """Each start that got as far as a scenario: argv, env, cwd, pid, and once it was read the prompt's line."""
        log = self.folder / "calls.ndjson"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def lines(self) -> list[dict[str, Any]]:
        """Each line of input that `serve` read: pid, content."""
        log = self.folder / "lines.ndjson"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def pids(self) -> list[int]:
        """Every process that was started to answer, grandchildren included."""
        log = self.folder / "pids"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def _write(self) -> None:
        fresh = self.folder / "scenario.json.new"
        fresh.write_text(json.dumps(self._scenario))
        fresh.replace(self.folder / "scenario.json")


class Player:
    """The executable's side: one process, one scenario."""

    def __init__(self, folder: Path, argv: list[str]) -> None:
        self.folder = folder
        self.argv = argv
        self.scenario: dict[str, Any] = json.loads((folder / "scenario.json").read_text())
        self.line = ""

    def main(self) -> None:
        """Answer a question about the program, or play."""
        if "--version" in self.argv:
            if self.scenario["version"] == "hang":
                time.sleep(3600)
            print(f"{self.scenario['version']} (Claude Code)")
        elif "--help" in self.argv:
            print(self.scenario["help"])
        elif self.argv[:2] == ["auth", "status"]:
            auth = self.scenario["auth"]
            print(auth if isinstance(auth, str) else json.dumps(auth, indent=2))
            sys.exit(0 if isinstance(auth, dict) and auth.get("loggedIn") else 1)
        else:
            self.append("pids", str(os.getpid()))
            self.play()

    def play(self) -> None:
        """Play the steps; a rule needs the prompt, so it is read first when there are any."""
        steps = self.scenario["steps"]
        if self.scenario["rules"]:
            self.read_prompt()
            steps = next((then for words, then in self.scenario["rules"] if words in self.line), steps)
        for step in steps:
            name, value = (step, None) if isinstance(step, str) else next(iter(step.items()))
            getattr(self, name)(value)

    def read_prompt(self, _: object = None) -> None:
        """Read stdin to its end, once, and write down what came."""
        if not self.line:
            self.line = sys.stdin.buffer.read().decode()
            seen = {
                "argv": self.argv,
                "env": dict(os.environ),
                "cwd": str(Path.cwd()),
                "pid": os.getpid(),
                "at": time.monotonic(),
            }
            self.append(
                "calls.ndjson",
                json.dumps({**seen, "cwd_entries": [entry.name for entry in Path.cwd().iterdir()], "stdin": self.line}),
            )

    def serve(self, clear: list[Step] | None) -> None:
        """Answer one line of input after the other, to the end of it; these steps are what `/clear` does."""
        for line in sys.stdin.buffer:
            self.append(
                "lines.ndjson", json.dumps({"pid": os.getpid(), "content": json.loads(line)["message"]["content"]})
            )
            cleared = json.loads(line)["message"]["content"] == "/clear"
            for step in (clear if clear is not None else CLEARED) if cleared else HEALTHY[1:]:
                name, value = (step, None) if isinstance(step, str) else next(iter(step.items()))
                getattr(self, name)(value)

    def reset(self, _: object = None) -> None:
        """The line that says that a new conversation began."""
        self.emit({"type": "conversation_reset", "new_conversation_id": "fake", "trigger": "clear"})

    def init(self, changes: object = None) -> None:
        self.emit({"type": "system", "subtype": "init", "session_id": "fake-session", "model": "fake-model"}, changes)

    def delta(self, text: str) -> None:
        change = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        self.emit({"type": "stream_event", "event": change, "parent_tool_use_id": None})

    def text(self, text: str) -> None:
        message = {"model": "fake-model", "role": "assistant", "content": [{"type": "text", "text": text}]}
        self.emit({"type": "assistant", "message": message, "parent_tool_use_id": None})

    def big_text(self, characters: int) -> None:
        """One answer line of so many characters."""
        self.text("x" * characters)

    def error(self, text: str) -> None:
        """The line with which the CLI tells an error of the API."""
        message = {"model": "<synthetic>", "role": "assistant", "content": [{"type": "text", "text": text}]}
        self.emit({"type": "assistant", "message": message, "parent_tool_use_id": None, "error": "unknown"})

    def result(self, changes: object = None) -> None:
        usage = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        signs = {"is_error": False, "num_turns": 1, "stop_reason": "end_turn", "terminal_reason": "completed"}
        self.emit({"type": "result", "subtype": "success", **signs, "total_cost_usd": 0.01, "usage": usage}, changes)

    def raw(self, line: str) -> None:
        """A line as it is."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def unfinished(self, text: str) -> None:
        """Bytes without an end of line."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def stderr(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def balloon(self, megabytes: int) -> None:
        """Hold so much memory, really: every page is written to."""
        self.held = bytearray(b"x") * (megabytes * 1_000_000)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def repeat(self, value: dict[str, Any]) -> None:
        """`{"times": n, "steps": […]}`."""
        for _ in range(value["times"]):
            for step in value["steps"]:
                name, inner = (step, None) if isinstance(step, str) else next(iter(step.items()))
                getattr(self, name)(inner)

    def ignore_sigterm(self, _: object = None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def grandchild(self, _: object = None) -> None:
        """Leave a process behind that holds stdout open and ignores SIGTERM if we do."""
        child = subprocess.Popen(["sleep", "3600"])
        self.append("pids", str(child.pid))

    def mark(self, name: str) -> None:
        """Create a file in the folder, so that a test can see how far we are."""
        (self.folder / name).touch()

    def kill_self(self, number: int) -> None:
        os.kill(os.getpid(), number)

    def exit(self, code: int) -> None:
        sys.stdout.flush()
        os._exit(code)

    def emit(self, line: dict[str, Any], changes: object = None) -> None:
        self.raw(json.dumps({**line, **(changes if isinstance(changes, dict) else {})}, ensure_ascii=False))

    def append(self, name: str, line: str) -> None:
        with (self.folder / name).open("a") as log:
            log.write(line + "\n")


if __name__ == "__main__":
    Player(Path(sys.argv[1]), sys.argv[2:]).main()
