"""`--dry-run` and `--sample` as somebody types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.store import CallRecord, Writes, open_store
from tests.cli.command import orchestrate

PLAN = """
name: guide
model: sonnet
chunks:
  - {id: style, prompt: A style}
  - id: part
    for_each: {items: [one, two, three, four, five, six]}
    prompt: "{{ chunks.style }} {{ item.text }}"
  - id: critique
    for_each: {chunk: part}
    prompt: "Judge {{ item.text }}"
  - id: summary
    reduce: {chunk: critique, max_tokens: 20000}
    prompt: "Sum {{ parts }}"
"""
SIMULATED = ("--runner", "simulated:latency_s=0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guide.yaml").write_text(PLAN)
    return tmp_path


def test_a_tree_and_totals(folder: Path) -> None:
    """A line for each entry, under what it waits for, why it runs, then totals and critical path; no file appears."""
    told = orchestrate("guide.yaml", "--dry-run", cwd=folder)
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0] == "guide: 14 calls, 0 reused; nothing started"
    assert [line[:16].rstrip() for line in lines[1:5]] == ["style", "└─ part", "   └─ critique", "      └─ summary"]
    assert "6 run (new)" in lines[2]
    assert "known only at run time" in lines[4]
    assert lines[5].startswith("total: 14 calls, about ")
    assert lines[6].startswith("critical path: style → part[1] → critique[1] → summary")
    assert [path.name for path in folder.iterdir()] == ["guide.yaml"]


def test_json_and_mermaid(folder: Path) -> None:
    """Programs get the same as one object, or as a graph of the entries."""
    told = json.loads(orchestrate("guide.yaml", "--dry-run", "--format", "json", cwd=folder).stdout)
    assert set(told) == {"name", "planning", "entries", "total", "critical_path", "windows", "warnings"}
    part = told["entries"][1]
    assert (part["id"], part["kind"], part["needs"], part["calls"]) == ("part", "for_each", ["style"], 6)
    assert part["chunks"][0]["why"] == "new"
    assert part["cost_usd_low"] < part["cost_usd_high"]
    assert told["total"]["calls"] == 14
    graph = orchestrate("guide.yaml", "--dry-run", "--format", "mermaid", cwd=folder).stdout.splitlines()
    assert graph[0] == "graph TD"
    assert '    n_style["style<br/>runs: new"]' in graph
    assert "    n_part --> n_critique" in graph


def test_mistakes_are_told(folder: Path) -> None:
    """A wrong plan, an unknown chunk, and a form without a dry run end with 2."""
    assert orchestrate("guide.yaml", "--dry-run", "--only", "x", cwd=folder).returncode == 2
    assert orchestrate("guide.yaml", "--format", "json", cwd=folder).returncode == 2
    (folder / "guide.yaml").write_text("chunks: [{id: a, prompt: '{{ chunks.b }}'}]")
    assert orchestrate("guide.yaml", "--dry-run", cwd=folder).returncode == 2


def test_check_knows_what_was_learned(folder: Path) -> None:
    """What the store learned of a model's way of counting decides what `check` says of size and cost."""
    before = json.loads(orchestrate("check", "guide.yaml", "--json", cwd=folder).stdout)["estimate"]
    thread = open_store(folder / ".orchestrate" / "store.db", create=True).start_thread()
    for counted in (10, 100, 1000):
        call = CallRecord(
            runner="claude",
            model="sonnet",
            counted_tokens=counted,
            input_tokens=5000 + counted,
            output_tokens=9,
            cost_usd=0.0,
            elapsed_s=1.0,
        )
        thread.submit(Writes.add_call(lambda call=call: call), lambda *_: None)
    thread.close()
    after = json.loads(orchestrate("check", "guide.yaml", "--json", cwd=folder).stdout)["estimate"]
    assert after["input_tokens"] > before["input_tokens"] + 14 * 4000
    assert after["cost_usd_low"] > before["cost_usd_low"]


def test_sample_then_whole(folder: Path) -> None:
    """A sample says what the whole would take and how to run it; that command then reuses the sample."""
    sampled = orchestrate("guide.yaml", "--sample", "3", *SIMULATED, cwd=folder)
    assert (sampled.returncode, sampled.stderr) == (0, "")
    lines = sampled.stdout.splitlines()
    assert any(line.startswith("sample: 7 answers of 7") for line in lines)
    assert any(line.startswith("the whole: 7 more calls, $") for line in lines)
    assert lines[-1] == "run it, with these answers reused: orchestrate guide.yaml --runner simulated:latency_s=0"
    assert (folder / "guide.result.sample.md").exists()
    assert not (folder / "guide.result.md").exists()
    told = orchestrate("guide.yaml", "--dry-run", *SIMULATED, cwd=folder).stdout.splitlines()
    assert told[0] == "guide: 7 calls, 7 reused; nothing started"
    whole = orchestrate("guide.yaml", *SIMULATED, "--progress", "json", cwd=folder)
    finished = json.loads(whole.stdout.splitlines()[-1])
    assert (finished["succeeded"], finished["reused"]) == (7, 7)


STORY = """
mode: sequence
chunks:
  - {id: ch1, prompt: One}
  - {id: ch2, prompt: Two, carry: {summary: true}}
  - {id: part, for_each: [a, b], prompt: "{{ item.text }}", carry: {glossary: true}}
  - {id: ch3, prompt: Three, carry: {summary: true}}
"""


def test_what_keeps_a_summary_is_counted_with_what_it_keeps(tmp_path: Path) -> None:
    """`check` and `--dry-run` tell the calls that keep something in the line of what they keep, and count them."""
    (tmp_path / "story.yaml").write_text(STORY)
    checked = orchestrate("check", "story.yaml", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[1] for line in checked[1:5]] == ["ch1", "ch2", "part", "ch3"]
    assert [line.partition("; kept in a ")[2] for line in checked[1:5]] == [
        "summary and a glossary",
        "summary and a glossary",
        "summary and a glossary",
        "",
    ]
    record = json.loads(orchestrate("check", "story.yaml", "--json", cwd=tmp_path).stdout)
    kept = {"ch1": "summary glossary", "ch2": "summary glossary", "part[1]": "summary glossary", "part[2]": "summary"}
    named = [f"{name}.{kind}" for name, kinds in kept.items() for kind in kinds.split()]
    assert sorted(each["id"] for each in record["chunks"] if each["keeps"]) == sorted(named)
    assert record["estimate"]["calls"] == 5 + len(named)
    told = orchestrate("story.yaml", "--dry-run", *SIMULATED, cwd=tmp_path).stdout.splitlines()
    assert told[0] == "story: 12 calls, 0 reused; nothing started"
    assert told[1].startswith("ch1   runs: new, then to keep the summary, then to keep the glossary · about ")
    assert told[3].startswith("part  2 run (new), 2 to keep the summary, 1 to keep the glossary · about ")
    assert told[4].startswith("ch3   runs: new · about ")
    ran = orchestrate("story.yaml", *SIMULATED, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    names = [line.split()[0] for line in orchestrate("status", cwd=tmp_path).stdout.splitlines() if " attempt " in line]
    assert names[:4] == ["ch1", "ch1.glossary", "ch1.summary", "ch2"]
    assert names[-3:] == ["part[2]", "part[2].summary", "ch3"]
    again = orchestrate("story.yaml", "--dry-run", *SIMULATED, cwd=tmp_path).stdout
    assert "total: nothing to pay" in again
