"""What a run is made of: every text read, every reference resolved, ready to schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from orchestrator.plan.answer_form import AnswerForm
    from orchestrator.plan.expecting import ExpectSpec, ReviewSpec
    from orchestrator.plan.model import Complexity, Isolation, OnMissing, Plan
    from orchestrator.plan.stitching import StitchFormat
    from orchestrator.plan.template import Template


Cell = str | int | float | bool | None
"""A value in a column of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What one piece of a `for_each` gives to its prompt, as {{ item.… }}.

    `index` counts from 1, `count` is the number of pieces. `text` is None when it is the answer of the chunk
    `answer_of`. `from_answer` names the chunk that a model wrote the text in: it is then shown between marks. `source`
    is the file, row key or item that the piece comes from, `row` its columns, `heading_path` its headings joined by
    " > ". `rows` are the names of the rows or items of a batch, even when it has but one left. In a paired group
    `original` is the text of the piece that it all began with, and `chunks` maps the groups between to this piece's
    chunk there. `notes` tell where the text had to be cut in a bad place. `tokens` is the count of `text` in
    `cl100k_base`, None when nobody counted it yet; no prompt shows it. `bom`: the
    piece is the first of a file that begins with a byte order mark.
    """

    index: int
    count: int
    text: str | None
    answer_of: str = ""
    from_answer: str = ""
    source: str = ""
    heading_path: str = ""
    previous_tail: str = ""
    next_head: str = ""
    row: Mapping[str, Cell] = field(default_factory=dict[str, "Cell"])
    rows: tuple[str, ...] = ()
    original: str = ""
    chunks: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    tokens: int | None = None
    bom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the answers that a merge puts together; `start` and `end` (characters) when only a cut of it fits."""

    chunk_id: str
    start: int | None = None
    end: int | None = None


KeptKind = Literal["summary", "glossary"]
"""What can be kept of all the answers so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A running summary or glossary, of which a prompt shows at most `max_tokens` (`cl100k_base`).

    `keeper` is the chunk that wrote it, or a group whose last keeper did; empty where there is none yet.
    """

    kind: KeptKind
    max_tokens: int
    keeper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """What a chunk is told of those before it: the end of one answer, what was kept of all of them, or both.

    `tail_tokens` (`cl100k_base`) of the answer of `previous`, which is empty for the first one.
    """

    tail_tokens: int = 0
    previous: str = ""
    kept: Kept | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Makes a chunk a keeper: it puts the answer of `of` into `so_far`."""

    of: str
    so_far: Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecesKept:
    """That the answers of a group are kept, one after the other, from `so_far` on; with `last` also the last one."""

    so_far: Kept
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tooling:
    """Tools that a chunk may use inside `folder` (a real path); `name` is the folder from the plan's root on."""

    tools: tuple[str, ...]
    folder: Path
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk, resolved.

    `references` are the chunks whose answers the prompt renders, `upstream` those and what `depends_on` adds,
    `after` the order-only edges of `mode: sequence`. `on_missing` has an entry for each upstream chunk. `occurrence`
    counts the chunks earlier in the plan with the same unrendered prompt and settings. `recipe` is the SHA-256 of the
    unrendered prompt and the settings that shape an answer. `order` is the place in the plan: its position, then the
    index within its group. `item` is set for a piece of a `for_each`;
    `merges` for a merge of a `reduce`, whose `parts` are known once the answers are. With `keeping` it is a keeper and
    no entry of the plan. With an `output_schema` (a JSON Schema) the answer is one JSON value, which has to fit the
    `form`, where there is one. `expect` is what an answer has to be like to count as one. `memory` is the
    CLAUDE.md of its working folder, shown with the context. `accounts` are those that may pay, the first as long as it
    is not at its limit; an empty name is the usual login. With `timeout_given` the plan says `timeout_s` in seconds.
    """

    id: str
    template: Template
    references: tuple[str, ...]
    upstream: tuple[str, ...]
    after: tuple[str, ...]
    on_missing: Mapping[str, OnMissing]
    model: str | None
    fallback_model: str | None
    effort: str | None
    complexity: Complexity
    timeout_s: float
    max_attempts: int
    reuse: str
    occurrence: int
    recipe: str
    timeout_given: bool = False
    order: tuple[int, ...] = ()
    group: str = ""
    item: Item | None = None
    merges: bool = False
    parts: tuple[Part, ...] = ()
    carry: Carry | None = None
    expect: ExpectSpec | None = None
    keeping: Keeping | None = None
    output_schema: Mapping[str, Any] | None = None
    form: AnswerForm | None = None
    accounts: tuple[str, ...] = ("",)
    tooling: Tooling | None = None
    memory: str = ""
    isolation: Isolation = "fresh"

    @property
    def told_of(self) -> tuple[str, ...]:
        """What `carry` or `keeping` shows beside `upstream`: its prompt waits for these, and does without."""
        names: list[str] = []
        if self.carry is not None:
            names = [self.carry.previous, self.carry.kept.keeper if self.carry.kept is not None else ""]
        if self.keeping is not None:
            names.append(self.keeping.so_far.keeper)
        return tuple(name for name in names if name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEach:
    """A chunk of the plan that runs once for each piece.

    `members` are the ids of its chunks, or None when they are known only once `over` has its answer. With `paired`
    there is one for each member of the group `over`. `prototype` is a member without its item. `labelled`: each answer
    is shown under a line that names its source. `on_missing` is what happens to a paired piece whose counterpart has
    no answer. With `in_order` each piece starts when the one before it is over. `what` describes the pieces in words.
    With `sample` only so many of the pieces that are not known yet will run. `kept` is what is kept of their answers.
    `of_text`: the pieces are those of a text or of files, which they are again when joined.
    """

    id: str
    prototype: Chunk
    members: tuple[str, ...] | None
    over: str = ""
    paired: bool = False
    labelled: bool = False
    on_missing: OnMissing = "skip"
    in_order: bool = False
    what: str = ""
    sample: int = 0
    kept: tuple[PiecesKept, ...] = ()
    of_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce:
    """A chunk of the plan that merges the answers of the group `over`, in a tree when they exceed `max_tokens`.

    `last` is the chunk of the last merge, under the plan's own id; the merges before it are made from `prototype`.
    `max_tokens` counts the parts of one prompt in `cl100k_base`.
    """

    id: str
    prototype: Chunk
    last: Chunk
    over: str
    max_tokens: int


Group = ForEach | Reduce


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One of several things that an input holds: a file, an item or a row. `text` is what a prompt shows of it.

    `bom`: it is a file that begins with a byte order mark.
    """

    name: str
    text: str
    row: Mapping[str, Cell] = field(default_factory=dict[str, "Cell"])
    bom: bool = False


InputKind = Literal["text", "items", "files", "rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputText:
    """An input as read. `sha256` is of its UTF-8 text; `given` is where it came from: plan, file, files, stdin or set.

    `text` is what a prompt renders (items and rows one a line, files under their names); `path` is set when it was
    read from one file, `paths` when several were given with the call. `sources` has the files, items or rows of an
    input of that kind; `key` is the column that names its rows. `bom`: it is one file that begins with a byte order
    mark.
    """

    name: str
    text: str
    items: tuple[str, ...]
    sha256: str
    given: str
    path: Path | None = None
    paths: tuple[Path, ...] = ()
    kind: InputKind = "text"
    sources: tuple[Source, ...] = ()
    key: str = ""
    bom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """One result file for each source file of the group `group`, which has so many `pieces`.

    `paths` maps every source to its result (absolute), in order; `folder` holds them all. An empty source has no piece.
    """

    group: str
    pieces: int
    paths: Mapping[str, Path]
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A plan that can run: chunks in plan order, shared context, inputs, and where the result goes.

    `source` is the plan's own text (a JSON text when it was given as a dict). `files` maps every file that was read,
    the plan file apart, to the SHA-256 of its bytes. `stitch_chunks` are the chunk ids of the result, in order,
    `stitch_schema` what a JSON result has to fit; `output` is the file the plan names (absolute), or None when it names
    none. `system` names the prompt text that all chunks are told first. `to_be_planned`: the plan has a request alone,
    and its one chunk stands in for those that the planner will make. `expect` is what the result has to be like,
    `review` what else it is looked at for, `rubric` what a model judges it by, and with
    `transitions` a call leads from each answer to the next; a part of a plan has none of them.
    `result_files` is set when each source file has a result of its own. `groups` has every `for_each` and `reduce`;
    `chunks` has those of their chunks that are known before the run.
    """

    plan: Plan
    name: str
    path: Path | None
    root: Path
    source: str
    context: str
    chunks: Mapping[str, Chunk]
    groups: Mapping[str, Group] = field(default_factory=dict[str, "Group"])
    inputs: Mapping[str, InputText]
    stitch_chunks: tuple[str, ...]
    stitch_format: StitchFormat
    stitch_template: Template | None
    stitch_schema: Mapping[str, Any] | None = None
    expect: ExpectSpec | None = None
    review: ReviewSpec | None = None
    rubric: str = ""
    transitions: bool = False
    output: Path | None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    system: str = "system"
    to_be_planned: bool = False
    result_files: ResultFiles | None = None
