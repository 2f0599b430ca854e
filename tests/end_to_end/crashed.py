"""The command in a folder of its own, in processes whose disk steps are watched; and what has to hold afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.events import TRANSIENT
from tests.cli.command import environment
from tests.cli.forked import Forge
from tests.equipment.disk_steps import CALLS, STEPS, TROUBLE

SIMULATED = ("--runner", "simulated:latency_s=0")
TERMINAL = {"chunk_succeeded", "chunk_reused", "chunk_failed", "chunk_skipped", "chunk_cancelled"}
STORE = Path(".orchestrate", "store.db")


@dataclass(frozen=True)
class Ended:
    """How a command ended. `events` are those it told, `calls` the chunks that were asked, in order."""

    code: int
    stdout: str
    stderr: str
    calls: list[str]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was told in whole lines: a process that is killed may leave half of one."""
        return [json.loads(line) for line in self.stdout.splitlines(keepends=True) if line.endswith("\n")]

    def ids(self, *kinds: str) -> list[str]:
        """The chunks that such events are about."""
        return [event["chunk_id"] for event in self.events if event["type"] in kinds]


class Place:
    """A folder with a plan in `plan.yaml`, at one path however often it is put back to another state."""

    def __init__(self, forge: Forge, folder: Path, plan: str, *, more: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._more = dict(more or {})
        self._forge = forge
        self._beside = folder.with_name(f"{folder.name}.notes")
        self._beside.mkdir()
        folder.mkdir()
        (folder / "plan.yaml").write_text(plan)
        self._fresh = self.keep("fresh")

    def run(self, *words: str, trouble: str = "") -> Ended:
        """A command that asks nobody but the simulated runner; `trouble` is what `disk_steps` reads."""
        calls, steps = self._beside / "calls", self._beside / "steps"
        for old in (calls, steps):
            old.unlink(missing_ok=True)
        env = environment(self.folder, **{TROUBLE: trouble, CALLS: str(calls), STEPS: str(steps)}, **self._more)
        done = self._forge.run(words, cwd=self.folder, env=env, stdin="")
        asked = calls.read_text().split() if calls.exists() else []
        self.steps = steps.read_text().splitlines() if steps.exists() else []
        return Ended(done.returncode, done.stdout, done.stderr, asked)

    def begin(self, *, trouble: str = "", runner: Sequence[str] = SIMULATED) -> Ended:
        """`orchestrate plan.yaml`."""
        return self.run("plan.yaml", *runner, "--progress", "json", trouble=trouble)

    def go_on(self, *, runner: Sequence[str] = SIMULATED) -> Ended:
        """`resume last`, or the plan itself when no run was begun."""
        if self.run_id is None:
            return self.begin(runner=runner)
        return self.run("resume", "last", "--progress", "json")

    def keep(self, name: str) -> Path:
        """Copy the folder as it is."""
        return Path(shutil.copytree(self.folder, self._beside / name))

    def put_back(self, kept: Path | None = None) -> None:
        """Make the folder as it was kept; without a name, as it was before anything ran."""
        shutil.rmtree(self.folder)
        shutil.copytree(kept or self._fresh, self.folder)

    @property
    def files(self) -> dict[str, bytes]:
        """What a user sees: the content of each file but the store's, by name."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and ".orchestrate" not in path.parts]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    @property
    def run_id(self) -> str | None:
        """The run that was begun last, or None."""
        found = self.query("SELECT run_id FROM runs ORDER BY rowid DESC LIMIT 1")
        return found[0][0] if found else None

    def answers(self) -> dict[str, str]:
        """The stored answers by chunk."""
        return dict(self.query("SELECT chunk_id, text FROM answers"))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What the store says, put right by SQLite where that is needed; nothing when there is none."""
        with opened(self.folder) as connection:
            return connection.execute(sql).fetchall() if has_tables(connection) else []

    def check_whole(self, *, before: dict[str, str], ended: Ended, expected: dict[str, bytes], code: int = 0) -> None:
        """Nothing is lost, paid twice, doubled or left lying about after `ended`, the command that went on.

        `before` are the answers that were stored before it, `expected` the files of a run that nothing happened to.
        """
        assert ended.code == code, ended.stderr
        assert set(ended.calls).isdisjoint(before), "a finished chunk was asked again"
        assert max(Counter(ended.calls).values(), default=1) == 1, "a chunk was asked twice in one process"
        answers = self.query("SELECT fingerprint, chunk_id, text FROM answers")
        assert len({row[0] for row in answers}) == len(answers), "an answer is there twice"
        assert before.items() <= self.answers().items(), "an answer is lost or changed"
        self.check_events(ended)
        files = self.files
        assert {name: content for name, content in files.items() if not name.endswith(".map.json")} == {
            name: content for name, content in expected.items() if not name.endswith(".map.json")
        }
        assert files.keys() == expected.keys()
        within = sorted(path.name for path in (self.folder / ".orchestrate").rglob("*"))
        assert within == [".gitignore", "store.db", "store.db.locks"]
        assert (self.folder / ".orchestrate" / ".gitignore").read_text() == "*\n"

    def check_events(self, ended: Ended) -> None:
        """The numbers have no gap, each chunk has one end, and the store has what was told."""
        events = ended.events
        numbers = [event["seq"] for event in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "an event's number is missing"
        assert events[-1]["type"] == "run_finished", "the end was not told"
        (known,) = [event["chunk_ids"] for event in events if event["type"] in ("run_started", "run_resumed")]
        assert Counter(ended.ids(*TERMINAL)) == Counter(known), "a chunk has no end, or two"
        stored = [json.loads(row[0]) for row in self.query("SELECT event FROM events ORDER BY run_id, seq")]
        assert [event for event in events if event["type"] not in TRANSIENT] == [
            event for event in stored if event["run_id"] == events[0]["run_id"] and event["seq"] >= numbers[0]
        ], "what was told and what is stored differ"


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The store in a folder, or an empty one; what a killed process left half done is taken back by this."""
    path = folder / STORE
    with closing(sqlite3.connect(path if path.exists() else ":memory:", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether the store was made."""
    return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'runs'").fetchone()[0])


def forge() -> Forge:
    """Forks commands whose disk steps are watched."""
    return Forge("tests.equipment.disk_steps")


def digest_of_files(copy: Path) -> str:
    """What stands outside the store."""
    digest = hashlib.sha256()
    for path in sorted(copy.rglob("*")):
        if not path.name.startswith("store.db"):
            digest.update(str(path.relative_to(copy)).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def digest_of_store(copy: Path, scratch: Path) -> str:
    """What the store says once SQLite has put it right, as it does for whoever opens it next."""
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / STORE).parent.mkdir(parents=True)
    for path in copy.glob(f"{STORE}*"):
        if path.is_file():
            shutil.copy(path, scratch / STORE.parent)
    with opened(scratch) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], copy.name
        return "".join(connection.iterdump()) if has_tables(connection) else ""


def watched(place: Place, copies: Path, *, how: str = "copy") -> list[Path]:
    """Run the plan and return what a kill leaves before each step and within each write, in order."""
    copies.mkdir()
    place.begin(trouble=f"{how}:{copies}")
    return sorted(copies.iterdir())


def differing(copies: list[Path], scratch: Path) -> list[Path]:
    """One of all copies that come to the same, in order: the last, most often with a journal that is to be rolled back.

    Each of them has a store that is sound, or none.
    """
    return sorted({(digest_of_files(copy), digest_of_store(copy, scratch)): copy for copy in copies}.values())


def check_fault(place: Place, *, trouble: str, expected: dict[str, bytes], earlier: dict[str, bytes]) -> Ended:
    """Run with the fault and then without it."""
    ended = place.begin(trouble=trouble)
    said = (trouble, ended.code, ended.stderr)
    assert ended.code in (0, 3), said
    assert "Traceback" not in ended.stderr, said
    assert "Traceback" not in ended.stdout, said
    assert (ended.code == 0) == (not ended.stderr), said
    assert len(ended.stderr.strip().splitlines()) <= 4, said
    stored = place.answers()
    assert set(ended.ids("chunk_succeeded")) <= stored.keys(), said
    if ended.code == 0:
        assert place.files["out.md"] == expected["out.md"], said
    else:
        assert place.files["out.md"] in (expected["out.md"], earlier["out.md"]), said
        again = place.begin()
        place.check_whole(before={}, ended=again, expected=expected)
        asked = [chunk for chunk in again.calls if chunk in ended.ids("chunk_succeeded")]
        assert not asked, (*said, asked)
    return ended
