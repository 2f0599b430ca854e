"""`isolation:` as a user writes it: one process for several answers, or one each, partly started ahead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.claude_cli.attempts import runs
from tests.end_to_end.command import Command, Outcome
from tests.equipment.counted_cli import CountedCli
from tests.equipment.fake_claude import FakeClaude
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi, answer

WORDS = tuple(f"WORD-{number:02d}-ALONE" for number in range(12))


def plan(folder: Path, isolation: str, *, words: Sequence[str] = WORDS) -> None:
    """A plan with a chunk for each word, and one that quotes the first answer."""
    (folder / "p.yaml").write_text(f"""
isolation: {isolation}
context: Be brief.
limits: {{max_concurrency: 2}}
chunks:
  - id: part
    for_each: [{", ".join(words)}]
    prompt: "/clear Say something on {{{{ item.text }}}}."
  - id: last
    prompt: "Go on from LAST {{{{ chunks.part[1] }}}}"
""")


def succeeded(outcome: Outcome) -> list[dict[str, object]]:
    assert outcome.exit_code == 0, outcome.stderr
    return [event for event in outcome.events if event["type"] == "chunk_succeeded"]


@pytest.fixture
def cli(claude_binary: Path, tmp_path: Path) -> CountedCli:
    return CountedCli(claude_binary, tmp_path)


def test_two_processes_answer_all_and_no_chunk_sees_another(
    cli: CountedCli, standin_api: StandInApi, isolated_home: Path
) -> None:
    """With `reuse` 13 chunks take as many processes as there are slots; every request holds its own words alone."""
    plan(isolated_home, "reuse")
    for number, word in enumerate(WORDS):
        standin_api.when(word, answer(f"ANSWER {word}", output_tokens=100 * (number + 1)))
    standin_api.when("LAST", answer("The last.", output_tokens=50))
    command = Command(isolated_home, cli_environment(standin_api, isolated_home), claude=cli.path)
    outcome = command.run("p.yaml", "--progress", "json")
    events = succeeded(outcome)
    assert len(cli.pids) == 2
    assert not [pid for pid in cli.pids if runs(pid)]
    assert len(standin_api.requests) == 13
    for sent in standin_api.requests:
        own = [word for word in WORDS if word.encode() in sent.body]
        assert len(own) == 1
        assert (b"ANSWER" in sent.body) == (b"LAST" in sent.body)
    price = {event["chunk_id"]: (event["output_tokens"], event["cost_usd"]) for event in events}
    assert [price[f"part[{number}]"][0] for number in range(1, 13)] == [100 * number for number in range(1, 13)]
    costs = [float(str(price[f"part[{number}]"][1])) for number in range(1, 13)]
    assert costs == pytest.approx([costs[0] + (costs[1] - costs[0]) * at for at in range(12)])
    assert outcome.events[-1]["cost_usd"] == pytest.approx(sum(costs) + float(str(price["last"][1])), abs=1e-5)

    plan(isolated_home, "fresh")
    again = command.run("p.yaml", "--progress", "json")
    assert (again.exit_code, len(again.ids("chunk_reused")), len(standin_api.requests)) == (0, 13, 13)


def test_fresh_processes_are_started_ahead_and_sent_what_the_plan_says(
    cli: CountedCli, standin_api: StandInApi, isolated_home: Path
) -> None:
    """Each answer has a process of its own; a third is started while two answer, and none is started in vain."""
    plan(isolated_home, "fresh", words=WORDS[:4])
    most: list[int] = []

    def slowly(_: object) -> object:
        most.append(len([pid for pid in cli.pids if runs(pid)]))
        return answer("ANSWER " * 10, delta_chars=7, delta_delay_s=0.1)

    standin_api.when("", slowly)  # pyright: ignore[reportArgumentType]
    command = Command(isolated_home, cli_environment(standin_api, isolated_home), claude=cli.path)
    assert len(succeeded(command.run("p.yaml", "--progress", "json"))) == 5
    assert len(cli.pids) == len(set(cli.pids)) == 5
    assert max(most) == 3
    contents = [sent.parsed["messages"][0]["content"] for sent in standin_api.requests]
    assert all(isinstance(content, str) for content in contents)


def test_where_it_is_not_possible_the_run_says_so_once(fake_claude: FakeClaude, tmp_path: Path) -> None:
    """A CLI that says "/clear isn't available" costs a warning and nothing else; no process gets a second prompt."""
    folder = tmp_path / "work"
    folder.mkdir()
    plan(folder, "reuse", words=WORDS[:5])
    fake_claude.play({"serve": [{"text": "/clear isn't available in this environment."}, {"result": {"num_turns": 0}}]})
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ANTHROPIC_API_KEY": "x"}
    outcome = Command(folder, environment, claude=fake_claude.path).run("p.yaml", "--progress", "json")
    assert len(succeeded(outcome)) == 6
    assert outcome.stderr.count("`isolation: reuse` is not possible here") == 1
    prompts = [line["pid"] for line in fake_claude.lines() if line["content"] != "/clear"]
    assert len(prompts) == len(set(prompts)) == 6
