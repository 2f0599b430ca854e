"""The command as a user types it: a real child process, the real CLI behind it, the stand-in API behind that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of `--progress json`."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def ids(self, kind: str) -> list[str]:
        """The chunks that had an event of this type."""
        return [event["chunk_id"] for event in self.events if event["type"] == kind]


class Command:
    """`orchestrate` in a folder, with nothing in its environment but what is given."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, claude: Path) -> None:
        self.folder = folder
        self.environment = {**environment, "ORCHESTRATE_CLAUDE": str(claude), "PYTHONPATH": str(REPOSITORY)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it, in a session of its own so that signals reach only what a terminal would reach."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, timeout_s: float = 100.0) -> Outcome:
        """Run it to its end."""
        process = self.start(*arguments)
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        return Outcome(process.returncode, stdout, stderr)
