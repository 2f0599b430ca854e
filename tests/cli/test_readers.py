"""Whoever reads the progress cannot hurt a run: one that leaves, or one that takes nothing."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import command, environment, orchestrate

F_SETPIPE_SZ = 1031
SMALL_BYTES = 4096
CHUNKS = 400
WITHIN_S = 30.0
PLAN = f"""\
name: many
chunks:
  - {{id: part, for_each: [{", ".join(f"n{at}" for at in range(CHUNKS))}], prompt: "{{{{ item.text }}}}"}}
"""
AT_ONCE = ("--runner", "simulated:latency_s=0", "-j", "50")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "many.yaml").write_text(PLAN)
    return tmp_path


@contextmanager
def unread() -> Iterator[int]:
    """The writing end of a pipe that nobody reads and that takes 4 kB."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, SMALL_BYTES)
    try:
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


def test_nobody_reads_the_progress(folder: Path) -> None:
    """The pipe is full long before the end: the run goes on to its result, and ends by itself."""
    with unread() as pipe:
        words = command("many.yaml", *AT_ONCE, "--progress", "plain")
        with subprocess.Popen(words, cwd=folder, env=environment(folder), stdout=pipe, stderr=subprocess.PIPE) as child:
            try:
                assert child.wait(timeout=WITHIN_S) == 0
            finally:
                child.kill()
            assert child.stderr
            assert child.stderr.read() == b""
    assert (folder / "many.result.md").read_text().count("\n\n") >= CHUNKS - 1
    shown = orchestrate("many.yaml", *AT_ONCE, "--progress", "plain", cwd=folder).stdout
    assert len(shown) > 2 * SMALL_BYTES


def test_nobody_reads_what_went_wrong(folder: Path) -> None:
    """Stdout and stderr are one full pipe, and the run stops: exit 4 all the same, in bounded time."""
    with unread() as pipe:
        os.write(pipe, b"x" * SMALL_BYTES)
        words = command("many.yaml", *AT_ONCE, "--progress", "quiet", "--max-cost", "0.0000001")
        with subprocess.Popen(words, cwd=folder, env=environment(folder), stdout=pipe, stderr=pipe) as child:
            try:
                assert child.wait(timeout=WITHIN_S) == 4
            finally:
                child.kill()


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_a_reader_that_has_seen_enough(mode: str, folder: Path) -> None:
    """`| head -1` gets its line; the run comes to its result and its own exit code, without a word about the pipe."""
    words = " ".join(command("many.yaml", *AT_ONCE, "--progress", mode))
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"], cwd=folder, env=environment(folder),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert (folder / "many.result.md").read_text().count("\n\n") >= CHUNKS - 1
