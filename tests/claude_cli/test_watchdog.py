"""Nothing outlives us: not our processes, not our private folder, however and whenever we die."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.runners.claude_cli.watchdog import Watchdog
from tests.claude_cli.attempts import eventually, runs
from tests.equipment.fake_claude import FakeClaude

ROOT = Path(__file__).parent.parent.parent
NOTHING_LEFT_WITHIN_S = 2.0


def mentions(pid: str, words: bytes) -> bool:
    """Whether a living process names `words` in its arguments or its environment."""
    folder = Path("/proc", pid)
    try:
        return runs(int(pid)) and any(words in (folder / name).read_bytes() for name in ("cmdline", "environ"))
    except OSError:
        return False


def left_over(folder: Path) -> list[str]:
    """Processes that have to do with `folder`: shims, CLIs, what those started, watchdogs."""
    words = str(folder).encode()
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and mentions(entry.name, words)]


def start_victim(claude: Path, folder: Path, *, count: int, base_url: str = "") -> subprocess.Popen[bytes]:
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "ANTHROPIC_API_KEY": "x",
        "ANTHROPIC_BASE_URL": base_url,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.claude_cli.victim", str(claude), str(count)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def kill_and_look(folder: Path, *, word: bytes, delay_s: float) -> list[str]:
    """Kill a victim `delay_s` after it said `word`; what is left 2 s later, as far as it should not be."""
    fake = FakeClaude(folder)
    fake.play("ignore_sigterm", "grandchild", "read_prompt", "init", {"sleep": 3600})
    with start_victim(fake.path, folder, count=3) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if line.strip() == word:
                break
        time.sleep(delay_s)
        victim.kill()
        victim.wait()
    eventually(lambda: not left_over(folder), within_s=NOTHING_LEFT_WITHIN_S)
    return left_over(folder) + [path.name for path in (folder / "tmp").iterdir()]


def test_kill_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    """60 times `kill -9`, 30 of them in the first 5 ms: no process is left after 2 s, and no private folder.

    The children ignore SIGTERM and have children of their own.
    """
    rng = random.Random(180)
    cases = [(b"ready", rng.uniform(0, 0.005)) for _ in range(30)]
    cases += [(b"ready", rng.uniform(0, 0.3)) for _ in range(15)]
    cases += [(b"open", rng.uniform(0, 0.1)) for _ in range(15)]
    folders = [tmp_path / str(number) for number in range(len(cases))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(4) as pool:
        looks = [
            pool.submit(kill_and_look, folder, word=word, delay_s=delay_s)
            for folder, (word, delay_s) in zip(folders, cases, strict=True)
        ]
    assert [look.result() for look in looks] == [[] for _ in cases]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_any_signal_that_ends_us_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Whatever signal ends the process without its cleaning up, the watchdog does."""
    fake = FakeClaude(tmp_path)
    fake.play("grandchild", "read_prompt", {"mark": "here"}, {"sleep": 3600})
    with start_victim(fake.path, tmp_path, count=1) as victim:
        assert eventually((tmp_path / "here").exists, within_s=20.0)
        victim.send_signal(number)
        victim.wait()
    assert eventually(lambda: not left_over(tmp_path), within_s=NOTHING_LEFT_WITHIN_S)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "3600"], start_new_session=True)


def test_recorded_groups_are_ended_and_others_are_not(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Only what is recorded, and not what was taken off the record, is ended."""
    with sleeper, subprocess.Popen(["sleep", "3600"], start_new_session=True) as spared:
        watchdog = Watchdog(folder=tmp_path / "private")
        watchdog.ensure()
        (tmp_path / "private").mkdir()
        watchdog.register(sleeper.pid)
        watchdog.register(spared.pid)
        watchdog.unregister(spared.pid)
        watchdog.stop()
        assert sleeper.wait(5) == -signal.SIGTERM
        assert spared.poll() is None
        spared.kill()
    assert not (tmp_path / "private").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_watchdog_ignores_polite_signals(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Ctrl-C and a closing terminal do not take the watchdog away while it is needed."""
    with sleeper:
        watchdog = Watchdog(folder=tmp_path / "private")
        watchdog.ensure()
        watchdog.register(sleeper.pid)
        pid = watchdog.pid
        assert pid is not None
        assert eventually(lambda: ignores(pid, number), within_s=10.0)
        os.kill(pid, number)
        watchdog.stop()
        assert sleeper.wait(5) == -signal.SIGTERM


def ignores(pid: int, number: int) -> bool:
    """Whether a process has set this signal to be ignored."""
    (mask,) = (line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line)
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_new_watchdog_knows_what_the_dead_one_knew(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """When the watchdog itself was killed, the next one takes over everything that still runs."""
    with sleeper:
        watchdog = Watchdog(folder=tmp_path / "private")
        watchdog.ensure()
        watchdog.register(sleeper.pid)
        first = watchdog.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: watchdog.pid is None, within_s=5.0)
        watchdog.ensure()
        assert watchdog.pid not in {None, first}
        watchdog.stop()
        assert sleeper.wait(5) == -signal.SIGTERM


def test_record_is_kept_when_the_watchdog_dies_in_between(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """A watchdog that dies between two records is replaced by the next record."""
    with sleeper:
        watchdog = Watchdog(folder=tmp_path / "private")
        watchdog.ensure()
        first = watchdog.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        watchdog.register(sleeper.pid)
        watchdog.stop()
        watchdog.stop()
        assert sleeper.wait(5) == -signal.SIGTERM
