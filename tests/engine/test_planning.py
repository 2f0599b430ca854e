"""Requests that the model plans: the planner's runs, what follows from them, and what is never paid twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator import (
    Event,
    Failure,
    FailureClass,
    PlanChangedError,
    PlanningFailedError,
    Request,
    RunControl,
    SimulatedRunner,
    UsageError,
    aplan_request,
    aresume_run,
    arun_plan,
    build_graph,
    plan_request,
    run_plan,
)
from orchestrator.events import RunEstimated, RunStarted
from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import Texts
from orchestrator.store import StoredTexts
from tests.engine.test_planner import GOOD, GROUPED

TWO = {
    "strategy": "parallel",
    "reason": "They do not need each other.",
    "chunks": [
        {"id": "rights", "title": "Rights", "prompt": "Rights in {{ inputs.lease }} {{ not this }}"},
        {"id": "duties", "title": "Duties", "prompt": "Duties.", "inputs": ["lease"]},
    ],
    "stitch": ["rights", "duties"],
}
CYCLE = {
    **TWO,
    "chunks": [{**TWO["chunks"][0], "depends_on": ["duties"]}, {**TWO["chunks"][1], "depends_on": ["rights"]}],
}
REQUEST: dict[str, Any] = {"name": "lease", "request": "Explain the lease.", "inputs": {"lease": {"text": "Pay rent."}}}


def planner(*answers: Any, **settings: Any) -> SimulatedRunner:
    """A runner whose planner gives these answers, the last one for ever; all other chunks answer their own id."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in answers]
    given = {name: texts[min(at, len(texts) - 1)] for at, name in enumerate(("plan", "plan_mended_1", "plan_mended_2"))}
    own = {name: name.upper() for name in ("rights", "duties", "verdict", "answer")}
    return SimulatedRunner(latency_s=0, answers={**own, **given, **settings})


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Run a plan with everything in the test's folder; the events go to `events`."""

    def one(plan: Any, runner: SimulatedRunner, **options: Any) -> Any:
        return run_plan(plan, runner=runner, **{"store": tmp_path / "s.db", "base_dir": tmp_path} | options)

    return one


def asked(runner: SimulatedRunner) -> list[str]:
    return [request.chunk_id for request in runner.requests]


def test_a_request_is_planned_and_run(run: Callable[..., Any]) -> None:
    """A request without chunks is planned in a run of its own, then its chunks run to one result."""
    runner, events = planner(TWO), list[Event]()
    result = run(REQUEST, runner, on_event=events.append)
    assert (result.status, result.text) == ("complete", "RIGHTS\n\nDUTIES")
    assert asked(runner) == ["plan", "rights", "duties"]
    begun = [event for event in events if isinstance(event, RunStarted)]
    assert [(event.name, event.chunk_ids) for event in begun] == [
        ("lease (planning)", ("plan",)),
        ("lease", ("rights", "duties")),
    ]
    assert [event.planning for event in events if isinstance(event, RunEstimated)] == [True, False]
    assert runner.requests[1].prompt == "Rights in Pay rent. {{ not this }}"


def test_the_planner_gets_schema_and_role(run: Callable[..., Any]) -> None:
    """The planner's call has the schema and a system prompt of its own; the chunks' calls have neither."""
    runner = planner(TWO)
    run({**REQUEST, "context": "Plain words.", "model": "opus"}, runner)
    first, *others = runner.requests
    assert first.output_schema is not None
    assert first.output_schema["required"] == ["strategy", "reason", "chunks"]
    assert first.context.startswith("You plan how a request is answered")
    assert "Plain words." in first.prompt
    assert first.model == "opus"
    assert [each.output_schema for each in others] == [None, None]
    assert all("Plain words." in each.context for each in others)


def test_a_second_run_asks_nothing(run: Callable[..., Any]) -> None:
    """Planner answers are kept like any other: the same request is planned once. `fresh` plans again."""
    run(REQUEST, planner(TWO))
    again = planner(TWO)
    assert run(REQUEST, again).text == "RIGHTS\n\nDUTIES"
    assert asked(again) == []
    fresh = planner(TWO)
    run(REQUEST, fresh, fresh=True)
    assert asked(fresh) == ["plan", "rights", "duties"]


def test_another_request_is_planned_again(run: Callable[..., Any]) -> None:
    """What the planner sees decides: another request, or another head of an input, is another prompt."""
    run(REQUEST, planner(TWO))
    for changed in ({"request": "Explain it to a tenant."}, {"inputs": {"lease": {"text": "Pay twice."}}}):
        runner = planner(TWO)
        run({**REQUEST, **changed}, runner)
        assert asked(runner)[0] == "plan"


@pytest.mark.parametrize(
    "wrong", [CYCLE, json.dumps(TWO)[:100], "I would split it.", {**TWO, "stitch": ["other"]}], ids=str
)
def test_what_is_wrong_is_mended(wrong: Any, run: Callable[..., Any]) -> None:
    """An answer that cannot be run is sent back with its problems, and the mended plan runs."""
    runner = planner(wrong, TWO)
    assert run(REQUEST, runner).status == "complete"
    assert asked(runner) == ["plan", "plan_mended_1", "rights", "duties"]
    first, mend = runner.requests[:2]
    assert mend.prompt.startswith(first.prompt)
    assert "cannot be run" in mend.prompt
    assert mend.output_schema == first.output_schema


def test_after_two_mends_it_fails(run: Callable[..., Any]) -> None:
    """A plan that is still wrong after two mends is a failed result with the reasons; no chunk was paid."""
    runner = planner(CYCLE)
    result = run(REQUEST, runner)
    assert (result.status, result.exit_code, result.text) == ("failed", 1, "")
    assert "in a circle" in result.reason
    assert asked(runner) == ["plan", "plan_mended_1", "plan_mended_2"]
    assert result.cost_usd > 0


def test_mends_are_not_paid_twice(run: Callable[..., Any]) -> None:
    """Running it again after a failed plan asks nothing, since the same prompts have their answers."""
    run(REQUEST, planner(CYCLE))
    again = planner(CYCLE)
    assert run(REQUEST, again).status == "failed"
    assert asked(again) == []


def test_single_is_honoured(run: Callable[..., Any]) -> None:
    """`single` asks the request as it stands in one call."""
    runner = planner({"strategy": "single", "reason": "It is one question.", "chunks": []})
    heard: list[Any] = []
    assert run(REQUEST, runner, on_planned=heard.append).text == "ANSWER"
    assert [(each.strategy, each.reason) for each in heard] == [("single", "It is one question.")]
    assert runner.requests[-1].prompt == "Explain the lease.\n\nInput lease:\n\nPay rent."


def test_a_failed_planner_is_a_failed_run(run: Callable[..., Any]) -> None:
    """A planner that gives no answer ends the run as any failed chunk does; nothing of the plan is started."""
    refusal = Failure(error_type=FailureClass.REFUSAL, message="no")
    runner = planner(TWO, plan=lambda _: refusal)
    result = run(REQUEST, runner)
    assert (result.status, result.exit_code) == ("failed", 1)
    assert result.chunks["plan"].reason == "no"
    assert asked(runner) == ["plan"]


class PaidRunner(SimulatedRunner):
    """Answers like the simulated runner, as one whose answers cost something."""

    kind = "paid"


def paid(*answers: Any) -> PaidRunner:
    return PaidRunner(latency_s=0, answers=planner(*answers)._answers)


def test_nothing_is_spent_without_a_bound(run: Callable[..., Any]) -> None:
    """Without a limit and without anybody to ask, a paid planner is not started; a limit, or a yes, is enough."""
    runner = paid(TWO)
    with pytest.raises(UsageError, match="--max-cost"):
        run(REQUEST, runner)
    assert runner.requests == []
    for more in ({"max_cost_usd": 1.0}, {"confirm": lambda _: True}):
        assert run(REQUEST, paid(TWO), **more).status == "complete"
    assert run({**REQUEST, "limits": {"max_cost_usd": 2.0}}, paid(TWO)).status == "complete"


def test_no_is_heard_before_planning(run: Callable[..., Any]) -> None:
    """A no to the planner's estimate stops everything: exit 4, nothing asked. It is asked again for the chunks."""
    runner, estimates = paid(TWO), list[RunEstimated]()
    result = run(REQUEST, runner, confirm=lambda estimate: bool(estimates.append(estimate)))
    assert (result.status, result.exit_code) == ("stopped", 4)
    assert [each.planning for each in estimates] == [True]
    assert runner.requests == []
    result = run(REQUEST, runner, confirm=lambda estimate: estimates.append(estimate) or estimate.planning)
    assert [each.planning for each in estimates] == [True, True, False]
    assert asked(runner) == ["plan"]
    assert result.exit_code == 4


def test_one_limit_for_planning_and_running(run: Callable[..., Any]) -> None:
    """What planning has cost is not there for the chunks."""
    runner = paid(TWO)
    result = run(REQUEST, runner, max_cost_usd=0.0001)
    assert (result.status, result.exit_code) == ("stopped", 4)
    assert len(asked(runner)) <= 2


def test_a_planned_run_is_resumed_without_its_planner(tmp_path: Path, run: Callable[..., Any]) -> None:
    """Resuming goes on with the plan as it was made; a request that changed since is told, and names its file."""
    request = tmp_path / "lease.yaml"
    request.write_text(json.dumps(REQUEST))
    no_login = Failure(error_type=FailureClass.AUTH, message="no login")
    first = planner(TWO, duties=lambda _: no_login)
    stopped = run(request, first, max_concurrency=1, base_dir=None)
    assert stopped.exit_code == 3
    assert asked(first) == ["plan", "rights", "duties"]
    later = planner(TWO)
    done = asyncio.run(aresume_run(stopped.run_id, runner=later, store=tmp_path / "s.db"))
    assert (done.status, asked(later)) == ("complete", ["duties"])
    request.write_text(json.dumps({**REQUEST, "request": "Another."}))
    with pytest.raises(PlanChangedError, match=r"lease\.yaml"):
        asyncio.run(aresume_run(stopped.run_id, runner=later, store=tmp_path / "s.db"))


def test_a_stopped_planner_goes_on_to_the_result(tmp_path: Path, run: Callable[..., Any]) -> None:
    """Resuming the planner's own run plans, then runs, with the inputs and the output it was begun with."""
    control = RunControl()
    control.request_stop()
    request = {**REQUEST, "inputs": {"lease": "required"}}
    stopped = run(request, planner(TWO), control=control, inputs={"lease": "Given."}, output=tmp_path / "out.md")
    assert stopped.exit_code == 130
    later = planner(TWO)
    done = asyncio.run(aresume_run(stopped.run_id, runner=later, store=tmp_path / "s.db"))
    assert (done.status, asked(later)) == ("complete", ["plan", "rights", "duties"])
    assert "Given." in later.requests[1].prompt
    assert (tmp_path / "out.md").read_text() == "RIGHTS\n\nDUTIES"


def test_planning_alone(tmp_path: Path) -> None:
    """`plan_request` returns the plan with strategy and reason, runs nothing of it, and what it returns runs."""
    runner = planner(TWO)
    options: dict[str, Any] = {"store": tmp_path / "s.db", "base_dir": tmp_path, "runner": runner}
    result = plan_request("Explain the lease.", inputs={"lease": "Pay rent."}, name="lease", **options)
    assert asked(runner) == ["plan"]
    assert (result.strategy, result.exit_code, result.titles["rights"]) == ("parallel", 0, "Rights")
    assert result.to_yaml().startswith("# Planned as parallel: They do not need each other.\nname: lease\n")
    (tmp_path / "planned.yaml").write_text(result.to_yaml())
    done = run_plan(tmp_path / "planned.yaml", inputs={"lease": "Pay rent."}, **{**options, "base_dir": None})
    assert done.text == "RIGHTS\n\nDUTIES"
    assert asked(runner) == ["plan", "rights", "duties"]


def test_what_chunks_go_over_is_told(tmp_path: Path) -> None:
    """The result of planning names each chunk once, however many pieces it has, what it waits for and goes over."""
    options: dict[str, Any] = {"store": tmp_path / "s.db", "base_dir": tmp_path, "runner": planner(GROUPED)}
    lease = {"text": "# One\n\nPay.\n" * 200}
    inputs = {"lease": lease, "law": {"text": "Rent is due."}, "cities": ["Ulm", "Ems", "Hof"]}
    result = plan_request({"request": "Explain.", "inputs": inputs}, **options)
    assert list(result.needs) == ["clause", "check", "all", "city", "ideas", "idea", "last"]
    assert (result.needs["check"], result.needs["last"]) == (("clause",), ("all", "idea"))
    assert result.pieces == {
        "clause": "2 pieces of lease, at most 500 tokens each",
        "check": "2 answers of clause",
        "all": "merges check, 2,000 tokens at a time",
        "city": "2 batches of 2 items of cities",
        "idea": "pieces of the answer of ideas",
        "last": "merges idea, 16,000 tokens at a time",
    }


def test_several_files_by_name(tmp_path: Path) -> None:
    """A tuple of paths is an input of several files; planning in words declares it so, and the plan runs with it."""
    files = tuple(tmp_path / name for name in ("a.md", "b.md"))
    for file in files:
        file.write_text(f"Text of {file.stem}.")
    answer = {
        "strategy": "parallel",
        "reason": "Each by itself.",
        "chunks": [{"id": "part", "prompt": "Look.", "for_each": {"input": "notes"}}],
    }
    runner = planner(answer)
    options: dict[str, Any] = {"store": tmp_path / "s.db", "base_dir": tmp_path, "runner": runner}
    result = plan_request("Look at these.", inputs={"notes": files}, **options)
    assert run_plan(result.raise_for_failure().plan, inputs={"notes": files}, **options).status == "complete"
    _, *asked_for = [request.prompt for request in runner.requests]
    assert asked_for == ["Look.\n\nOf notes, a.md:\n\nText of a.", "Look.\n\nOf notes, b.md:\n\nText of b."]


def test_a_planned_text_is_not_split_again(tmp_path: Path) -> None:
    """What planning found out about a text is kept when nothing is run: loading the plan finds it."""

    class Watching(StoredTexts):
        kept: ClassVar[list[str]] = []

        def keep(self, values: Mapping[str, str]) -> None:
            self.kept += values

    options: dict[str, Any] = {"store": tmp_path / "s.db", "base_dir": tmp_path, "runner": planner(GROUPED)}
    inputs = {"lease": {"text": "# One\n\nPay.\n" * 200}, "law": {"text": "Rent."}, "cities": ["Ulm", "Ems"]}
    result = plan_request({"request": "Explain.", "inputs": inputs}, **options)
    known = Watching(tmp_path / "s.db")
    assert result.plan is not None
    assert "clause" in load_plan(result.plan, base_dir=tmp_path, texts=Texts(cache=known)).groups
    assert known.kept == []
    load_plan(result.plan, base_dir=tmp_path, texts=Texts(cache=Watching(tmp_path / "other.db")))
    assert known.kept != [], "a store that knows nothing is told"


def test_planning_alone_that_fails(tmp_path: Path) -> None:
    """No plan: the result says why, and raises when it is asked to. Its run cannot be resumed to run anything."""
    options: dict[str, Any] = {"store": tmp_path / "s.db", "base_dir": tmp_path, "runner": planner(CYCLE)}
    result = plan_request(REQUEST, **options)
    assert (result.plan, result.exit_code) == (None, 1)
    assert "in a circle" in result.problems[0]
    with pytest.raises(PlanningFailedError, match="in a circle"):
        result.raise_for_failure()
    with pytest.raises(UsageError, match="nothing else"):
        asyncio.run(aresume_run("last", store=tmp_path / "s.db", runner=planner(TWO)))


def test_what_cannot_be_planned(tmp_path: Path) -> None:
    """A plan that has chunks is not planned; inside an event loop the blocking form names the other."""
    with pytest.raises(UsageError, match="has chunks already"):
        plan_request({"chunks": [{"id": "a", "prompt": "x"}]}, store=tmp_path / "s.db", runner="simulated")

    async def inside() -> None:
        with pytest.raises(UsageError, match="aplan_request"):
            plan_request(REQUEST)

    asyncio.run(inside())


def test_answers_of_a_model_in_an_unknown_form(tmp_path: Path) -> None:
    """The simulated runner's own answer to the schema is a plan: one chunk."""
    result = asyncio.run(
        aplan_request(REQUEST, store=tmp_path / "s.db", base_dir=tmp_path, runner="simulated:latency_s=0")
    )
    assert result.strategy == "single"


def test_the_graph_plans_too(tmp_path: Path) -> None:
    """An embedded graph plans a request before it runs; a failed plan comes out as the error it is."""
    options: dict[str, Any] = {"store": tmp_path / "s.db", "base_dir": tmp_path}
    runner = planner(TWO)
    state = build_graph(REQUEST, runner=runner, **options).invoke({})
    assert state["status"] == "complete"
    assert asked(runner) == ["plan", "rights", "duties"]
    with pytest.raises(PlanningFailedError):
        build_graph(REQUEST, runner=planner(CYCLE), fresh=True, **options).invoke({})


def test_a_plan_of_many_shapes_runs(run: Callable[..., Any]) -> None:
    """Dependencies of the plan hold in the run: what a chunk needs stands in its prompt."""
    seen: list[Request] = []
    answers = {"verdict": lambda request: seen.append(request) or "VERDICT"}
    inputs = {"lease": {"text": "L"}, "law": {"text": "W"}}
    assert run({**REQUEST, "inputs": inputs}, planner(GOOD, **answers)).text == "VERDICT\n\nRIGHTS\n\nDUTIES"
    assert "RIGHTS" in seen[0].prompt
    assert "DUTIES" in seen[0].prompt


def test_two_requests_at_once(tmp_path: Path) -> None:
    """Nothing of one planning is seen by another in the same process."""

    async def both() -> list[str]:
        plans = [{**REQUEST, "name": f"n{at}", "request": f"Explain part {at}."} for at in range(2)]
        runs = [arun_plan(each, runner=planner(TWO), store=tmp_path / "s.db", base_dir=tmp_path) for each in plans]
        return [result.status for result in await asyncio.gather(*runs)]

    assert asyncio.run(both()) == ["complete", "complete"]
