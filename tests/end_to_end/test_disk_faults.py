"""A disk that fails or is full at any step: one clear error, nothing told that is not stored, and a way to go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.forked import Forge
from tests.end_to_end.crashed import Ended, Place, forge
from tests.end_to_end.test_crash_points import TEXT_PLAN

STRIDE = 13
"""Of the steps every so many is tried here, each fault at other ones; `benchmarks/chaos.py --faults all` tries all."""


@pytest.fixture(scope="module")
def forging() -> Iterator[Forge]:
    made = forge()
    yield made
    made.close()


def edited(place: Place) -> None:
    """Change the plan, so that three of four chunks are to be asked."""
    plan = place.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("Two", "Deux").replace("Three", "Trois"))


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


def test_a_fault_at_any_step(forging: Forge, tmp_path: Path) -> None:
    """Exit code 3 and one message, or the run does not need that step; the earlier result stays until there is a new
    one, and the next run pays for nothing that was told.
    """
    place = Place(forging, tmp_path / "work", TEXT_PLAN)
    assert place.begin().code == 0
    earlier = place.files
    edited(place)
    start = place.keep("edited")
    assert place.begin().code == 0
    expected, steps = place.files, len(place.steps)
    ends: set[int] = set()
    for fault, first in (("EIO", 3), ("ENOSPC", 9)):
        for number in range(first, steps, STRIDE):
            place.put_back(start)
            ends.add(check_fault(place, trouble=f"{fault}:{number}", expected=expected, earlier=earlier).code)
    assert ends == {0, 3}
