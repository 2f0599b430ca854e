"""What is said of an answer that is not what the plan expects; nothing is said of one that is."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.reviewing.consistency import inconsistencies
from orchestrator.engine.reviewing.coverage import points_of, uncovered
from orchestrator.engine.reviewing.judging import shortfalls
from orchestrator.plan.expecting import ExpectSpec

SOURCE = """# Pumps

Read [the manual](http://pumps.example/manual) and run `open-valve --all` 3 times, at 1,000.5 bar at most.

1. First.
2. Then wait 40 s.

```sh
open-valve  # now
```
"""
TRANSLATED = """# Pumpen

Man lese [das Handbuch](http://pumps.example/manual) und starte 3 Mal `open-valve --all`, bei höchstens 1.000,5 bar.

1. Zuerst.
2. Dann 40 s warten.

```sh
open-valve  # now
```
"""


def expect(**values: Any) -> ExpectSpec:
    return ExpectSpec.model_validate(values)


@pytest.mark.parametrize(
    ("expected", "good", "bad", "said"),
    [
        ({"contains": "Überblick"}, "Der Überblick.", "Ein Uberblick.", "it does not contain 'Überblick'"),
        ({"contains": ["a", "b"]}, "ab", "a", "it does not contain 'b'"),
        ({"matches": r"^\d+ bar$"}, "so:\n40 bar\n", "40 bars", "nothing in it matches"),
        ({"min_words": 3}, "one two three", "one two", "it has 2 words, at least 3 are expected"),
        ({"max_words": 2}, "one two", "one two three", "it has 3 words, at most 2 are expected"),
        ({"min_words": 4}, "水泵手册", "水泵", "it has 2 words"),
        (
            {"headings": ["Intro", "## End"]},
            "# intro\n\n## More\n\n## End\n",
            "# Intro\n",
            "it has no heading '## End'",
        ),
        ({"headings": ["A", "B"]}, "# A\n\n# B\n", "# B\n\n# A\n", "the heading 'B' comes too early"),
        ({"headings": "A"}, "# A\n", "```\n# A\n```\n", "it has no heading 'A'"),
        ({"json_schema": {"type": "array"}}, "```json\n[1]\n```", '{"a": 1}', "it is object, not array"),
        ({"json_schema": {"type": "array"}}, "[]", "a list", "it is no JSON"),
        ({"no_refusal": True}, "The pump can't help being old.", "I'm sorry, but I can't help with that.", "refusal"),
        ({"no_refusal": True}, "I am sorry for the delay. Here it is.", "I cannot assist with this.", "refusal"),
        ({"no_refusal": True}, "The title is: As a Painter.", "As an AI language model I …", "refusal"),
    ],
)
def test_each_check_says_what_is_missing_and_is_silent_otherwise(
    expected: dict[str, Any], good: str, bad: str, said: str
) -> None:
    """A good text has no shortfall; a bad one has exactly one, in words that can be sent back."""
    assert shortfalls(good, expect(**expected)) == ()
    (found,) = shortfalls(bad, expect(**expected))
    assert said in found


def test_a_translation_keeps_what_is_no_language() -> None:
    """Digits in the style of another language, another word order and translated headings are no difference."""
    everything = expect(same_as_source=["headings", "code", "links", "numbers"])
    assert shortfalls(TRANSLATED, everything, source=SOURCE) == ()


@pytest.mark.parametrize(
    ("aspect", "before", "after", "said"),
    [
        ("headings", "# Pumpen", "## Pumpen", "its headings are ##, those of the source #"),
        ("code", "open-valve  # now", "open-valve  # jetzt", "code of the source that it does not have"),
        ("code", "`open-valve --all`", "`öffne-ventil --alle`", "code that the source does not have"),
        ("links", "http://pumps.example/manual", "http://pumps.example/handbuch", "links of the source"),
        ("numbers", "40 s", "45 s", "numbers of the source that it does not have: '40'"),
        ("numbers", "1.000,5", "1.000,6", "'10006'"),
    ],
)
def test_a_translation_that_changed_something_is_told_what(aspect: str, before: str, after: str, said: str) -> None:
    """What is missing and what is new are both named; another aspect is not touched by it."""
    assert before in TRANSLATED
    found = shortfalls(TRANSLATED.replace(before, after), expect(same_as_source=[aspect]), source=SOURCE)
    assert any(said in each for each in found), found


def test_points_without_a_section_are_found() -> None:
    """A point counts as answered by a section that has half of its telling words, whatever their endings."""
    points = points_of("1. Closing the valves\n2. Reading the pressure gauges\n3. Calling the night shift\n")
    parts = {
        "a": "# Valves\n\nThe valve is closed by hand.\n\n# Gauges\n\nThe gauge shows pressure; read it twice.",
        "b": "The shift leader sleeps.",
    }
    assert uncovered(points[:2], parts) == []
    assert uncovered(points, {"a": parts["a"]}) == [("Calling the night shift", "")]
    assert uncovered(points, {"a": parts["a"], "b": "Coffee on shift."}) == [("Calling the night shift", "b")]


def test_names_and_numbers_that_differ_are_found_in_the_part_that_is_alone_with_them() -> None:
    """Plurals, possessives, two values in one part and numbers of other things are no difference."""
    parts = {
        "a": "We met Kowalski at noon. There the pressure limit is 40 bar, and `Kowalsky` is a user name.",
        "b": "Then Kowalski's car came. Here the pressure limit is 40 bar, the water limit is 9 bar.",
        "c": "So said Kowalsky too. Here the pressure limit is 42 bar.",
    }
    assert inconsistencies(parts, aspects=["names", "numbers"]) == [
        ("c", "it says 'Kowalsky', the other parts say 'Kowalski'"),
        ("c", "it says 42 where the other parts say 40 (pressure limit … bar)"),
    ]
    several = {**parts, "a": "The pressure limit is 40 bar, later the pressure limit is 50 bar."}
    assert inconsistencies(several, aspects=["numbers"]) == []
    assert inconsistencies({"a": "See the Widget there.", "b": "See the Widgets there."}, aspects=["names"]) == []
