"""A folder of documents is "translated" on the real CLI, piece by piece, and comes out as a folder like it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiRequest, ApiResponse, StandInApi, answer, error

PLAN = """
inputs: {docs: {files: "docs/**/*.md"}}
chunks:
  - id: part
    for_each: {input: docs, split: markdown, max_tokens: 120}
    prompt: "TASK\\n{{ item.text }}"
stitch: {join: source, files: "de/{{ item.source | replace('docs/', '') }}"}
"""

CODE = "```sh\n" + "".join(f"open-valve --stage {at} --limit {at * 7 % 90}\n" for at in range(30)) + "```\n"
TABLE = "| reading | meaning |\n|---|---|\n" + "".join(f"| gauge {at} | close valve {at} |\n" for at in range(24))
LIST = "".join(f"- check valve {at} and\n  note the time\n\n  1. by hand\n" for at in range(6))
SECTION = "\n## Section {at}\n\nThe crew closes the valve. It notes the time in the book.\n\n\n" + LIST
DOCS = {
    "handbook.md": "# The handbook\n" + "".join(SECTION.replace("{at}", str(at)) for at in range(2)) + "\n" + TABLE,
    "code/steps.md": f"# Steps\n\n{CODE}\n> quoted\n> twice\n\n    indented code\n\n{TABLE}\nlast line without an end",
    "dos.md": ("# DOS\n\nTwo lines\nof text.\n\n" + TABLE).replace("\n", "\r\n"),
}


def upper(text: str) -> str:
    """In capitals, but for fenced code, as a translation leaves code alone."""
    return "".join(
        part if at % 2 else part.upper() for at, part in enumerate(re.split(r"(^```.*?^```$)", text, flags=re.M | re.S))
    )


class Translator:
    """Translates a piece; of code that was cut it knows that it is code. It writes LF, and no blank space around."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def __call__(self, request: ApiRequest) -> ApiResponse:
        piece = request.prompt.partition("TASK\n")[2]
        self.pieces.append(piece)
        lines = [line if "open-valve" in line or "```" in line else line.upper() for line in piece.splitlines()]
        return answer("\n".join(lines).strip())


@pytest.fixture
def translator(standin_api: StandInApi) -> Translator:
    """Answers every piece."""
    translator = Translator()
    standin_api.when("TASK", translator)
    return translator


@pytest.fixture
def command(tmp_path: Path, standin_api: StandInApi, claude_binary: Path, isolated_home: Path) -> Command:
    """The command in a folder with documents and the plan."""
    folder = tmp_path / "work"
    for name, text in DOCS.items():
        path = folder / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    (folder / "plan.yaml").write_text(PLAN)
    return Command(folder, cli_environment(standin_api, isolated_home), claude=claude_binary)


def results(command: Command) -> dict[str, bytes]:
    """What stands in the folder of the translation."""
    folder = command.folder / "de"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_translated_and_kept_up_to_date(command: Command, translator: Translator) -> None:
    """Lists, tables and code come out whole, to the byte; the second run is free; an edit asks one piece and writes one
    file; a translation that was edited by hand is refused before anything is paid.
    """
    done = command.run("plan.yaml", "--progress", "plain")
    assert (done.exit_code, done.stderr) == (0, "")
    expected = {name: upper(text.replace("\r\n", "\n")) for name, text in DOCS.items()}
    expected["dos.md"] = expected["dos.md"].replace("\n", "\r\n")
    assert results(command) == {name: text.encode() for name, text in expected.items()}
    assert done.stdout.splitlines()[-1].endswith("result: 3 files under de/")
    cut = [piece for piece in translator.pieces if piece.count("```") % 2 or piece.startswith("| gauge")]
    assert len(cut) > 2, "a fence and tables had to be cut"
    paid = len(translator.pieces)
    assert sorted(path.name for path in command.folder.iterdir()) == [".orchestrate", "de", "docs", "plan.yaml"]

    again = command.run("plan.yaml", "--progress", "json")
    assert (again.exit_code, again.ids("chunk_started"), len(translator.pieces)) == (0, [], paid)

    stamps = {path: path.stat().st_mtime_ns for path in (command.folder / "de").rglob("*.md")}
    handbook = command.folder / "docs" / "handbook.md"
    handbook.write_text(handbook.read_text().replace("| gauge 20 | close", "| gauge 20 | gladly close"))
    edited = command.run("plan.yaml", "--progress", "json")
    assert (edited.exit_code, len(edited.ids("chunk_started"))) == (0, 1)
    assert [path.name for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp] == ["handbook.md"]
    assert results(command)["handbook.md"].decode() == upper(handbook.read_text())

    (command.folder / "de" / "dos.md").write_text("Better by hand.")
    handbook.write_text(handbook.read_text().replace("| gauge 20 | gladly", "| gauge 20 | slowly"))
    paid = len(translator.pieces)
    refused = command.run("plan.yaml", "--progress", "json")
    assert (refused.exit_code, refused.stdout, len(translator.pieces)) == (2, "", paid)
    assert "de/dos.md exists and was not written by a run, or was edited since" in refused.stderr
    assert (command.folder / "de" / "dos.md").read_text() == "Better by hand."


def test_a_piece_that_fails_leaves_its_file_incomplete(
    command: Command, translator: Translator, standin_api: StandInApi
) -> None:
    """The others are there; what to type is said, and closes the gap; `show` gives all in one."""
    standin_api.when("# DOS", *([error(400, "this will never do")] * 4), translator)
    done = command.run("plan.yaml", "--progress", "plain")
    assert done.exit_code == 1
    assert sorted(results(command)) == ["code/steps.md", "dos.incomplete.md", "handbook.md"]
    gapped = results(command)["dos.incomplete.md"].decode()
    assert gapped.startswith("[missing: part[")
    assert "| GAUGE 23 | CLOSE VALVE 23 |\r\n" in gapped
    assert "incomplete result: 3 files under de/" in done.stdout
    assert command.run("resume", "last", "--progress", "quiet").exit_code == 0
    assert sorted(results(command)) == ["code/steps.md", "dos.md", "handbook.md"]
    shown = command.run("show", "last")
    assert "# THE HANDBOOK\n" in shown.stdout
    assert f"result: {command.folder}/de/" in command.run("status", "last").stdout
