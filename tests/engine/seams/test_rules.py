"""Each rule on its own: what it does, and what it leaves alone."""

from __future__ import annotations

import pytest

from tests.engine.seams.joining import joined, text

LONG = "A paragraph of more than sixty characters, which the second answer says again."


@pytest.mark.parametrize(
    ("rule", "answers", "expected"),
    [
        ("newlines", ["a\r\nb\rc\n", None], ["a\nb\nc\n", "[missing: c2, refusal]"]),
        (
            "unicode",
            ["cafe\u0301 `e\u0301`", "```\ne\u0301\n```", "x/e\u0301"],
            ["café `e\u0301`", "```\ne\u0301\n```", "x/e\u0301"],
        ),
        ("chatter", ["Sure! Here is the text:\n\n# A\n\nB.\n\nLet me know if you want any changes!\n"], ["# A\n\nB."]),
        ("chatter", ["Here are the parts you asked for:\r\n\r\n---\r\n\r\n- a"], ["- a"]),
        ("chatter", ["Certainly, here's it:\n\n```markdown\n# A\n\nb\n```"], ["# A\n\nb"]),
        ("chatter", ["````md\n# A\n```\nx\n```\n````\n"], ["# A\n```\nx\n```"]),
        ("overlap", [f"One.\n\n{LONG}\nMore.", f"{LONG}  \nMore.\n\nTwo."], [f"One.\n\n{LONG}\nMore.", "Two."]),
        ("repeated_heading", ["A.\n\n## S\n\n", "## S\n\nB."], ["A.", "## S\n\nB."]),
        ("repeated_heading", ["[a]: b\n\n## S", "## S\n\nB.", "B"], ["[a]: b\n\n## S", "## S\n\nB.", "B"]),
        ("repeated_heading", ["A.\n\n[a]: b\n## S", "## S\n\nB."], ["A.\n\n[a]: b", "## S\n\nB."]),
        ("repeated_heading", ["A.\n\nS\n===", "# S #\nB."], ["A.", "# S #\nB."]),
        ("duplicate_headings", ["# G\n\n## S\n\nA.", "# G\n\n## S\n\nB."], ["# G\n\n## S\n\nA.", "B."]),
        ("duplicate_headings", ["# G\n\n## S\n\nA.", "# G\n\n## T\n\nB."], ["# G\n\n## S\n\nA.", "## T\n\nB."]),
        ("headings", ["# T\n\n## A", "# B\n\n## C", "#### D"], ["# T\n\n## A", "## B\n\n### C", "## D"]),
        ("headings", ["## A", "B\n=\n\nC\n---", "###### D"], ["# A", "B\n=\n\nC\n---", "# D"]),
        ("headings", ["# T", "A\n===\n\nB\n---"], ["# T", "A\n---\n\n### B"]),
        ("headings", ["# T", "# A\n\n###### B"], ["# T", "## A\n\n###### B"]),
        ("numbering", ["## 1. A\n\n## 2. B", "## 1. C\n\n### 1.1 D"], ["## 1. A\n\n## 2. B", "## 3. C\n\n### 3.1 D"]),
        ("numbering", ["1. a\n2. b", "1. c\n1. d", "1. e"], ["1. a\n2. b", "3. c\n4. d", "5. e"]),
        ("numbering", ["9. a", "1. b\n   - c\n\n   d"], ["9. a", "10. b\n    - c\n\n    d"]),
        ("lists", ["- a", "- b"], ["- a\n\n<!-- -->", "- b"]),
        ("closing", ["```\r\na", "b"], ["```\r\na\r\n```", "b"]),
        ("closing", ["~~~~ x\n~~~\n", None], ["~~~~ x\n~~~\n~~~~", "[missing: c2, refusal]"]),
        ("closing", ["<!-- a", "", "b"], ["<!-- a\n-->", "", "b"]),
        ("closing", ["<PRE>\n\na\n", "b"], ["<PRE>\n\na\n</pre>", "b"]),
        ("closing", ["- a\n", "  - b"], ["- a\n\n<!-- -->", "  - b"]),
        ("closing", ["[^1]: Note.", "    code"], ["[^1]: Note.\n\n<!-- -->", "    code"]),
        ("labels", ["[^a]\n\n[^a]: x", "[^A]\n\n[^A]: y\n"], ["[^a]\n\n[^a]: x", "[^a-2]\n\n[^a-2]: y\n"]),
        (
            "labels",
            ["[b]\n\n[b]: /x", "[b], [b][], [t][b] ![b]\n\n> [b]: /y"],
            ["[b]\n\n[b]: /x", "[b][b-2], [b][b-2], [t][b-2] ![b][b-2]\n\n> [b-2]: /y"],
        ),
        ("labels", ["[^1]: x", "[^1]: y", "[^1]: y", "[^1-2]"], ["[^1]: x", "[^1-3]: y", "[^1-3]: y", "[^1-2]"]),
    ],
)
def test_rule_does(rule: str, answers: list[str | None], expected: list[str]) -> None:
    """What stands in the description of the rule."""
    assert text(answers, rule) == "\n\n".join(expected)


@pytest.mark.parametrize(
    ("rule", "answers"),
    [
        ("newlines", ["a\nb"]),
        ("unicode", ["é", "<div e\u0301>\n", "    e\u0301"]),
        ("chatter", ["Here are the rules:\n\n- a", "Sure, this works.\n\nB.", "Sure, here is it:"]),
        ("chatter", ["Dear Ann,\n\nLet me know if Tuesday suits you.", "```python\nx\n```", "```md\nx\n```\n\nMore."]),
        ("overlap", ["One.\n\nShort.", "Short.\n\nTwo.", f"X\n\n{LONG}", LONG]),
        ("overlap", [f"{LONG}\n\n```\nx", f"{LONG} More.\n\nTwo.", f"```\n{LONG}\n\nTwo.\n```"]),
        ("repeated_heading", ["A.\n\n## S\n\nB.", "## S\n\nC.", "## T", "## T\n\nD.", "X\n\n## U", "### U"]),
        ("repeated_heading", ["A.\n\n## S", None, "## S\n\nB."]),
        ("duplicate_headings", ["# G\n\n## S\n\n### T\n\nA.", "## S\n\nB.", "## S"]),
        ("duplicate_headings", ["# G\n\nA.", "[a]: b\n\n# G\n\nB.", "# G\n\n[a]: b\n\nC."]),
        ("headings", ["# A", "## B\n\n### C", "No heading", "```\n# code\n```"]),
        ("numbering", ["## 1. A", "## 2. B", "## 2024 in review", "## 1. C\n\n## 3. D"]),
        ("numbering", ["1. a\n\nText", "1. b", "- c", "1) d"]),
        ("tables", ["| a |\n|---|\n| 1 |", "[x]: /y\n\n| 2 |"]),
        ("chatter", ["```md\nx\n```\n[a]: b"]),
        ("tables", ["| a |\n|---|\n| 1 |", "| b |\n|---|\n| 2 |", "| 3 | 4 |", "Text"]),
        ("lists", ["- a", "* b", "1. c", "1) d", "Text"]),
        (
            "closing",
            ["```\na\n```", "<div>\n\nb", "> ```\n> c", "- ```\n  d", "| a |\n|---|", "- e", "- f", "```\nlast"],
        ),
        (
            "labels",
            ["[^1] [a]\n\n[^1]: x\n\n[a]: /x", "[^1] [a] [^1-2]", "`[^1]`", "[^1]: x\n\n[a]: /x", "```\n[^1]: y\n```"],
        ),
        ("labels", ["[a]\n\n[a]: /x", "[x [a] y][a]\n\n[a]: /y"]),
        ("toc", ["No heading", None]),
    ],
)
def test_rule_leaves_alone(rule: str, answers: list[str | None]) -> None:
    """What is not certain, not of its kind, or in order already stays byte for byte."""
    done = joined(answers, rule)
    assert done.text == done.plain


def test_tables_become_one() -> None:
    """Under the same head, or rows that go on; the blank line between them goes."""
    head = "| a | b |\n|---|:-:|\n"
    answers = [f"{head}| 1 | 2 |\n\n", "|a|b|\n|---|:-:|\n| 3 | 4 |", "| 5 | 6 |\n\nText."]
    assert text(answers, "tables") == f"{head}| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n\nText."


def test_contents_stand_below_the_title() -> None:
    """Three levels, equal titles told apart as GitHub does, marks of Markdown kept from meaning anything."""
    answers = ["# Guide\nText.", "## Use `it`\n\n### A_b [x](y)\n\n#### Deep", "## Use it"]
    contents = "<!-- toc -->\n\n- [Use it](#use-it)\n  - [A\\_b x](#a_b-x)\n- [Use it](#use-it-1)\n\n<!-- tocstop -->\n"
    assert text(answers, "toc") == "\n\n".join([f"# Guide\n\n{contents}\nText.", *answers[1:]])


def test_contents_stand_behind_front_matter_or_at_the_beginning() -> None:
    """Front matter has to be the first thing of a file."""
    contents = "<!-- toc -->\n\n- [A](#a)\n\n<!-- tocstop -->"
    front = "---\ntitle: x\n---"
    assert text([f"{front}\n\n## A"], "toc") == f"{front}\n\n{contents}\n\n## A"
    assert text(["## A"], "toc") == f"{contents}\n\n## A"


def test_rules_work_together() -> None:
    """Each sees what those before it made: chatter is gone before headings are fitted, numbered and listed."""
    answers = ["# G\n\n## 1. A", "Sure, here is the section:\n\n# 1. B\n\n```\nx"]
    done = joined([*answers, "End."], "chatter", "headings", "numbering", "closing", "toc")
    assert done.text == (
        "# G\n\n<!-- toc -->\n\n- [1. A](#1-a)\n- [2. B](#2-b)\n\n<!-- tocstop -->\n\n"
        "## 1. A\n\n## 2. B\n\n```\nx\n```\n\nEnd."
    )
    rules = [(done.owner(at), edit.rule) for at, edits in enumerate(done.edits) for edit in edits]
    assert rules == [("c1", "toc"), ("c2", "chatter"), ("c2", "headings"), ("c2", "numbering"), ("c2", "closing")]


def test_plain_text_has_no_markdown() -> None:
    """In a text a fence is a line like any other."""
    assert (
        text([f"```\n\n{LONG}", f"{LONG}\n\n```\ne\u0301"], "overlap", "unicode", markdown=False)
        == f"```\n\n{LONG}\n\n```\né"
    )
