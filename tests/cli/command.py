"""The command line as a child process."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cli.forked import Forge

ROOT = Path(__file__).parents[2]


def command(*words: str) -> list[str]:
    """The words that start it, whatever the current folder."""
    return [sys.executable, "-m", "orchestrator", *words]


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a child needs, and an empty home: no login, no settings of whoever runs the tests."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"} | more


def orchestrate(
    *words: str, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end in the folder `cwd`, which is its home too; a child process, forked to save its start."""
    return _forge().run(words, cwd=cwd, env=environment(cwd) | dict(env or {}), stdin=stdin)


@functools.cache
def _forge() -> Forge:
    forge = Forge()
    atexit.register(forge.close)
    return forge
