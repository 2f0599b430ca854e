"""Answers that reach into each other, through the command on the real CLI, down to the bytes of the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import StandInApi, answer

PLAN = """
name: guide
chunks:
  - {id: install, prompt: TASK-install}
  - {id: use, prompt: TASK-use}
  - {id: more, prompt: TASK-more}
stitch: {output: guide.md}
"""
INSTALL = "# Guide\n\n## Install\n\nIt is small.[^1]\n\n[^1]: 2 MB.\n\n## Use\n"
USE = "## Use\n\nStart it.[^1] See `[^1]`.\n\n[^1]: On  Monday.  \n\n```sh\nstart [^1]"
MORE = "- Caf\u0065\u0301\r\n- End"

SAFE = (
    "# Guide\n\n## Install\n\nIt is small.[^1]\n\n[^1]: 2 MB.\n\n"
    "## Use\n\nStart it.[^1-2] See `[^1]`.\n\n[^1-2]: On  Monday.  \n\n```sh\nstart [^1]\n```\n\n"
    "- Caf\u0065\u0301\r\n- End"
)
DIFF = """--- answers
+++ result
@@ -5,18 +5,16 @@ install: repeated_heading, use: labels, use: closing
 It is small.[^1]
_
 [^1]: 2 MB.
-
-## Use
-
_
 ## Use
_
-Start it.[^1] See `[^1]`.
+Start it.[^1-2] See `[^1]`.
_
-[^1]: On  Monday.__
+[^1-2]: On  Monday.__
_
 ```sh
 start [^1]
+```
_
 - Cafe\u0301
 - End
\\ No newline at end of file
""".replace("__\n", "  \n").replace("_\n", " \n")
"""With `_` for a space at the end of a line."""


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    """The command in a folder with the plan, and answers that leave open what they can."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    for name, text in (("install", INSTALL), ("use", USE), ("more", MORE)):
        standin_api.when(f"TASK-{name}", answer(text))
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def test_answers_do_not_reach_into_each_other(command: Command, standin_api: StandInApi) -> None:
    """By default; a plan that says otherwise gets what it asks for out of the same answers, and `show` tells all."""
    done = command.run("plan.yaml", "--progress", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    result = command.folder / "guide.md"
    assert result.read_bytes() == SAFE.encode()
    assert done.events[-2]["chars"] == len(SAFE)
    shown = command.run("show", "last", "--seams")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == DIFF
    assert command.run("show", "last").stdout == SAFE.replace("\r\n", "\n")
    edits = json.loads(command.run("show", "last", "--seams", "--json").stdout)["edits"]
    answers = {"install": INSTALL, "use": USE}
    assert [edit["rule"] for edit in edits] == ["repeated_heading", "labels", "labels", "closing"]
    assert all(answers[edit["chunk_id"]][edit["start"] : edit["end"]] == edit["removed"] for edit in edits)

    (command.folder / "plan.yaml").write_text(PLAN.replace("guide.md", "guide.md, seams: none"))
    assert command.run("plan.yaml", "--progress", "json").ids("chunk_reused") == ["install", "use", "more"]
    assert result.read_bytes() == f"{INSTALL}\n\n{USE}\n\n{MORE}".encode()
    assert command.run("show", "last", "--seams").stdout == ""
    rules = "{toc: true, newlines: true, unicode: true}"
    (command.folder / "plan.yaml").write_text(PLAN.replace("guide.md", f"guide.md, seams: {rules}"))
    assert command.run("plan.yaml").exit_code == 0
    contents = "\n\n<!-- toc -->\n\n- [Install](#install)\n- [Use](#use)\n\n<!-- tocstop -->"
    expected = SAFE.replace("# Guide", f"# Guide{contents}").replace("\r\n", "\n").replace("e\u0301", "\u00e9")
    assert result.read_bytes() == expected.encode()
    assert len(standin_api.requests) == 3
