"""The command line in a forked child: all that it imports is there already, so that a start takes hardly any time.

Run as a program, this is the process that forks: `python -m tests.cli.forked DESCRIPTOR` imports what the command will
want, then answers each request on the socket DESCRIPTOR with the exit code of a child. `Forge` is the test's side.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 100.0
PREPARED = (
    *("cli.start", "cli.app", "cli.asked_files", "cli.check", "cli.doctor", "cli.init", "cli.plan", "cli.reading"),
    *("cli.run", "engine.graph", "engine.stitching.seams.work", "runners.simulated"),
)
"""The modules that commands import when they are called."""


class Forge:
    """Starts the process that forks, the program `module`, and asks it for one child after the other."""

    def __init__(self, module: str = "tests.cli.forked") -> None:
        self._socket, other = socket.socketpair()
        self._socket.settimeout(TIMEOUT_S)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(other.fileno())], cwd=ROOT, pass_fds=[other.fileno()]
            )

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            request = json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}).encode()
            streams = [stream.fileno() for stream in (given, out, err)]
            socket.send_fds(self._socket, [len(request).to_bytes(4, "big") + request], streams)
            code = int.from_bytes(self._socket.recv(4), "big", signed=True)
            return subprocess.CompletedProcess(list(words), code, stdout=_text(out), stderr=_text(err))

    def close(self) -> None:
        """End the process that forks."""
        self._socket.close()
        self._process.wait(timeout=TIMEOUT_S)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def serve(connection: socket.socket) -> None:
    """Answer requests until nobody is there to ask. Returns in a child, which is to run the command."""
    while True:
        head, streams, _, _ = socket.recv_fds(connection, 4, 3)
        if not head:
            os._exit(0)
        size = int.from_bytes(head, "big")
        body = b""
        while len(body) < size:
            body += connection.recv(size - len(body))
        child = os.fork()
        if not child:
            connection.close()
            become(json.loads(body), streams=streams)
            return
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))


def become(request: Mapping[str, object], *, streams: Sequence[int]) -> None:
    """Be a process that was just started with these words, folder, environment and standard streams."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[arg-type]
    sys.argv = ["orchestrate", *request["words"]]  # type: ignore[misc]


def prepare() -> None:
    """Import and read what the command will want."""
    for name in PREPARED:
        importlib.import_module(f"orchestrator.{name}")
    importlib.import_module("orchestrator.plan.tokens").count_tokens("the ranks are read")
    # What is shared with the children stays shared: no collection of theirs looks at it.
    gc.freeze()


def run_command() -> NoReturn:
    """Be the command, to the end of this process."""
    code: object = 1
    try:
        sys.modules["orchestrator.cli.start"].main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Taking apart all that was prepared would take longer than most commands.
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    prepare()
    serve(socket.socket(fileno=int(sys.argv[1])))
    run_command()
