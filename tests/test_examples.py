"""The examples work: each runs offline, to the end, to the result that the documentation promises."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, orchestrate

EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
CHUNKS = {
    "ten-lines": 4,
    "field-guide": 8,
    "code-review": 6,
    "story": 11,
    "story-parallel": 11,
    "story-summary": 11,
    "book-summary": 5,
    "review-files": 6,
    "translate-manual": 5,
    "translate-docs": 5,
    "tickets": 10,
    "report": 8,
    "draft-revise": 36,
    "planned-request": 1,
}
SHORT = (
    "story-summary",
    "book-summary",
    "review-files",
    "translate-manual",
    "translate-docs",
    "tickets",
    "report",
    "draft-revise",
)


def run_example(name: str, *more: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    plan = str(EXAMPLES / f"{name}.yaml")
    return orchestrate(plan, "--runner", "simulated:latency_s=0", "--progress", "quiet", *more, cwd=cwd)


def listed() -> dict[str, list[str]]:
    """What the folder's README says of each plan: calls, cost, time."""
    rows = re.findall(r"^\| \[(.+)\.yaml\]\(\1\.yaml\) \|[^|]*\|(.*)\|$", README, flags=re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1, "min": 60}[unit]


def test_every_example_is_listed() -> None:
    """Every plan in the folder is tried here and described in the folder's README."""
    plans = {path.stem for path in EXAMPLES.glob("*.yaml")}
    assert plans == set(CHUNKS)
    assert {name: int(cells[0]) for name, cells in listed().items()} == CHUNKS


@pytest.mark.parametrize("name", CHUNKS)
def test_example_is_a_good_plan(name: str, tmp_path: Path) -> None:
    """`orchestrate check` finds nothing wrong, touches nothing, and agrees with what the README says it costs."""
    checked = orchestrate("check", str(EXAMPLES / f"{name}.yaml"), "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert list(tmp_path.iterdir()) == []
    estimate = json.loads(checked.stdout)["estimate"]
    calls, cost, time = listed()[name]
    assert estimate["calls"] == int(calls)
    assert estimate["cost_usd_low"] < float(cost.removeprefix("$")) < estimate["cost_usd_high"]
    assert estimate["time_s_low"] < seconds(time) < estimate["time_s_high"]


@pytest.mark.parametrize("name", [name for name in CHUNKS if name != "translate-docs"])
def test_example_runs_to_a_complete_result(name: str, tmp_path: Path) -> None:
    """With the simulated runner each example ends with exit 0 and one complete result in the current folder."""
    ran = run_example(name, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    file = "tickets.result.jsonl" if name == "tickets" else f"{name}.result.md"
    result = (tmp_path / file).read_text(encoding="utf-8")
    assert len(result) > 200
    assert "[missing:" not in result
    assert sorted(path.name for path in tmp_path.iterdir()) == [".orchestrate", file, f"{file}.map.json"]


def test_a_folder_becomes_a_folder_like_it(tmp_path: Path) -> None:
    """Each document has a result of its own, and nothing else is written."""
    shutil.copy(EXAMPLES / "translate-docs.yaml", tmp_path)
    shutil.copytree(EXAMPLES / "translate-docs", tmp_path / "translate-docs")
    events = events_of("translate-docs", cwd=tmp_path)
    assert events[-2]["files"] == 3
    results = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "de").rglob("*") if path.is_file()}
    assert results == {f"de/translate-docs/{name}.md" for name in ("commands", "limits", "start")}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["translate-docs.yaml"]
    for name in results:
        source = (tmp_path / name.removeprefix("de/")).read_text(encoding="utf-8")
        translated = (tmp_path / name).read_text(encoding="utf-8")
        assert "[missing:" not in translated
        assert translated.endswith("\n") == source.endswith("\n")
        assert translated.count("## Part") > 0


def test_second_run_gives_the_same_result(tmp_path: Path) -> None:
    """An unchanged example gives the same bytes again, with and without the stored answers."""
    results: list[bytes] = []
    for more in ([], [], ["--fresh"]):
        ran = run_example("field-guide", *more, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        results.append((tmp_path / "field-guide.result.md").read_bytes())
    assert results[0] == results[1] == results[2]


def test_field_guide_takes_another_handbook(tmp_path: Path) -> None:
    """The first example can be tried on a text of one's own, as its head says."""
    (tmp_path / "mine.md").write_text("# Ours\n\nWe bake bread.\n", encoding="utf-8")
    ran = run_example("field-guide", "--input", "handbook=mine.md", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "field-guide.result.md").is_file()


@pytest.mark.parametrize("name", SHORT)
def test_plans_for_many_pieces_are_short(name: str) -> None:
    """What runs hundreds of calls is said in at most fifteen lines."""
    assert len((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()) <= 15


def events_of(name: str, *more: str, cwd: Path) -> list[dict[str, Any]]:
    """The events of an example run on other material."""
    plan = str(cwd / f"{name}.yaml")
    ran = orchestrate(plan, "--runner", "simulated:latency_s=0", "--progress", "json", *more, cwd=cwd)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_forty_files_get_one_verdict(tmp_path: Path) -> None:
    """The review takes as many files as the pattern finds; what `.gitignore` names is left out."""
    shutil.copy(EXAMPLES / "review-files.yaml", tmp_path)
    (tmp_path / "code-review").mkdir()
    for at in range(40):
        (tmp_path / "code-review" / f"m{at:02}.py").write_text(f"def f{at}(x):\n    return x / {at}\n")
    (tmp_path / "code-review" / "generated.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("generated.py\n")
    events = events_of("review-files", cwd=tmp_path)
    done = [each["chunk_id"] for each in events if each["type"] == "chunk_succeeded"]
    assert sorted(each for each in done if each.startswith("review")) == sorted(f"review[{at}]" for at in range(1, 41))
    assert "verdict" in done


def test_two_thousand_tickets(tmp_path: Path) -> None:
    """A table ten times as long takes ten times the calls, and no other plan."""
    shutil.copy(EXAMPLES / "tickets.yaml", tmp_path)
    (tmp_path / "tickets").mkdir()
    head, *rows = (EXAMPLES / "tickets" / "tickets.csv").read_text(encoding="utf-8").splitlines()
    table = [head, *(row.replace("T-", f"T{at}-") for at in range(10) for row in rows)]
    (tmp_path / "tickets" / "tickets.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    events = events_of("tickets", cwd=tmp_path)
    assert sum(each["type"] == "chunk_succeeded" for each in events) == 100
    lines = (tmp_path / "tickets.result.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["ticket"] for line in lines] == [row.partition(",")[0] for row in table[1:]]


def test_a_book_of_three_hundred_pages(tmp_path: Path) -> None:
    """A longer book gives more parts, and a tree of merges where one is not enough."""
    shutil.copy(EXAMPLES / "book-summary.yaml", tmp_path)
    handbook = (EXAMPLES / "field-guide" / "handbook.md").read_text(encoding="utf-8")
    book = "".join(handbook.replace("## ", f"## {at}.") for at in range(60))
    (tmp_path / "book.md").write_text(book, encoding="utf-8")
    (tmp_path / "field-guide").mkdir()
    (tmp_path / "field-guide" / "handbook.md").write_text("unused\n")
    events = events_of("book-summary", "--input", "book=book.md", cwd=tmp_path)
    done = [each["chunk_id"] for each in events if each["type"] == "chunk_succeeded"]
    assert len([each for each in done if each.startswith("part")]) > 150
    assert len([each for each in done if each.startswith("summary[1.")]) > 5
    assert done[-1] == "summary"
