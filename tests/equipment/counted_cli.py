"""The real CLI behind a script that writes down every process that is started to answer prompts."""

from __future__ import annotations

import shlex
from pathlib import Path


class CountedCli:
    """`path` is the script, in `folder`; questions about the CLI itself, such as `--version`, are not counted."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._log = folder / "started"
        self.path = folder / "claude"
        script = f'[ "$1" = -p ] && echo $$ >> {shlex.quote(str(self._log))}\nexec {shlex.quote(str(binary))} "$@"\n'
        self.path.write_text(f"#!/bin/sh\n{script}")
        self.path.chmod(0o755)

    @property
    def pids(self) -> list[int]:
        """The processes that were started so far, in order."""
        return [int(line) for line in self._log.read_text().split()] if self._log.exists() else []
