"""`kill -9` at random moments of a run, each followed by a resume: nothing finished is paid again, nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import Any

from orchestrator import SimulatedRunner, resume_run, run_plan
from orchestrator.errors import StoreError, UnknownRunError
from orchestrator.store import Store, open_store

KILLS = 50
LATENCY_S = 0.01
CHUNKS = [f"c{index}" for index in range(20)]
PLAN: dict[str, Any] = {
    "name": "twenty",
    "chunks": [
        {
            "id": chunk_id,
            "prompt": f"Write {chunk_id}. " + (f"{{{{ chunks.c{index // 2} }}}}" if index and index % 3 else ""),
        }
        for index, chunk_id in enumerate(CHUNKS)
    ],
    "stitch": {"chunks": CHUNKS},
    "limits": {"max_concurrency": 3},
}


class CountingRunner(SimulatedRunner):
    """Notes each call in a file before it is made, so that the note survives a kill."""

    def __init__(self, log: Path) -> None:
        super().__init__(latency_s=LATENCY_S)
        self._log = log

    async def run(self, request: Any, *, on_progress: Any) -> Any:
        """Note the call, then make it."""
        with self._log.open("a") as log:
            log.write(f"{request.chunk_id}\n")
        return await super().run(request, on_progress=on_progress)


def _begin(folder: Path) -> None:
    run_plan(PLAN, runner=CountingRunner(folder / "calls"), store=folder / "store.db", output=folder / "out.md")


def _go_on(folder: Path) -> None:
    resume_run(runner=CountingRunner(folder / "calls"), store=folder / "store.db")


def _answered(store: Store, run_id: str) -> dict[str, int | None]:
    return {chunk.chunk_id: chunk.answer_id for chunk in store.chunks(run_id) if chunk.status == "succeeded"}


def _latest(path: Path) -> tuple[Store, str] | None:
    """The store and its run, or None when the kill came before there was one."""
    try:
        store = open_store(path)
        return store, store.resolve("last")
    except (StoreError, UnknownRunError):
        return None


def test_fifty_kills_each_followed_by_a_resume(tmp_path: Path) -> None:
    """Counted at the runner: a chunk that the store knew as answered is never asked again; the bytes are the same.

    The processes are forked from one that has imported everything, and a kill waits for a random number of calls first,
    so that it falls into the run however busy the machine is.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.end_to_end.prepared", __name__])
    whole = tmp_path / "whole"
    whole.mkdir()
    _run_to_end(context, _begin, whole)
    expected = (whole / "out.md").read_bytes()
    chance = random.Random(50)
    unfinished = 0
    for number in range(KILLS):
        folder = tmp_path / f"kill{number}"
        folder.mkdir()
        process = context.Process(target=_begin, args=(folder,))
        process.start()
        _wait_for_calls(process, folder / "calls", chance.randrange(len(CHUNKS)))
        time.sleep(chance.uniform(0, 2 * LATENCY_S))
        process.kill()
        process.join()
        found = _latest(folder / "store.db")
        if found is None:
            _run_to_end(context, _begin, folder)
        else:
            store, run_id = found
            before = _answered(store, run_id)
            calls = (folder / "calls").read_text().split() if (folder / "calls").exists() else []
            unfinished += len(before) < len(CHUNKS)
            _run_to_end(context, _go_on, folder)
            after = (folder / "calls").read_text().split()[len(calls) :]
            assert set(after).isdisjoint(before), "a finished chunk was asked again"
            assert before.items() <= _answered(store, run_id).items(), "a finished chunk has another answer"
            assert store.run(run_id).state == "complete"
        assert (folder / "out.md").read_bytes() == expected
        assert not (folder / "out.partial.md").exists()
    assert unfinished > KILLS / 2, "too few kills fell into the run to show anything"


def _wait_for_calls(process: Any, log: Path, count: int) -> None:
    """Return when the run has made so many calls, or has ended."""
    while process.is_alive() and (len(log.read_bytes().split()) if log.exists() else 0) < count:
        time.sleep(0.001)


def _run_to_end(context: Any, target: Any, folder: Path) -> None:
    process = context.Process(target=target, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert process.pid != os.getpid()
