"""Whether what a plan expects can be met at all, and names what is there. Pure: it looks at drafts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.plan.draft import ChunkDraft, ChunkKind, ReviewDraft
from orchestrator.plan.expecting import ExpectSpec, ReviewSpec
from orchestrator.plan.grouping import GroupFacts, Problem
from orchestrator.plan.naming import did_you_mean
from orchestrator.plan.report import Report
from orchestrator.plan.schema_check import schema_problems
from orchestrator.plan.yaml_source import YamlPath


def check_expectations(
    chunks: Sequence[ChunkDraft], groups: Mapping[str, GroupFacts], review: ReviewDraft, report: Report
) -> None:
    """Report every `expect` and `review` that makes no sense."""
    for chunk in chunks:
        if chunk.expect is not None:
            facts = groups.get(chunk.id or "")
            over_texts = facts is not None and not facts.dynamic
            _report_expect(chunk.expect, (*chunk.path, "expect"), report, over_texts=over_texts)
    if review.expect is not None:
        _report_expect(review.expect, ("stitch", "expect"), report, over_texts=False)
    if review.review is not None:
        kinds: dict[str, ChunkKind] = {chunk.id: chunk.kind for chunk in chunks if chunk.id is not None}
        _report_all(_review_problems(review.review, kinds, whole=review.expects), ("review",), report)


def _report_expect(expect: ExpectSpec, path: YamlPath, report: Report, *, over_texts: bool) -> None:
    _report_all(_expect_problems(expect, over_texts=over_texts), path, report)
    for each in schema_problems(expect.json_schema) if expect.json_schema is not None else ():
        report.at((*path, "json_schema", *each.path), each.message, each.hint, key=each.key)


def _report_all(problems: Iterator[Problem], path: YamlPath, report: Report) -> None:
    for key, message, hint in problems:
        report.at((*path, key) if key else path, message, hint, key=bool(key))


def _expect_problems(expect: ExpectSpec, *, over_texts: bool) -> Iterator[Problem]:
    from orchestrator.plan.split import SplitError
    from orchestrator.plan.split.patterns import matches

    if not any(value for _, value in expect):
        yield "", "`expect` says nothing", f"there are {', '.join(type(expect).model_fields)}"
    if expect.min_words is not None and expect.max_words is not None and expect.min_words > expect.max_words:
        message = f"no text has at least {expect.min_words:,} words and at most {expect.max_words:,}"
        yield "min_words", message, "make one of them wider"
    for pattern in expect.matches:
        try:
            matches(pattern, "")
        except SplitError as problem:
            yield "matches", problem.message, problem.hint
    if expect.same_as_source and not over_texts:
        hint = "it stands in a `for_each` over the pieces of a text, files, items or rows"
        yield "same_as_source", "there is no source to compare with", hint


def _review_problems(review: ReviewSpec, kinds: Mapping[str, ChunkKind], *, whole: bool) -> Iterator[Problem]:
    for key, name in (("coverage", review.coverage), ("repair", review.repair)):
        if name is not None and name not in kinds:
            near = did_you_mean(name, kinds) or f"there are {', '.join(list(kinds)[:8])}"
            yield key, f"there is no chunk `{name}`", near
    if review.repair is not None and kinds.get(review.repair) == "for_each":
        yield "repair", f"`{review.repair}` has many answers, and one has to be changed", "name a chunk with one answer"
    if not (review.coverage or review.consistency or review.rubric or whole):
        hint = "there are coverage, consistency and rubric, and `expect` in `stitch`"
        yield "", "`review` has nothing to look for", hint
