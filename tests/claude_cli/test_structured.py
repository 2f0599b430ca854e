"""Answers in the form of a JSON Schema: the real CLI against the stand-in API, and what the CLI is called with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.runners.base import Failure, FailureClass, Reply
from orchestrator.runners.claude_cli.command import (
    MAX_SCHEMA_BYTES,
    Features,
    arguments,
    refused_schema,
    schema_text,
)
from orchestrator.runners.claude_cli.parsing import parse_line
from orchestrator.runners.smallest import smallest_instance
from tests.claude_cli.attempts import attempt, request
from tests.equipment.fixtures import cli_environment
from tests.equipment.standin_api import ApiResponse, StandInApi, answer, structured

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["good", "bad"]},
        "lines": {"type": "array", "items": {"type": "integer", "minimum": 1}},
    },
    "required": ["verdict", "lines"],
    "additionalProperties": False,
}
GOOD = {"verdict": "good", "lines": [3]}


@pytest.fixture
def ask(claude_binary: Path, standin_api: StandInApi, isolated_home: Path) -> Any:
    """One attempt with the schema, answered with these responses in turn."""

    def one(*responses: ApiResponse) -> Reply | Failure:
        standin_api.when("Judge", *responses)
        environment = {**cli_environment(standin_api, isolated_home), "TMPDIR": str(isolated_home.parent)}
        return attempt(claude_binary, environment, prompt="Judge it", timeout_s=60.0, output_schema=SCHEMA)

    return one


def test_the_answer_is_the_object(ask: Any, standin_api: StandInApi) -> None:
    """The schema reaches the model as the one tool there is, and the reply is the object as compact JSON."""
    reply = ask(structured(GOOD))
    assert isinstance(reply, Reply), reply
    assert reply.text == '{"verdict":"good","lines":[3]}'
    assert reply.cost_usd > 0
    (sent,) = standin_api.requests
    assert [(tool["name"], tool["input_schema"]) for tool in sent.tools] == [("StructuredOutput", SCHEMA)]


@pytest.mark.parametrize(
    "first",
    [answer("I would say it is good."), structured({"verdict": "fair"}), structured('{"verdict": "good", "li')],
    ids=["prose", "another form", "truncated"],
)
def test_the_cli_asks_again_by_itself(first: ApiResponse, ask: Any, standin_api: StandInApi) -> None:
    """An answer of the wrong form is asked for again in the same process, and only the right one is handed back."""
    reply = ask(first, structured(GOOD))
    assert isinstance(reply, Reply), reply
    assert json.loads(reply.text) == GOOD
    assert len(standin_api.requests) == 2


@pytest.mark.parametrize(
    ("response", "error_type"),
    [
        (answer("No."), FailureClass.MALFORMED),
        (structured('{"verdict": "good", "li'), FailureClass.MALFORMED),
        (structured({"verdict": "fair"}), FailureClass.MALFORMED),
        (structured('{"verdict": "good", "li', stop_reason="max_tokens"), FailureClass.OUTPUT_CEILING),
    ],
    ids=["prose", "truncated", "another form", "ceiling"],
)
def test_never_the_right_form(response: ApiResponse, error_type: FailureClass, ask: Any) -> None:
    """What never takes the form is a failure of its class, with what it has cost."""
    failure = ask(response)
    assert isinstance(failure, Failure), failure
    assert failure.error_type is error_type
    assert failure.cost_usd > 0


def test_the_schema_is_an_argument() -> None:
    """`--json-schema` is there exactly when a schema was asked for, as JSON text in ASCII."""
    plain = arguments(request(), system_prompt_file=Path("f"), features=Features())
    asked = arguments(request(output_schema={"title": "é"}), system_prompt_file=Path("f"), features=Features())
    assert "--json-schema" not in plain
    assert asked == [*plain, "--json-schema", '{"title":"\\u00e9"}']


def test_a_schema_that_cannot_be_passed() -> None:
    """A schema longer than an argument may be, or a CLI that knows none, is a failure before anything starts."""
    largest = {"title": "x" * (MAX_SCHEMA_BYTES - len('{"title":""}'))}
    assert len(schema_text(largest)) == MAX_SCHEMA_BYTES
    assert refused_schema(None, features=Features()) is None
    assert refused_schema(largest, features=Features()) is None
    too_large = refused_schema({"title": largest["title"] + "x"}, features=Features())
    assert too_large is not None
    assert too_large[0] is FailureClass.INVALID_REQUEST
    unknown = refused_schema({}, features=Features(json_schema=False))
    assert unknown is not None
    assert unknown[0] is FailureClass.ENVIRONMENT


def test_half_a_character_in_an_object() -> None:
    """A lone surrogate stays an escape, so that the answer is text that can be stored."""
    line = parse_line(rb'{"type":"result","subtype":"success","structured_output":{"a":"\ud800"}}')
    assert getattr(line, "structured", None) == '{"a":"\\ud800"}'


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {"type": "array", "items": SCHEMA, "minItems": 2},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"type": ["string", "null"], "minLength": 40},
        {"properties": {"a": {"type": "boolean"}, "b": {"const": 7}}, "required": ["a", "b"]},
        {},
    ],
    ids=str,
)
def test_smallest_instance_fits(schema: dict[str, Any]) -> None:
    """The made-up value fits its schema and is the same each time."""
    value = smallest_instance(schema)
    jsonschema.validate(value, schema)
    assert value == smallest_instance(schema)
