"""Nasty answers: what the result is to a reader of Markdown is what the answers are, one after the other."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.engine.stitching.seams.edits import apply
from orchestrator.engine.stitching.seams.work import RULES
from tests.engine.seams.joining import SAFE, joined, shape, text, with_lists_joined

NASTY = {
    "prose": "One *word*.  \nAnother  ",
    "open fence": "Text\n```python\nprint('[^1]')",
    "open fence, end of line": "```\n# no heading\n\n",
    "long fence": "````md\n```py\nx\n```\n# still code",
    "tildes": "~~~ `x`\n```\ncode\n",
    "closed": "```\nx\n```\n\n~~~\ny\n~~~",
    "fence in a list": "- a\n  ```\n  code",
    "fence in a list, then one": "1. a\n   ~~~\n   x\n\n```\ny",
    "fence in a quote": "> ```\n> code",
    "fence in a fence in a list": "- ````\n  ```\n  x\n  ```\n",
    "not a fence": "``` `x` ```\n\n    ```\n",
    "fence in a block of HTML": "<div>\n```\n</div>",
    "comment": "<!-- to do\n\n# later",
    "script": "<script>\nlet a = 1\n\nlet b",
    "instruction": "<?php\n\necho 1",
    "character data": "<![CDATA[\n\nx",
    "declaration": "<!DOCTYPE\n\nx",
    "details": "<details>\n<summary>More</summary>\n\n- a\n\n</details>",
    "bullets": "- a\n- b\n\n  more",
    "other bullets": "* a",
    "numbers": "1. a\n2. b",
    "numbers again": "1. c\n\n   ```\n   d",
    "indented text": "  Text after spaces",
    "indented bullets": "   - x\n   - y",
    "indented code": "    code\n\n    more",
    "tabbed code": "\tcode",
    "table": "| a | b |\n|---|---|\n| 1 | 2 |",
    "rest of a table": "| 3 | 4 |\n| 5 | 6 |\n",
    "head of a table": "a | b\n--|--",
    "front matter": "---\ntitle: x\n---\n\nText",
    "underline": "===\n\nText\n---",
    "heading": "## Setup\n\nText",
    "only a heading": "Text\n\n## Setup\n\n",
    "quote": "> a\n> b",
    "links": "[a][1], [1] and [1][], not `[1]`\n\n[1]: /one",
    "other links": "[a][1], [1] and [1][]: ![i][1] \\[1]\n\n[1]: /two 'T'\n",
    "title cut": "[x]: /x 'a\n\nb'",
    "right to left": "\u202bשלום\u202c عليكم\n\n- مرحبا",
    "CRLF": "a\r\n\r\n```\r\nb\r\n",
    "lone CR": "a\r\r```\rb",
    "spaces": "  \n\t\n",
    "nothing": "",
    "NUL and more": "a\x00b\x0c\u2028c\ud800",
}


@pytest.mark.parametrize("first", NASTY)
def test_two_nasty_answers_stay_two(first: str) -> None:
    """The blocks of the result are those of the answers put together; lists that meet are one, as Markdown has it."""
    for second in NASTY.values():
        answers = [NASTY[first], second]
        apart = shape(answers[0]) + shape(answers[1])
        assert with_lists_joined(shape(text(answers, "labels", "closing"))) == with_lists_joined(apart), answers
        assert shape(text(answers, "labels", "closing", "lists")) == apart, answers


@pytest.mark.alone
def test_a_thousand_nasty_answers() -> None:
    """All of them one after the other, in linear time."""
    names = itertools.islice(itertools.cycle(name for name in NASTY if "links" not in name), 1000)
    answers = [NASTY[name] for name in names]
    begun = time.thread_time()
    result = text(answers, *SAFE, "lists")
    assert time.thread_time() - begun < 5
    headings = [each for each in answers if each == NASTY["only a heading"]]
    assert headings
    assert shape(result) == [block for answer in answers for block in shape(answer)]


@pytest.mark.alone
def test_four_megabytes_take_seconds() -> None:
    """A thousand ordinary answers of 4 kB each with every rule; a gap is in the way of none."""
    prose = "A paragraph as they are, with `code` and a [link](/x), of a length as is usual.\n" * 9
    ordinary = f"## Part\n\nText[^1].\n\n{prose}\n```sh\nx\n```\n\n| a |\n|---|\n| 1 |\n\n- one\n\n[^1]: Note.\n" * 5
    answers: list[str | None] = [ordinary.replace("Note", f"Note {at}") for at in range(1000)]
    answers[500] = None
    begun = time.thread_time()
    done = joined(answers, *RULES)
    assert time.thread_time() - begun < 20
    assert "[missing: c501, refusal]" in done.text
    begun = time.thread_time()
    assert joined([ordinary] * 1000).text == "\n\n".join([ordinary] * 1000)
    assert time.thread_time() - begun < 1


LINES = st.sampled_from(
    sorted(
        {line for answer in NASTY.values() for line in answer.split("\n")}
        | {"```", "````", "~~~", "  ```", "> ```", "- ```", "  - x", "    - y", "", "text", "-->", "1) x", "[^1]: n"}
    )
)
ENDS = st.sampled_from(["\n", "\n", "\n\n", "\r\n"])


def answers_of(lines: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Up to four answers made of these lines."""
    return st.lists(st.builds(str.join, ENDS, st.lists(lines, max_size=7)), max_size=4)


ANSWERS = answers_of(LINES)


@given(answers_of(LINES.filter(lambda line: "]:" not in line)))
@example(["- a", "", "    b"])
@example(["1. ~~~\n\n\n2. x", "   y"])
def test_any_lines_stay_what_they_are(answers: list[str]) -> None:
    """Fences, lists, tables and HTML in any mixture: no answer reaches into the next one."""
    done = text(answers, "closing", "lists")
    assert shape(done) == [block for answer in answers for block in shape(answer)]


LINKS = st.sampled_from(
    [
        "[a]",
        "[A]",
        "[x][a]",
        "[a][]",
        "![a]",
        "`[a]`",
        "\\[a]",
        "*[a]*",
        "[y](/y)",
        " ",
        "word",
        "\n> ",
        "\n\n",
        "\n- ",
    ]
)


@given(st.lists(st.lists(LINKS, max_size=8), min_size=2, max_size=3))
def test_links_lead_where_their_answer_says(lists: list[list[str]]) -> None:
    """Whatever stands around them: each answer's links go to its own target, and the words that are seen stay."""
    texts = ["".join(links) for links in lists]
    answers = [f"{text}\n\n\n<!-- -->\n\n[a]: /{at}\n" for at, text in enumerate(texts)]
    done = text(answers, "labels")
    assert shape(done) == [block for answer in answers for block in shape(answer)]


@given(ANSWERS, st.sets(st.sampled_from(sorted(RULES))))
def test_everything_can_be_undone(answers: list[str], rules: set[str]) -> None:
    """Whatever the rules, the map has every character of every answer (`joined` rebuilds them)."""
    done = joined(answers, *rules)
    spans = list(done.spans())
    assert [span.out_start for span in spans[1:]] == [span.out_end for span in spans[:-1]]
    assert sum(span.out_end - span.out_start for span in spans) == len(done.text)
    assert all(span.rule for span in spans if span.removed)


@given(st.lists(st.text(), max_size=5))
def test_without_rules_the_answers_stand_as_they_came(answers: list[str]) -> None:
    """Not one byte is another."""
    assert text(answers) == "\n\n".join(answers)


@given(ANSWERS)
def test_safe_rules_alter_no_word(answers: list[str]) -> None:
    """By default marks and labels are added, and nothing goes but a label, or a heading that stands there again."""
    done = joined(answers, *SAFE)
    for at, (edits, part) in enumerate(zip(done.edits, done.parts, strict=True)):
        for edit in edits:
            removed = part.text[edit.start : edit.end]
            if edit.rule == "repeated_heading":
                following = done.parts[at + 2].text.lstrip()
                assert following.split()[: len(removed.split())] == removed.split()
            elif edit.rule == "labels":
                assert not removed or f"[{removed}]" in part.text
            else:
                assert (edit.rule, removed) == ("closing", "")
                assert edit.text.strip("\r\n`~") in ("", "<!-- -->", "-->", "?>", "]]>", ">", "</script>")


@given(ANSWERS)
def test_once_is_enough(answers: list[str]) -> None:
    """What has been closed and told apart is not touched again."""
    done = joined(answers, "labels", "closing", "lists")
    again = [apply(edits, part.text) for edits, part in zip(done.edits, done.parts, strict=True)][::2]
    assert text(again, "labels", "closing", "lists") == done.text
