"""Templates: nothing changes but tags, nothing is reached but our own names, and answers stay data."""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.plan.rendering import MissingValueError
from orchestrator.plan.template import Template, TemplateProblem, compile_template, read_template
from orchestrator.plan.values import MAX_RENDERED_CHARS, Answer, Gap, Items, RenderTooLarge

VALUES = {
    "chunks": {
        "outline": Answer("outline", "One.\nTwo {{ inputs.a }}."),
        "lost": Gap("lost", "refusal"),
        "part[3]": Answer("part[3]", "third"),
    },
    "inputs": {"a": "A", "items": "ITEMS", "keys": "KEYS", "names": Items(("x", "y")), "crlf": "1\r\n2"},
    "request": "R {{ name }}",
    "name": "N",
}


def rendered(source: str) -> str:
    return compile_template(source).render(VALUES)


def marked(chunk_id: str, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f'<answer id="{chunk_id}" sha256="{digest}">\n{text}\n</answer sha256="{digest}">'


RENDERED = {
    "plain {braces} 100% {# no comment #}\n": "plain {braces} 100% {# no comment #}\n",
    "{{ chunks.outline }}\n": marked("outline", "One.\nTwo {{ inputs.a }}.") + "\n",
    "{{ chunks.outline | raw }}": "One.\nTwo {{ inputs.a }}.",
    "{{ chunks.outline.text }}": marked("outline", "One.\nTwo {{ inputs.a }}."),
    '{{ chunks["outline"] | head(1) }}': marked("outline", "One"),
    "{{ chunks.outline | raw | head(1) }}": "One",
    "{{ chunks.outline | tail(1) | raw }}": ".",
    "{{ chunks.part[3] | raw }}{{ chunks['part[3]'] | raw }}": "thirdthird",
    "{{ chunks.part[3] | upper }}": marked("part[3]", "THIRD"),
    "{{ chunks.lost }}": "[missing: lost, refusal]",
    "{{ chunks.lost | raw | head(2) | upper | trim }}": "[missing: lost, refusal]",
    "{{ inputs.items }}{{ inputs.keys }}": "ITEMSKEYS",
    "{{ inputs['a'] }}{{ request }}{{ name }}": "AR {{ name }}N",
    "{{ inputs.names }}": "x\ny",
    "{{ inputs.names | join(', ') }}{{ inputs.names | join }}": "x, yxy",
    "{{ inputs.names | length }}{{ inputs.a | length }}{{ chunks.lost | length }}": "210",
    "{% for n in inputs.names %}{{ loop.index }}{{ n | upper }}{% if not loop.last %}, {% endif %}{% endfor %}": (
        "1X, 2Y"
    ),
    "{% for item in inputs.names %}{{ item }};{% endfor %}": "x;y;",
    "{% for a in inputs.names %}{% for b in inputs.names %}{{ a }}{{ b }}{{ loop.index }} {% endfor %}{% endfor %}": (
        "xx1 xy2 yx1 yy2 "
    ),
    "{% if chunks.lost %}is{% elif chunks.outline %}other{% else %}none{% endif %}": "other",
    "{{ 'y' if inputs.a == 'A' and 'Two' in chunks.outline and 'x' in inputs.names else 'n' }}": "y",
    "{{ 'y' if inputs.names | length > 1 else 'n' }}": "y",
    "{{ inputs.a | replace('A', 'B') | lower }}": "b",
    "{{ '{{' }} {% raw %}{{ x }}{% endraw %}": "{{ {{ x }}",
    "a  {{- inputs.a -}}  b": "aAb",
    "\r\n{{ inputs.crlf }}\r{{\r\n inputs.a }}\n\r": "\r\n1\r\n2\rA\n\r",
    "{{ 'a\rb' }}\r": "a\rb\r",
}


@pytest.mark.parametrize("source", RENDERED)
def test_renders(source: str) -> None:
    """Each form of the language gives what the description of the format says."""
    assert rendered(source) == RENDERED[source]


def test_references_in_order_with_lines() -> None:
    """All that a template refers to is known without rendering, branches that are not taken included."""
    template = compile_template(
        "{{ inputs.a }}\n{% if request %}{{ chunks['b'] }}{% endif %}\n{{ chunks.part[3] | head(5) }}"
    )
    found = [(each.shown, each.line, each.max_tokens) for each in template.references]
    assert found == [("inputs.a", 1, None), ("request", 2, None), ("chunks.b", 2, None), ("chunks.part[3]", 3, 5)]
    lists = compile_template("{% for n in inputs.a %}{{ n }}{% endfor %}{{ inputs.b | join }}{{ inputs.c }}").references
    assert [(each.name, each.as_list) for each in lists] == [("a", True), ("b", True), ("c", False)]


REFUSED = {
    "{{ chunks }}": (1, 4, "`chunks` alone cannot be used"),
    "{% for c in chunks %}{% endfor %}": (1, 13, "`chunks` alone cannot be used"),
    "{% for i in inputs %}{% endfor %}": (1, 13, "`inputs` alone cannot be used"),
    "{% for c in range(9) %}{% endfor %}": (1, 1, "a loop goes over an input that is a list"),
    "{% for a, b in inputs.names %}{% endfor %}": (1, 1, "a loop has one variable"),
    "{% for loop in inputs.names %}{% endfor %}": (1, 8, "`loop` cannot be the variable of a loop"),
    "{{ chunks[inputs.a] }}": (1, 4, "`chunks[…]` needs a constant name"),
    "{{ chunks.part[inputs.a] }}": (1, 4, "`chunks.part[…]` needs a constant subscript"),
    "{{ chunks.outline[:9] }}": (1, 4, "`chunks.outline[…]` needs a constant subscript"),
    "{% set c = chunks %}": (1, 4, "`{% set %}` is not available"),
    "a\n{% include 'x' %}": (2, 4, "`{% include %}` is not available"),
    "{% import 'x' as y %}": (1, 4, "`{% import %}` is not available"),
    "{% from 'x' import y %}": (1, 4, "`{% from %}` is not available"),
    "{% extends 'x' %}": (1, 4, "`{% extends %}` is not available"),
    "{% macro m() %}{% endmacro %}": (1, 4, "`{% macro %}` is not available"),
    "{% call m() %}{% endcall %}": (1, 4, "`{% call %}` is not available"),
    "{% block b %}{% endblock %}": (1, 4, "`{% block %}` is not available"),
    "{% with a = 1 %}{% endwith %}": (1, 4, "`{% with %}` is not available"),
    "{% filter upper %}{% endfilter %}": (1, 4, "`{% filter %}` is not available"),
    "{% autoescape true %}a{% endautoescape %}": (1, 4, "`{% autoescape %}` is not available"),
    "{{ inputs.a.upper() }}": (1, 4, "a call is not available"),
    "{{ inputs.a.upper }}": (1, 4, "an input has no `upper`"),
    "{{ chunks.outline.__class__ }}": (1, 4, "an answer has no `__class__`"),
    "{{ ''.__class__.__mro__ }}": (1, 1, "this expression is not available"),
    "{{ request.x }}": (1, 4, "`request` is one text"),
    "{{ outline }}": (1, 4, "`outline` is not known here"),
    "{{ self }}": (1, 4, "`self` is not known here"),
    "{{ loop.index }}": (1, 4, "`loop` is not known here"),
    "{% for n in inputs.names %}{{ loop.cycle }}{% endfor %}": (1, 31, "`loop.cycle` is not known"),
    "{% for n in inputs.names %}{{ n.x }}{% endfor %}": (1, 31, "`n` is a text"),
    "{{ 'a' * 1000000000 }}": (1, 1, "this expression is not available"),
    "{{ inputs.a ~ 'x' }}": (1, 1, "`~` is not available"),
    "{{ inputs.a is defined }}": (1, 1, "a test with `is` is not available"),
    "{{ inputs.a > 3 }}": (1, 1, "only numbers are greater or less"),
    "{{ 3 in inputs.a }}": (1, 6, "`in` looks for a text"),
    "{{ inputs.a | trin }}": (1, 15, "there is no filter `trin`"),
    "{{ inputs.a | head }}": (1, 15, "`head` is written as head(tokens): tokens is missing"),
    "{{ inputs.a | head('x') }}": (1, 15, "`head` is written as head(tokens): tokens must be a whole number"),
    "{{ inputs.a | head(-1) }}": (1, 15, "`head` is written as head(tokens): tokens must be 1 or more"),
    "{{ inputs.a | head(inputs.b) }}": (1, 15, "the arguments of a filter must be constants"),
    "a\n b {{ a b }}": (2, 4, "bad template: "),
    "\\frac{{1}{2}}": (1, 6, "bad template: "),
    "{% frobnicate %}": (1, 1, "bad template: Encountered unknown tag 'frobnicate'"),
    "{{ a": (1, 1, "bad template: "),
    "a\0b": (1, 2, "a NUL character"),
    "{{ 1" + "0" * 10_000 + " }}": (1, 1, "a number with too many digits"),
    "{{ inputs.a" + " | trim" * 3_000 + " }}": (1, 1, "the template is nested too deeply"),
    "{% if name %}" * 3_000: (1, 1, "the template is nested too deeply"),
    "{{ (" + "(" * 20_000: (1, 1, "the template is nested too deeply"),
    "{{ name }}" * 60_000: (1, 1, "more than 50,000 tags"),
}


@pytest.mark.parametrize("source", REFUSED, ids=lambda source: source[:40])
def test_refused_at_its_place(source: str) -> None:
    """Whatever the language does not hold is refused by name, at its line and column."""
    with pytest.raises(TemplateProblem) as caught:
        compile_template(source)
    line, column, message = REFUSED[source]
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.message.startswith(message)


def test_all_problems_of_a_template_are_found() -> None:
    """One mistake does not hide the next, nor the references around it."""
    template, problems = read_template("{{ inputs.a | hed(3) }}\n{{ chunks.x }}{{ foo }}\n{% set a = 1 %}")
    assert [(each.line, each.message.split()[-1]) for each in problems] == [(1, "`hed`"), (2, "here"), (3, "template")]
    assert [each.shown for each in template.references] == ["inputs.a", "chunks.x"]


def test_the_way_out_for_braces_is_named() -> None:
    """A prompt about code with braces is met with the two ways to write it."""
    with pytest.raises(TemplateProblem) as caught:
        compile_template("Explain {{ a b }}")
    assert "`template: false`" in caught.value.hint
    assert compile_template("Explain {{ a b }}", literal=True).render({}) == "Explain {{ a b }}"


TEXT = st.text(st.sampled_from("\r\n\t {}#%-ab'\x0b\x0c\x1c\x1d\x85\u2028é") | st.characters(exclude_characters="\0"))


@given(st.lists(TEXT.filter(lambda text: "{{" not in text and "{%" not in text), min_size=1, max_size=5))
@example(["\r\n", "\r", "\n\r\n"])
@example(["{# a #}\n", "{#", "#}"])
@example(["\x1c\x1d\r", "\x1d\r\n"])
def test_all_outside_of_tags_is_exact(texts: list[str]) -> None:
    """Every character beside a tag comes out as it went in: CR, CRLF, final newlines, comment marks and all."""
    # A brace before a tag would change where the tag begins.
    texts = [f"{text} " if text.endswith("{") else text for text in texts]
    assert rendered("{{ inputs.a }}".join(texts)) == "A".join(texts)


@given(st.text(), st.text())
def test_answers_and_inputs_are_data(answer: str, given_text: str) -> None:
    """What is put in comes out as it is, once, whatever it looks like."""
    template = compile_template("[{{ chunks.a | raw }}|{{ inputs.b }}]")
    values = {"chunks": {"a": Answer("a", answer)}, "inputs": {"b": given_text}}
    assert template.render(values) == f"[{answer}|{given_text}]"


@given(st.text(), st.text())
def test_marks_cannot_be_forged(first: str, second: str) -> None:
    """The end mark of an answer stands in it nowhere, not even when it quotes another answer with its marks."""
    quoting = f"{first}{Answer('x', second)}{first}"
    shown = str(Answer("y", quoting))
    end = shown.rpartition("\n")[2]
    assert shown.count(end) == 1
    assert end not in quoting


def test_equal_answers_make_equal_prompts() -> None:
    """Marks depend on nothing but id and text, so that fingerprints are stable."""
    assert str(Answer("a", "text")) == str(Answer("a", "text"))
    assert str(Answer("a", "text")) != str(Answer("a", "text "))


def test_a_value_that_is_missing_is_an_error() -> None:
    """Rendering without a value that is referred to never yields an empty place."""
    with pytest.raises(MissingValueError, match=r"chunks\.x"):
        compile_template("{{ chunks.x }}").render({"chunks": {}})


BOMBS = {
    "one input, often": "{{ inputs.big }}" * 10,
    "a loop in a loop": "{% for a in inputs.many %}{% for b in inputs.many %}{% endfor %}{% endfor %}",
    "replace": "{{ inputs.big | replace('a', 'aaaaaaaaaaaaaaaaaaaa') }}",
    "join": "{{ inputs.many | join('" + "x" * 10_000 + "') }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_early(name: str) -> None:
    """Neither size nor steps grow without bound: the rendering stops at its limit, within seconds."""
    values = {"inputs": {"big": "a" * (MAX_RENDERED_CHARS // 8), "many": Items(("a",) * 10_000)}}
    template = compile_template(BOMBS[name])
    start = time.perf_counter()
    with pytest.raises(RenderTooLarge):
        template.render(values)
    assert time.perf_counter() - start < 10


@pytest.mark.alone
def test_reading_and_rendering_are_cheap() -> None:
    """2,000 small prompts are read in seconds (0.3 s on a quiet machine), and rendered in under 0.3 ms each."""
    source = "Write about {{ inputs.a }} and {{ chunks.outline | raw }} in one page.\n"
    start = time.perf_counter()
    templates: list[Template] = [compile_template(f"{n} {source}") for n in range(2_000)]
    assert time.perf_counter() - start < 10
    start = time.perf_counter()
    for template in templates:
        template.render(VALUES)
    assert (time.perf_counter() - start) / len(templates) < 0.0003
