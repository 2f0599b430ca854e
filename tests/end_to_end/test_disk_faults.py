"""A disk that fails or is full at any step: one clear error, nothing told that is not stored, and a way to go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.forked import Forge
from tests.end_to_end.crashed import Place, check_fault, forge
from tests.end_to_end.test_crash_points import TEXT_PLAN

EIO = {
    "make 20": 3,
    "write write": 3,
    "make store.db-journal": 3,
    "write sqlite": 3,
    "remove store.db-journal": 3,
    "make out.partial.md": 0,
    "write out.partial.md": 0,
    "make .out.md.": 3,
    "write .out.md.": 3,
    "sync fsync": 3,
    "rename .out.md.": 3,
    "rename .out.md.map": 3,
    "remove out.incomplete.md": 3,
    "remove 20": 0,
}
"""A step that fails once, by the first that begins so, and the exit code. `20` begins the name of the lock's file."""

ENOSPC = {"make 20": 3, "write sqlite": 3, "write out.partial.md": 3, "make .out.md.": 3, "make .out.md.map": 3}
"""From which step on the disk is full."""

EROFS = {"make 20": 3, "make store.db-journal": 3, "make out.partial.md": 3, "make .out.md.": 3}
"""From which step on it is read-only."""


@pytest.fixture(scope="module")
def forging() -> Iterator[Forge]:
    made = forge()
    yield made
    made.close()


def test_a_disk_that_fails_or_is_full(forging: Forge, tmp_path: Path) -> None:
    """Exit code 3 and one message, or the run does not need that step; the earlier result stays until there is a new
    one, and the next run pays for nothing that was told. `benchmarks/chaos.py --faults` tries every step.
    """
    place = Place(forging, tmp_path / "work", TEXT_PLAN)
    assert place.begin().code == 0
    earlier = place.files
    plan = place.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("Two", "Deux").replace("Three", "Trois"))
    start = place.keep("edited")
    assert place.begin().code == 0
    expected = place.files
    for fault, steps in (("EIO", EIO), ("ENOSPC", ENOSPC), ("EROFS", EROFS)):
        for step, code in steps.items():
            place.put_back(start)
            trouble = f"{fault}:{step}"
            assert check_fault(place, trouble=trouble, expected=expected, earlier=earlier).code == code, trouble
