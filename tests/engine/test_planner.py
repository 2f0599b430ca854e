"""Planner answers, good, wrong and random: a plan that loads, or reasons in words, never a traceback."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.planner.fit import check_planned
from orchestrator.engine.planner.form import MAX_CHUNKS, MAX_PROBLEMS, MAX_PROMPT_CHARS, MAX_WORDS, PLACEHOLDER
from orchestrator.engine.planner.material import HEAD_TOKENS
from orchestrator.engine.planner.planner import (
    PlannedWork,
    PlannerTask,
    answer_schema,
    as_template,
    mend_task,
    plan_from_answer,
    planner_task,
)
from orchestrator.plan.inputs import StdinText
from orchestrator.plan.load import load_plan
from orchestrator.plan.template import compile_template
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import InputKind
from orchestrator.plan.yaml_source import plan_to_yaml
from orchestrator.runners.smallest import smallest_instance

BASE: dict[str, Any] = {
    "name": "lease",
    "request": "Explain this {{ contract }}.",
    "inputs": {"lease": {"text": "The tenant pays."}, "law": {"text": "Rent is due."}, "cities": ["Ulm", "Ems", "Hof"]},
    "stitch": {"format": "markdown"},
}
INPUTS: dict[str, InputKind] = {"lease": "text", "law": "text", "cities": "items"}
RANDOM_ANSWERS = 10_000

GOOD: dict[str, Any] = {
    "strategy": "dag",
    "reason": "Two parts and one that compares them.",
    "chunks": [
        {"id": "rights", "title": "Rights", "prompt": "The rights in {{ inputs.lease }}.", "words": 400},
        {"id": "duties", "title": "Duties", "prompt": "The duties.", "inputs": ["lease", "law"]},
        {
            "id": "verdict",
            "title": "Verdict",
            "prompt": "Compare {{ chunks.rights }} with the rest.",
            "depends_on": ["rights", "duties"],
            "complexity": "complex",
        },
    ],
    "stitch": ["verdict", "rights", "duties"],
}

GROUPED: dict[str, Any] = {
    "strategy": "dag",
    "reason": "Clause by clause, city by city.",
    "chunks": [
        {
            "id": "clause",
            "title": "Each clause",
            "prompt": "Explain it. {{ item.text }} {{ parts }}",
            "for_each": {"input": "lease", "split": "markdown", "max_tokens": 500},
            "words": 50,
        },
        {"id": "check", "prompt": "Is {{ chunks.clause }} right?", "for_each": {"chunk": "clause"}, "inputs": ["law"]},
        {"id": "all", "prompt": "One text of {{ chunks.check }}!", "reduce": {"chunk": "check", "max_tokens": 2000}},
        {"id": "city", "prompt": "Rents in", "for_each": {"input": "cities", "batch": 2}},
        {"id": "ideas", "prompt": "Ideas as a list.", "depends_on": ["city"], "complexity": "simple"},
        {"id": "idea", "prompt": "Work it out.", "for_each": {"chunk": "ideas"}},
        {"id": "last", "prompt": "One plan.", "reduce": {"chunk": "idea"}, "depends_on": ["all"]},
    ],
    "stitch": ["all", "last"],
}


def planned(answer: Any) -> PlannedWork | list[str]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return plan_from_answer(text, base=BASE, inputs=INPUTS)


def work(answer: Any) -> PlannedWork:
    found = planned(answer)
    assert isinstance(found, PlannedWork), found
    return found


def problems(answer: Any) -> str:
    found = planned(answer)
    assert isinstance(found, list), found
    return "\n".join(found)


def changed(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def with_chunk(**fields: Any) -> dict[str, Any]:
    return changed(chunks=[{**GOOD["chunks"][0], **fields}, *GOOD["chunks"][1:]])


def test_good_answer_is_a_plan() -> None:
    """What the planner decided is a plan that loads, and what the person's plan says stays."""
    found = work(GOOD)
    assert (found.strategy, found.titles["verdict"]) == ("dag", "Verdict")
    assert found.plan["request"] == BASE["request"]
    assert found.plan["stitch"] == {"format": "markdown", "chunks": ["verdict", "rights", "duties"]}
    workload = load_plan(found.plan)
    assert list(workload.chunks) == ["rights", "duties", "verdict"]
    assert workload.chunks["verdict"].upstream == ("rights", "duties")
    assert workload.chunks["verdict"].complexity == "complex"


def test_what_a_chunk_needs_reaches_its_prompt() -> None:
    """What a chunk depends on and does not name in its prompt stands after it; so do inputs and the word budget."""
    rights, duties, verdict = (chunk["prompt"] for chunk in work(GOOD).plan["chunks"])
    assert rights == "The rights in {{ inputs.lease }}.\n\nWrite about 400 words."
    assert duties.endswith("Input lease:\n\n{{ inputs.lease }}\n\nInput law:\n\n{{ inputs.law }}")
    assert verdict == "Compare {{ chunks.rights }} with the rest.\n\n{{ chunks.duties }}"


def test_single_is_honoured() -> None:
    """`single` is one chunk that asks the request as it stands, with all inputs, whatever else the answer holds."""
    for chunks in ([], GOOD["chunks"], "none", None):
        found = work({"strategy": "single", "reason": "It is short.", "chunks": chunks})
        assert (found.strategy, found.reason) == ("single", "It is short.")
        (chunk,) = load_plan(found.plan).chunks.values()
        text = chunk.template.render({"request": BASE["request"], "inputs": {"lease": "L", "law": "W", "cities": "C"}})
        assert text == f"{BASE['request']}\n\nInput lease:\n\nL\n\nInput law:\n\nW\n\nInput cities:\n\nC"


def test_sequence_is_in_order() -> None:
    """A sequence runs in its order, each chunk after what it needs even if the planner listed it before."""
    chapters = [
        {"id": "end", "prompt": "End.", "depends_on": ["start"]},
        {"id": "start", "prompt": "Start."},
    ]
    found = work({"strategy": "sequence", "reason": "A story.", "chunks": chapters, "stitch": ["start", "end"]})
    assert found.plan["mode"] == "sequence"
    assert load_plan(found.plan).chunks["end"].after == ("start",)


def test_without_a_stitch_order_the_last_chunks_make_the_result() -> None:
    """No `stitch`, or an empty one, takes the chunks that no other needs."""
    for stitch in ([], None):
        assert work(changed(stitch=stitch)).plan["stitch"]["chunks"] == ["verdict"]


def test_ids_are_made_plain() -> None:
    """Ids are normalised, and so is everything that refers to them."""
    answer = changed(
        chunks=[
            {"id": "Part One!", "prompt": "One."},
            {"id": "2nd", "prompt": "After {{ chunks.part-one }}.", "depends_on": "Part One!"},
        ],
        stitch=["Part One!", "2nd"],
    )
    workload = load_plan(work(answer).plan)
    assert list(workload.chunks) == ["part_one", "part_2nd"]
    assert workload.chunks["part_2nd"].upstream == ("part_one",)
    assert workload.stitch_chunks == ("part_one", "part_2nd")


WRONG: list[tuple[Any, str]] = [
    ("I would split this into three parts.", "the answer is prose"),
    (json.dumps(GOOD)[:300], "JSON that breaks off"),
    ("", "prose"),
    ("[" * 100_000, "JSON that breaks off|nested too deeply"),
    ("x" * 1_000_001, "1,000,001 characters"),
    ([GOOD], "one JSON object, not list"),
    (changed(strategy="many"), "`strategy` must be one of single, parallel, sequence, dag, not 'many'"),
    (changed(reason=" "), "`reason` is missing"),
    (changed(chunks=[]), "at least one chunk"),
    (changed(chunks={"a": 1}), "at least one chunk"),
    (changed(chunks=[{"id": f"c{n}", "prompt": "x"} for n in range(MAX_CHUNKS + 1)], stitch=[]), "41 chunks are too"),
    (changed(chunks=["rights"]), "chunk 1 must be an object"),
    (with_chunk(id="///"), "chunk 1 needs an `id`"),
    (with_chunk(id=7), "chunk 1 needs an `id` of small letters, digits and _, not 7"),
    (with_chunk(id="duties"), "the id duties stands for 2 chunks"),
    (with_chunk(prompt=""), "chunk rights needs a `prompt`"),
    (with_chunk(prompt="a\0b"), "NUL character"),
    (with_chunk(prompt="\ud800"), "half a character"),
    (with_chunk(prompt="x" * (MAX_PROMPT_CHARS + 1)), "12,001 characters"),
    (with_chunk(prompt="See {{ chunks.nowhere }}"), "refers to the chunk 'nowhere'"),
    (
        with_chunk(prompt="See {{ inputs.contract }}"),
        "refers to the input 'contract'; the inputs are: lease, law, cities",
    ),
    (with_chunk(depends_on=["verdict"]), "in a circle: (rights → verdict → rights|verdict → rights → verdict)"),
    (with_chunk(prompt="{{ chunks.rights }}"), "chunk rights depends on itself"),
    (with_chunk(depends_on=[3]), "`depends_on` of chunk rights must be a list of names"),
    (with_chunk(complexity="huge"), "`complexity` of chunk rights"),
    (with_chunk(complexity=["simple"]), "`complexity` of chunk rights"),
    (with_chunk(words=-1), "`words` of chunk rights"),
    (with_chunk(words=MAX_WORDS + 1), "split it further"),
    (changed(stitch=["summary"]), "`stitch` names the chunk 'summary'"),
    (changed(stitch=["rights", "duties"]), "the answer of chunk verdict reaches nothing"),
    (with_chunk(for_each="lease"), "`for_each` of chunk rights must be an object such as"),
    (with_chunk(for_each={"split": "text"}), "needs either `input` or `chunk`"),
    (with_chunk(for_each={"input": "lease", "chunk": "duties"}), "needs either `input` or `chunk`"),
    (with_chunk(for_each={"input": "contract"}), "refers to the input 'contract'; the inputs are: lease, law, cities"),
    (with_chunk(for_each={"chunk": "nowhere"}), "refers to the chunk 'nowhere'"),
    (with_chunk(for_each={"chunk": "rights"}), "chunk rights depends on itself"),
    (with_chunk(for_each={"chunk": "verdict"}), "in a circle"),
    (with_chunk(for_each={"input": "lease", "split": "regex"}), "`split` of chunk rights must be one of markdown, "),
    (with_chunk(for_each={"input": "lease", "max_tokens": 20}), "a whole number from 200 to 100,000, not 20"),
    (with_chunk(for_each={"input": "lease", "level": 7}), "`level` of chunk rights"),
    (with_chunk(for_each={"input": "cities", "batch": True}), "`batch` of chunk rights"),
    (with_chunk(reduce={"max_tokens": 4000}), "`reduce` of chunk rights needs the chunk"),
    (with_chunk(reduce={"chunk": "duties"}), "duties has one answer, so there is nothing to put together"),
    (with_chunk(reduce={"chunk": "duties", "max_tokens": 1e9}), "from 1,000 to 100,000"),
    (with_chunk(for_each={"input": "lease"}, reduce={"chunk": "duties"}), "has `for_each` and `reduce`"),
]


@pytest.mark.parametrize(("answer", "complaint"), WRONG)
def test_what_is_wrong_is_said(answer: Any, complaint: str) -> None:
    """Each fault of an answer is told in words that say what to change."""
    assert re.search(complaint, problems(answer)), problems(answer)


def test_all_problems_at_once() -> None:
    """Everything wrong is told in one go, so that one mend can be enough; at most so many."""
    told = problems(changed(reason="", stitch=["x", "y"], chunks=[{"id": "a", "prompt": "", "words": 0}]))
    assert len(told.splitlines()) == 5
    many = [{"id": f"c{n}", "prompt": "", "words": 0, "complexity": "?"} for n in range(MAX_CHUNKS)]
    assert len(problems(changed(chunks=many)).splitlines()) == MAX_PROBLEMS


@given(
    st.lists(
        st.sampled_from(
            ["{", "}", "{{", "}}", "{%", "%}", "{#", "#}", "-", "\n", " ", "raw", "x", "chunks.a", "{{ chunks.a }}",
             "{{ inputs.lease }}", "{{chunks.a|raw}}", "{{ request }}", "'", "\r"]
        ),
        max_size=24,
    ).map("".join)
)  # fmt: skip
def test_planner_text_is_data(text: str) -> None:
    """Whatever braces a planner writes render as they stand, but for its own chunks and the inputs."""
    template = compile_template(as_template(text))
    shown = PLACEHOLDER.sub(lambda found: "A!" if found[1] == "chunks" else "L!", text)
    assert template.render({"chunks": {"a": "A!"}, "inputs": {"lease": "L!"}}) == shown
    assert {each.shown for each in template.references} <= {"chunks.a", "inputs.lease"}
    assert re.sub("A!|L!", "", shown) == PLACEHOLDER.sub("", text)


def mutated(value: Any, chance: random.Random) -> Any:
    """The value with some of its parts replaced by something else, removed, repeated or moved."""
    if chance.random() < 0.04:
        names = ["rights", "clause", "idea", "Rights ", "lease", "cities", "{{ chunks.rights }}", "\x1b[2J", "lines"]
        groups = [each.get(kind) for each in GROUPED["chunks"] for kind in ("for_each", "reduce")]
        other = [None, True, -1, 0, 3.5, 10**30, "", "\0", "\ud800", [], {}, [[]], GOOD, *names, *groups, "x" * 13_000]
        return chance.choice(other)
    if isinstance(value, dict):
        kept = [(key, mutated(each, chance)) for key, each in value.items() if chance.random() > 0.03]
        return dict(kept)
    if isinstance(value, list):
        listed = [mutated(each, chance) for each in value for _ in range(chance.choice((1,) * 20 + (0, 2)))]
        chance.shuffle(listed)
        return listed * (30 if chance.random() < 0.02 else 1)
    return value


def random_answer(chance: random.Random) -> str:
    text = json.dumps(mutated(chance.choice((GOOD, GROUPED)), chance))
    kind = chance.random()
    if kind < 0.1:
        return text[: chance.randrange(len(text))]
    if kind < 0.2:
        place = chance.randrange(len(text))
        return text[:place] + chance.choice('{}[]",:0\\ \0x') + text[place + chance.randrange(3) :]
    return f"Here is the plan:\n{text}" if kind < 0.22 else text


def test_the_accounts_of_a_plan_are_those_that_are_known() -> None:
    """As in a person's plan: an account that nobody configured is a problem, before anything of it is asked."""
    base = BASE | {"account": ["work", "default"]}
    found = plan_from_answer(json.dumps(GOOD), base=base, inputs=INPUTS)
    assert isinstance(found, PlannedWork)
    refused = check_planned(found.plan, strategy=found.strategy, inputs={}, accounts={"wrok"})
    assert isinstance(refused, list)
    assert refused[0].startswith("account[0]: there is no account `work`; did you mean wrok?")
    assert not isinstance(check_planned(found.plan, strategy=found.strategy, inputs={}, accounts={"work"}), list)


def test_random_answers_never_break_it() -> None:
    """10,000 malformed answers: each is a plan that loads and can be written down, or is refused with reasons."""
    chance = random.Random(20_260_101)
    refused = accepted = grouped = 0
    for _ in range(RANDOM_ANSWERS):
        found = planned(random_answer(chance))
        checked = found if isinstance(found, list) else check_planned(found.plan, strategy=found.strategy, inputs={})
        if isinstance(checked, list):
            assert checked
            assert all(problem.strip() and problem.isprintable() and len(problem) < 400 for problem in checked)
            refused += 1
        else:
            assert isinstance(found, PlannedWork)
            assert len(checked.plan.chunks) <= MAX_CHUNKS
            assert plan_to_yaml(found.plan, comment=found.reason)
            accepted += 1
            grouped += bool(checked.groups)
    assert refused > RANDOM_ANSWERS / 2
    assert accepted > RANDOM_ANSWERS / 100
    assert grouped > RANDOM_ANSWERS / 200


def test_the_schema_takes_what_the_reader_takes() -> None:
    """The schema that the model is given accepts a good answer; its smallest instance is a `single` plan."""
    schema = answer_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(GOOD, schema)
    jsonschema.validate(GROUPED, schema)
    assert work(smallest_instance(schema)).strategy == "single"


def test_the_planner_sees_heads_alone(tmp_path: Path) -> None:
    """Of a large input the prompt holds name, size and a short head; a small one stands there whole."""
    book = "".join(f"Sentence {number} of a long book.\n" for number in range(5_000))
    plan = {"request": "Summarise.", "context": "Plain words.", "inputs": {"book": "required", "note": "required"}}
    given = {"book": StdinText(book), "note": "One line."}
    workload = load_plan(plan, inputs=given, base_dir=tmp_path, request_alone=True)
    prompt = planner_task(workload).prompt
    assert f'<input name="book" kind="text" tokens="{count_tokens(book)}"' in prompt
    assert "Sentence 0 of a long book." in prompt
    assert "Sentence 100 " not in prompt
    assert "One line." in prompt
    assert "Plain words." in prompt
    assert count_tokens(prompt) < 2_000 + HEAD_TOKENS


def test_a_mend_shows_answer_and_problems() -> None:
    """The planner gets its task again, what it answered, and all that is wrong with it."""
    task = PlannerTask(prompt="The task.", schema=answer_schema())
    prompt = mend_task(task, answer="{broken", problems=["no reason", "a circle"]).prompt
    assert prompt.startswith("The task.\n")
    assert "{broken" in prompt
    assert "- no reason\n- a circle\n" in prompt


def test_a_request_alone_is_a_plan_only_where_asked_for(tmp_path: Path) -> None:
    """`request_alone` takes a plan without chunks and marks it; what else is wrong with it is still told."""
    plan = tmp_path / "p.yaml"
    plan.write_text("request: Write a book.\nstitch: {format: text}\n")
    assert load_plan(plan, request_alone=True).to_be_planned
    assert load_plan(plan, request_alone=True).name == "p"
    plan.write_text("request: Write.\nchunks: [{id: a, prompt: x}]\n")
    assert not load_plan(plan, request_alone=True).to_be_planned
