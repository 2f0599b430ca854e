"""The commands from end to end, as child processes, with the simulated runner."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store import open_store
from tests.cli.command import command, environment, orchestrate
from tests.cli.terminal import Terminal

PLAN = """\
name: guide
inputs:
  topic: required
chunks:
  - {id: outline, prompt: "An outline of {{ inputs.topic }}"}
  - {id: why, prompt: "Why? {{ chunks.outline }}"}
  - {id: how, prompt: "How? {{ chunks.outline }}"}
limits: {max_concurrency: 2}
"""
AT_ONCE = ("--runner", "simulated:latency_s=0", "--set", "topic=tests")
CHECKED = ("plan.yaml", "--set", "topic=tests", "--json")
SLOW = ("--runner", "simulated:latency_s=1", "--set", "topic=tests")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the plan `plan.yaml`."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def run_id_of(folder: Path) -> str:
    return str(json.loads(orchestrate("status", "--json", cwd=folder).stdout)["run_id"])


def test_run_shows_progress_and_leaves_a_result(folder: Path) -> None:
    """One command: the estimate first, a line for each chunk, one line at the end, and the result file."""
    done = orchestrate("plan.yaml", *AT_ONCE, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"guide: 3 chunks, run \S+", lines[0])
    assert re.match(r"3 calls.*tokens in and .*paid by nobody: the answers are simulated", lines[1])
    assert [line.split(" · ")[0] for line in lines[2:5]] == [
        "[1/3] outline",
        *sorted(line.split(" · ")[0] for line in lines[3:5]),
    ]
    assert lines[-1].startswith("3/3 · ")
    assert lines[-1].endswith(" simulated · result: guide.result.md")
    assert len(lines) == 6
    assert (folder / "guide.result.md").read_text().startswith("## Why")


def test_options_first(folder: Path) -> None:
    """The plan may stand after the options."""
    assert orchestrate(*AT_ONCE, "plan.yaml", cwd=folder).returncode == 0


def test_second_run_pays_nothing(folder: Path) -> None:
    """The same command again reuses every answer, and says so."""
    orchestrate("plan.yaml", *AT_ONCE, cwd=folder)
    done = orchestrate("plan.yaml", *AT_ONCE, cwd=folder)
    assert done.returncode == 0
    assert "nothing to ask: 3 answers reused" in done.stdout
    assert "[3/3] how · reused" in done.stdout or "[3/3] why · reused" in done.stdout
    assert "faster" not in done.stdout


def test_json_progress(folder: Path) -> None:
    """With --progress json stdout holds events alone, in order, without a gap."""
    done = orchestrate("plan.yaml", *AT_ONCE, "--progress", "json", cwd=folder)
    events = events_of(done.stdout)
    assert done.stderr == ""
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "run_started"
    assert events[-1]["type"] == "run_finished"


def test_money_in_json_has_no_noise(folder: Path) -> None:
    """Sums of floats end at a billionth of a dollar, in events and in what is printed with --json."""
    done = orchestrate("plan.yaml", *AT_ONCE, "--progress", "json", cwd=folder)
    told = [json.loads(orchestrate(*words, cwd=folder).stdout) for words in (("status", "--json"), ("check", *CHECKED))]
    costs = re.findall(r'"cost_usd[a-z_]*": ?([0-9.e-]+)', done.stdout + json.dumps(told))
    assert len(costs) > 8
    assert all(float(cost) == round(float(cost), 9) for cost in costs), costs


def test_result_on_stdout(folder: Path) -> None:
    """With -o - stdout is the result to the byte, progress goes to stderr, and no file is written."""
    done = orchestrate("plan.yaml", *AT_ONCE, "-o", "-", cwd=folder)
    assert done.returncode == 0
    answers = [orchestrate("show", "last", name, cwd=folder).stdout for name in ("why", "how")]
    assert done.stdout == "\n\n".join(answers)
    assert "[1/3] outline" in done.stderr
    assert not list(folder.glob("*.result.*"))


def test_quiet(folder: Path) -> None:
    """With --progress quiet a good run says nothing."""
    done = orchestrate("plan.yaml", *AT_ONCE, "--progress", "quiet", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_input_from_stdin(folder: Path) -> None:
    """--input NAME=- reads stdin once."""
    done = orchestrate(
        "plan.yaml", "--runner", "simulated:latency_s=0", "--input", "topic=-", cwd=folder, stdin="from a pipe"
    )
    assert done.returncode == 0
    (folder / "topic.txt").write_text("from a pipe")
    same = orchestrate("plan.yaml", "--runner", "simulated:latency_s=0", "--input", "topic=topic.txt", cwd=folder)
    assert "nothing to ask" in same.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan.yaml", "--input", "a=-", "--input", "b=-"), "both 'a' and 'b' want stdin"),
        (("plan.yaml", "--set", "a"), "--set NAME=TEXT"),
        (("plan.yaml", "--input", "=x"), "--input NAME=FILE"),
        (("plan.yaml", "--set", "a=1", "--input", "a=f"), "given twice"),
        (("plan.yaml", "--set", "topic=x", "--runner", "nobody"), "no runner 'nobody'"),
        (("plan.yaml", "--set", "topic=x", "--runner", "simulated:speed=nan"), "speed needs a number, not 'nan'"),
        (("plan.yaml", "--set", "topic=x", "--runner", "simulated:latency_s=inf"), "needs a number, not 'inf'"),
        (("missing.yaml", "--max-cost", "0"), "'--max-cost': it must be an amount above 0"),
        (("missing.yaml", "--max-cost", "-1"), "'--max-cost': it must be an amount above 0"),
        (("missing.yaml", "--max-cost", "nan"), "'--max-cost': it must be an amount above 0"),
        (("resume", "last", "--max-cost", "inf"), "'--max-cost': it must be an amount above 0"),
        (("missing.yaml", "-j", "0"), "greater than or equal to 1"),
        (("staus",), "did you mean `orchestrate status`?"),
        (("missing.yaml",), "no plan file missing.yaml; `orchestrate init` writes a first one"),
        (("paln.yaml",), "no plan file paln.yaml; did you mean plan.yaml?"),
        (("plan",), "Missing argument"),
        (("plam",), "no plan file plam; did you mean `orchestrate plan`?"),
        (("guide",), "no plan file guide; `orchestrate init` writes a first one"),
        (("two words",), "no plan file two words; to have a request planned: orchestrate ask 'two words'"),
        (("help",), "did you mean `orchestrate --help`?"),
        (("version",), "did you mean `orchestrate --version`?"),
        (("plan.yaml", *AT_ONCE, "-o", "/proc/x"), "/proc/x is no place for a file (`-o -` writes to stdout)"),
        (("plan.yaml", "--runner", "simulated"), "topic"),
        (("resume", "nosuch"), "nosuch"),
        (("status", "nosuch"), "nosuch"),
        (("show", "last", "x"), "no store"),
    ],
)
def test_usage_errors(words: tuple[str, ...], message: str, folder: Path) -> None:
    """A call that makes no sense: exit 2, one message on stderr, nothing on stdout, nothing started."""
    done = orchestrate(*words, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_every_problem_of_a_plan(folder: Path) -> None:
    """A bad plan: exit 2, and each problem with its place, for run and check alike."""
    (folder / "bad.yaml").write_text('chunks:\n  - {id: a, promt: x}\n  - {id: b, prompt: "{{ chunks.c }}"}\n')
    for words in (["bad.yaml"], ["check", "bad.yaml"]):
        done = orchestrate(*words, cwd=folder)
        assert done.returncode == 2
        assert "bad.yaml:2:" in done.stderr
        assert "bad.yaml:3:" in done.stderr
    problems = json.loads(orchestrate("check", "bad.yaml", "--json", cwd=folder).stdout)["problems"]
    assert {problem["line"] for problem in problems} == {2, 3}


@pytest.mark.parametrize("words", [("bad.yaml",), ("missing.yaml",), ("plan.yaml", "--set", "x")])
def test_check_as_json_is_json_whatever_is_wrong(words: tuple[str, ...], folder: Path) -> None:
    """Also when there is no plan, or the call is wrong; nothing is told twice."""
    (folder / "bad.yaml").write_text("chunks: [{id: a, promt: x}]")
    done = orchestrate("check", *words, "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "")
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert told["problems"][0]["file"] == words[0]
    assert told["problems"][0]["message"]


@pytest.mark.parametrize("store", [".", ""])
def test_store_that_is_a_folder(store: str, folder: Path) -> None:
    """It is told what a store is: a file."""
    done = orchestrate("plan.yaml", *AT_ONCE, "--store", store, cwd=folder)
    assert done.returncode == 3
    assert f"the store {folder} is a folder; name a file in it, such as --store {folder}/store.db" in done.stderr


def test_check_refuses_what_run_refuses(folder: Path) -> None:
    """Files whose names are not UTF-8 are a problem of the plan, at its place, beside every other one."""
    (folder / "plan.yaml").write_text(
        "inputs: {code: {files: '*.txt'}}\nchunks: [{id: a, prompt: '{{ inputs.code }}'}]\n"
    )
    os.close(os.open(os.fsencode(folder) + b"/\xe4.txt", os.O_CREAT))
    (folder / "b.txt").write_bytes(b"\0")
    told = [orchestrate(word, "plan.yaml", cwd=folder) for word in ("check", "run")]
    assert [done.returncode for done in told] == [2, 2]
    assert told[0].stderr == told[1].stderr
    assert "plan.yaml:1:24: the name '\\xe4.txt' is not UTF-8" in told[0].stderr
    assert "plan.yaml:1:24: 'b.txt' holds a NUL character" in told[0].stderr


def test_check_starts_nothing(folder: Path) -> None:
    """`check` tells order, inputs, estimate and where the result goes; no store, no result."""
    done = orchestrate("check", "plan.yaml", "--set", "topic=tests", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "guide: 3 chunks in 2 levels, 2 at once"
    assert re.match(r"   1  outline +default model, medium, up to 300 s$", lines[1])
    assert re.match(r"   2  why +default model, medium, up to 300 s, after outline$", lines[2])
    assert "input topic: 5 characters, about 1 tokens (set)" in lines
    assert re.search(r"^estimate, nothing reused: 3 calls, about .* tokens in", done.stdout, re.MULTILINE)
    assert lines[-1] == f"result: {folder}/guide.result.md (markdown: why, how)"
    assert sorted(path.name for path in folder.iterdir()) == ["plan.yaml"]
    assert orchestrate("check", "plan.yaml", cwd=folder).returncode == 2


def test_status_show_and_events(folder: Path) -> None:
    """After a run the reading commands agree with what it told."""
    told = events_of(orchestrate("plan.yaml", *AT_ONCE, "--progress", "json", cwd=folder).stdout)
    run_id = told[0]["run_id"]
    status = orchestrate("status", cwd=folder).stdout
    assert f"run {run_id} · complete" in status
    assert "to go on" not in status
    record = json.loads(orchestrate("status", run_id, "--json", cwd=folder).stdout)
    assert [chunk["shown_status"] for chunk in record["chunks"]] == ["succeeded"] * 3
    stored = events_of(orchestrate("events", "last", cwd=folder).stdout)
    assert stored == [event for event in told if event["type"] not in ("chunk_progressed", "run_progressed")]
    answer = json.loads(orchestrate("show", run_id, "why", "--json", cwd=folder).stdout)["answer"]["text"]
    assert orchestrate("show", "last", "why", cwd=folder).stdout == answer
    assert orchestrate("show", "last", cwd=folder).stdout == (folder / "guide.result.md").read_text()
    assert "did you mean why?" in orchestrate("show", "last", "wyh", cwd=folder).stderr


def test_show_of_a_group(folder: Path) -> None:
    """The id of a `for_each` shows all its answers, labelled while the plan is the same; --json is a list."""
    names = [f"n{number}" for number in range(1, 12)]
    chunk = {"id": "part", "for_each": {"items": names}, "prompt": "On {{ item.text }}"}
    (folder / "plan.yaml").write_text(json.dumps({"name": "guide", "chunks": [chunk]}))
    orchestrate("plan.yaml", "--runner", "simulated:latency_s=0", cwd=folder)
    answers = {name: orchestrate("show", "last", f"part[{at}]", cwd=folder).stdout for at, name in enumerate(names, 1)}
    shown = orchestrate("show", "last", "part", cwd=folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "\n\n".join(f"{name}:\n{answer}" for name, answer in answers.items())
    listed = json.loads(orchestrate("show", "last", "part", "--json", cwd=folder).stdout)
    assert [each["chunk_id"] for each in listed] == [f"part[{at}]" for at in range(1, 12)]
    assert [each["answer"]["text"] for each in listed] == list(answers.values())
    (folder / "plan.yaml").write_text(json.dumps({"name": "guide", "chunks": [chunk | {"prompt": "Changed"}]}))
    assert orchestrate("show", "last", "part", cwd=folder).stdout == "\n\n".join(answers.values())


def test_output_that_is_not_ours(folder: Path) -> None:
    """A file that no run wrote is refused before anything starts, and overwritten on demand."""
    (folder / "mine.md").write_text("my own words")
    refused = orchestrate("plan.yaml", *AT_ONCE, "-o", "mine.md", cwd=folder)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert (folder / "mine.md").read_text() == "my own words"
    assert orchestrate("plan.yaml", *AT_ONCE, "-o", "mine.md", "--force", cwd=folder).returncode == 0


def test_status_after_a_kill(folder: Path) -> None:
    """The time until the last thing that was told counts, and what was under way is counted."""
    with start(folder, *SLOW, "--store", "s.db") as child:
        read_until(child, "[1/3] ")
        wait_for_start(folder, "why", store="s.db")
        child.kill()
        child.wait(timeout=60)
    record = json.loads(orchestrate("status", "--store", "s.db", "--json", cwd=folder).stdout)
    assert record["state"] == "interrupted"
    assert record["elapsed_s"] >= 1
    assert 1 <= record["lost_calls"] <= 2


def test_first_ctrl_c_finishes_what_runs(folder: Path) -> None:
    """The first Ctrl-C lets running chunks finish and says so; exit 130, and the command to go on works."""
    with start(folder, *SLOW, "-j", "1", "--store", "s.db") as child:
        read_until(child, "[1/3] outline")
        wait_for_start(folder, "why", store="s.db")
        child.send_signal(signal.SIGINT)
        rest = read_until(child, None)
        assert child.wait(timeout=30) == 130
    assert "finishing 1 running chunk, about " in rest
    assert "Ctrl-C again ends them" in rest
    assert "[2/3] " in rest
    assert "[3/3] " not in rest
    go_on = re.search(r"to go on: orchestrate (resume \S+ --store s\.db)", rest)
    assert go_on, rest
    done = orchestrate(*go_on[1].split(), cwd=folder)
    assert done.returncode == 0
    assert (folder / "guide.result.md").exists()


def test_second_ctrl_c_ends_what_runs(folder: Path) -> None:
    """The second Ctrl-C does not wait for running chunks: exit 130 long before they would be done."""
    with start(folder, "--runner", "simulated:latency_s=60", "--set", "topic=x", "--store", "s.db") as child:
        read_until(child, "3 calls")
        wait_for_start(folder, "outline", store="s.db")
        child.send_signal(signal.SIGINT)
        read_until(child, "finishing 1 running chunk, up to ")
        child.send_signal(signal.SIGINT)
        rest = read_until(child, None)
        assert child.wait(timeout=15) == 130
    assert "ending the running chunks" in rest
    assert "to go on: orchestrate resume " in rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_what_runs(number: signal.Signals, folder: Path) -> None:
    """SIGTERM and a hang-up end the running chunks at once: exit 130, nothing more is answered."""
    with start(folder, "--runner", "simulated:latency_s=30", "--set", "topic=x") as child:
        read_until(child, "3 calls")
        child.send_signal(number)
        rest = read_until(child, None)
        assert child.wait(timeout=15) == 130
    assert "to go on: orchestrate resume " in rest


def test_cost_limit_stops_and_says_how_to_go_on(folder: Path) -> None:
    """Exit 4 at the limit, with the command that goes on."""
    done = orchestrate("plan.yaml", *AT_ONCE, "--max-cost", "0.000001", cwd=folder)
    assert done.returncode == 4
    assert "stopped: " in done.stdout
    assert "to go on: orchestrate resume " in done.stdout
    assert orchestrate("resume", "last", "--max-cost", "1", cwd=folder).returncode == 0


def test_quiet_tells_trouble_on_stderr(folder: Path) -> None:
    """Quiet is no excuse: after anything but success stderr says what happened and how to go on."""
    for mode in ("quiet", "json"):
        done = orchestrate("plan.yaml", *AT_ONCE, "--max-cost", "0.000001", "--progress", mode, "--fresh", cwd=folder)
        assert done.returncode == 4
        assert "to go on: orchestrate resume " in done.stderr
        assert "to go on" not in done.stdout


def test_store_of_the_environment(folder: Path) -> None:
    """ORCHESTRATE_STORE names the store; --store wins over it."""
    orchestrate("plan.yaml", *AT_ONCE, cwd=folder, env={"ORCHESTRATE_STORE": "here.db"})
    assert (folder / "here.db").exists()
    assert not (folder / ".orchestrate").exists()
    done = orchestrate("status", "--store", "other.db", cwd=folder, env={"ORCHESTRATE_STORE": "here.db"})
    assert done.returncode == 2


def test_run_on_a_terminal(folder: Path) -> None:
    """On a terminal the whole command shows a live view, ends with its one line, and gives the cursor back."""
    words = command("plan.yaml", "--runner", "simulated:latency_s=0.4", "--set", "topic=x")
    with Terminal(words, env=environment(folder), cwd=folder) as terminal:
        code, stderr = terminal.finish(timeout_s=60)
    assert (code, stderr) == (0, "")
    assert "waiting for the model" in terminal.shown
    assert "result: guide.result.md" in terminal.shown
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")


def test_answers_cannot_steer_a_terminal(folder: Path) -> None:
    """`show` prints an answer byte for byte into a pipe, and visibly onto a terminal."""
    hostile = "plain \\x1b[2J and more"
    (folder / "echo.py").write_text(
        "from orchestrator import run_plan, SimulatedRunner\n"
        "plan = {'name': 'n', 'chunks': [{'id': 'a', 'prompt': 'x'}]}\n"
        f"run_plan(plan, runner=SimulatedRunner(latency_s=0, answers={{'a': '{hostile}'}}))\n"
    )
    subprocess.run([sys.executable, "echo.py"], cwd=folder, env=environment(folder), check=True, timeout=60)
    assert orchestrate("show", "last", "a", cwd=folder).stdout == "plain \x1b[2J and more"
    with Terminal(command("show", "last", "a"), env=environment(folder), cwd=folder) as terminal:
        terminal.finish()
    assert terminal.shown == "plain ␛[2J and more\r\n"


def test_reader_that_leaves_does_not_stop_the_run(folder: Path) -> None:
    """`orchestrate … | head -1`: the run goes on to its result."""
    with start(folder, *AT_ONCE) as child:
        assert child.stdout
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(timeout=60) == 0
    assert (folder / "guide.result.md").exists()


def test_result_that_stdout_cannot_take(folder: Path) -> None:
    """A result lost on a full disk is no success."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("plan.yaml", *AT_ONCE, "-o", "-"),
            cwd=folder,
            env=environment(folder),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert "stdout could not take the result" in done.stderr


def test_doctor_without_a_cli(folder: Path) -> None:
    """`doctor` names what is wrong and what to do, and exits 3; as JSON too."""
    done = orchestrate("doctor", "--claude", "/nonexistent/claude", cwd=folder)
    assert done.returncode == 3
    assert re.search(r"^WRONG  claude", done.stdout, re.MULTILINE)
    assert re.search(r"^ok     store .*will be made by the first run", done.stdout, re.MULTILINE)
    record = json.loads(orchestrate("doctor", "--claude", "/nonexistent/claude", "--json", cwd=folder).stdout)
    assert record["ok"] is False
    assert all(check["remedy"] for check in record["checks"] if not check["ok"])
    assert not (folder / ".orchestrate").exists()


def test_doctor_with_a_bad_store(folder: Path) -> None:
    """A store that is none is named."""
    (folder / "s.db").write_text("not a database, but long enough to look at" * 100)
    done = orchestrate("doctor", "--claude", "/nonexistent/claude", "--store", "s.db", cwd=folder)
    assert re.search(r"^WRONG  store", done.stdout, re.MULTILINE)


def test_schema(folder: Path) -> None:
    """`schema` prints a JSON Schema that describes chunks."""
    schema = json.loads(orchestrate("schema", cwd=folder).stdout)
    assert "chunks" in schema["properties"]


def test_example_of_init_runs(folder: Path) -> None:
    """What `init` writes can be checked and run as it is."""
    orchestrate("init", "my first: plan", cwd=folder)
    assert orchestrate("check", "my first: plan.yaml", cwd=folder).returncode == 0
    done = orchestrate("my first: plan.yaml", "--runner", "simulated:latency_s=0", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "my first: plan.md").exists()


@pytest.mark.parametrize("words", [("status",), ("check", "plan.yaml", "--set", "topic=x"), ("show", "last")])
def test_reading_imports_no_pipeline(words: tuple[str, ...], folder: Path) -> None:
    """Commands that only read never import LangGraph."""
    orchestrate("plan.yaml", *AT_ONCE, cwd=folder)
    code = (
        "import sys\nfrom orchestrator.cli.start import main\n"
        f"sys.argv = ['orchestrate', *{list(words)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\nIMPORTED', 'langgraph' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "IMPORTED False False"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A run of the plan that can be watched and signalled."""
    return subprocess.Popen(
        command("plan.yaml", *words),
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_start(folder: Path, chunk_id: str, *, store: str) -> None:
    """Until the store says that an attempt of the chunk began."""
    opened = open_store(folder / store)
    run_id = opened.resolve("last")
    end_s = time.monotonic() + 30
    while not any(
        event["type"] == "chunk_started" and event["chunk_id"] == chunk_id for event in opened.events(run_id)
    ):
        assert time.monotonic() < end_s, f"{chunk_id} did not start"
        time.sleep(0.02)


def read_until(child: subprocess.Popen[str], text: str | None) -> str:
    """What the child prints up to the line with `text`, or to the end."""
    assert child.stdout
    lines: list[str] = []
    for line in child.stdout:
        lines.append(line)
        if text is not None and text in line:
            break
    shown = "".join(lines)
    assert text is None or text in shown
    return shown


def test_children_are_told_apart(folder: Path) -> None:
    """Two runs at once in one folder: both end well."""
    with start(folder, *AT_ONCE, "-o", "one.md") as one, start(folder, *AT_ONCE, "-o", "two.md") as two:
        read_until(one, None)
        read_until(two, None)
        assert (one.wait(timeout=60), two.wait(timeout=60)) == (0, 0)
    assert (folder / "one.md").read_bytes() == (folder / "two.md").read_bytes()


def test_another_run_of_the_plan_is_told(folder: Path) -> None:
    """Who starts a plan that is going on is told so before anything is paid; a run that died is none."""
    with start(folder, "--runner", "simulated:latency_s=60", "--set", "topic=tests", "-o", "one.md") as one:
        read_until(one, "calls")
        run_id = run_id_of(folder)
        second = orchestrate("plan.yaml", *AT_ONCE, "--fresh", "-o", "two.md", cwd=folder)
        warning = f"another run of this plan is going on in this store (run {run_id}, process {one.pid} on "
        assert warning in second.stdout
        assert "answers may be paid twice; wait for it" in second.stdout
        one.kill()
        one.wait(timeout=60)
    alone = orchestrate("plan.yaml", *AT_ONCE, "--fresh", "-o", "two.md", cwd=folder)
    assert "another run" not in alone.stdout


def test_two_runs_of_one_plan_pay_once(folder: Path) -> None:
    """What one process is asking the other waits for; both end with the same result."""
    json_progress = ("--progress", "json")
    with (
        start(folder, *SLOW, *json_progress, "-o", "one.md") as one,
        start(folder, *SLOW, *json_progress, "-o", "two.md") as two,
    ):
        told = events_of(read_until(one, None)) + events_of(read_until(two, None))
        assert (one.wait(timeout=60), two.wait(timeout=60)) == (0, 0)
    kinds = [event["type"] for event in told]
    assert (kinds.count("chunk_started"), kinds.count("chunk_succeeded"), kinds.count("chunk_reused")) == (3, 3, 3)
    assert (folder / "one.md").read_bytes() == (folder / "two.md").read_bytes()


def test_a_process_that_dies_leaves_its_chunk_to_the_other(folder: Path) -> None:
    """Its claim ends with it."""
    with start(folder, "--runner", "simulated:latency_s=60", "--set", "topic=tests", "--store", "s.db") as one:
        read_until(one, "calls")
        wait_for_start(folder, "outline", store="s.db")
        with start(folder, *SLOW, "--store", "s.db", "-o", "two.md") as two:
            assert "what it is asking is waited for" in read_until(two, "another run")
            one.kill()
            one.wait(timeout=60)
            assert "[3/3]" in read_until(two, None)
            assert two.wait(timeout=60) == 0


def test_the_second_process_on_a_run_is_told_who_has_it(folder: Path) -> None:
    """While a run goes on, resuming it ends with 3 and names the process; nothing of the run changes."""
    env = environment(folder)
    words = command("plan.yaml", *SLOW, "--progress", "json")
    with subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        run_id = json.loads(first.stdout.readline())["run_id"]
        second = orchestrate("resume", run_id, cwd=folder)
        assert second.returncode == 3
        assert f"run {run_id} is held by process {first.pid} on " in second.stderr
        assert [json.loads(line)["type"] for line in first.stdout][-1] == "run_finished"
    assert first.returncode == 0
