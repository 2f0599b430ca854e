"""Splitting real documents, beside `langchain-text-splitters` and `semantic-text-splitter`, in one run.

Prints a Markdown table for each corpus. `benchmarks/README.md` says how to run it and what the columns mean.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import itertools
import os
import platform
import random
import re
import sys
import sysconfig
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path

from markdown_it import MarkdownIt

from orchestrator.plan.split import SplitMode, split_text
from orchestrator.plan.tokens import count_tokens

Split = Callable[[str], list[str]]

EDITS = 12
PEERS = ("langchain-text-splitters", "semantic-text-splitter", "tiktoken")


@dataclass(frozen=True)
class Corpus:
    """Documents to split, each for itself."""

    name: str
    mode: SplitMode
    documents: list[str]

    @property
    def megabytes(self) -> float:
        return sum(len(each.encode()) for each in self.documents) / 1e6


@dataclass
class Score:
    """What came of splitting a corpus. Counts are of all documents together."""

    seconds: float = 0.0
    pieces: int = 0
    cuts: int = 0
    at_heading: int = 0
    in_blocks: int = 0
    too_long: int = 0
    lossless: bool = True
    tokens: int = 0
    changed: float = 0.0


def corpora(megabytes: float) -> Iterator[Corpus]:
    """The documents of this machine: the same every time for one environment."""
    standard = Path(sysconfig.get_path("stdlib"))
    sources = [text for path in sorted(standard.glob("*.py")) if (text := read(path))]
    readmes = [text for text in itertools.chain(long_descriptions(), markdown_files()) if len(text) > 2_000]
    yield Corpus("READMEs and changelogs of installed packages", "markdown", up_to(readmes, megabytes))
    yield Corpus("the same as one document", "markdown", ["\n\n".join(up_to(readmes, megabytes))])
    topics = read(standard / "pydoc_data" / "topics.py")
    documentation = [*topic_texts(topics), *(doc for text in sources for doc in docstrings(text))]
    yield Corpus("Python's documentation strings", "text", ["\n\n\n".join(up_to(documentation, megabytes))])
    yield Corpus("Python's standard library", "code", up_to(sources, megabytes))
    yield Corpus("generated: scripts and line ends mixed", "markdown", [generated(megabytes)])


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError):
        return ""


def long_descriptions() -> Iterator[str]:
    for each in sorted(distributions(), key=lambda found: found.metadata["Name"]):
        if "markdown" in str(each.metadata.get("Description-Content-Type")):
            yield str(each.metadata.get_payload())


def markdown_files() -> Iterator[str]:
    for folder, folders, names in os.walk(sysconfig.get_path("purelib")):
        folders.sort()
        yield from (read(Path(folder, name)) for name in sorted(names) if name.endswith(".md"))


def topic_texts(source: str) -> list[str]:
    """The texts of `help()`, from the module that holds them."""
    values = (node.value for node in ast.parse(source).body if isinstance(node, ast.Assign))
    return [text for value in values for text in ast.literal_eval(value).values()]


def docstrings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield text


def up_to(documents: list[str], megabytes: float) -> list[str]:
    """Documents from the first on, over again if there are too few, until they are large enough."""
    left, taken = megabytes * 1e6, list[str]()
    for document in itertools.cycle(documents):
        taken.append(document)
        left -= len(document.encode())
        if left <= 0:
            break
    return taken


def generated(megabytes: float) -> str:
    choose, parts, size = random.Random(1), list[str](), 0
    han = "这个服务保存每一次通话的记录并且回答它所知道的关于客户订单发票队列的一切"
    while size < megabytes * 1e6:
        paragraph = choose.choice(
            [
                "".join(choose.choices(han + "，。", k=choose.randint(40, 600))),
                " ".join(
                    choose.choices(["naïve", "service", "re\u0301sume\u0301", "👩\u200d🔬", "order", "end."], k=120)
                ),
                f"{'#' * choose.randint(1, 3)} {''.join(choose.choices(han, k=6))}",
                "```\n" + "x = 1\n\n" * choose.randint(1, 60) + "```",
            ]
        )
        end = choose.choice(["\n", "\r\n", "\r"])
        parts.append((paragraph + "\n\n").replace("\n", end))
        size += len(parts[-1].encode())
    return "".join(parts)


def ours(mode: SplitMode, max_tokens: int) -> Split:
    return lambda text: [piece.text for piece in split_text(text, mode=mode, max_tokens=max_tokens)]


def semantic(mode: SplitMode, max_tokens: int) -> Split | None:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    if mode == "code":
        return None
    kind = MarkdownSplitter if mode == "markdown" else TextSplitter
    return kind.from_tiktoken_model("gpt-4", max_tokens, trim=False).chunks


def langchain(mode: SplitMode, max_tokens: int) -> Split:
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    languages = {"markdown": Language.MARKDOWN, "code": Language.PYTHON}
    separators = (
        RecursiveCharacterTextSplitter.get_separators_for_language(languages[mode]) if mode in languages else None
    )
    return RecursiveCharacterTextSplitter(
        separators=separators,
        is_separator_regex=separators is not None,
        chunk_size=max_tokens,
        chunk_overlap=0,
        length_function=count_tokens,
        strip_whitespace=False,
    ).split_text


def measure(corpus: Corpus, split: Split, max_tokens: int) -> Score:
    """Splits every document once, timed, then judges the pieces and the effect of edits, not timed."""
    score = Score()
    for document in corpus.documents:
        begin = time.perf_counter()
        pieces = split(document)
        score.seconds += time.perf_counter() - begin
        judge(score, document, pieces, max_tokens, markdown=corpus.mode == "markdown")
    longest = max(corpus.documents, key=len)[:400_000]
    score.changed = changed_by_edits(longest, split)
    return score


def judge(score: Score, text: str, pieces: list[str], max_tokens: int, *, markdown: bool) -> None:
    score.pieces += len(pieces)
    score.lossless &= "".join(pieces) == text
    sizes = [count_tokens(piece) for piece in pieces]
    score.tokens += sum(sizes)
    score.too_long += sum(size > max_tokens for size in sizes)
    starts, position = list[int](), 0
    for piece in pieces:
        found = text.find(piece, position)
        position = found if found >= 0 else position
        starts.append(position)
        position += len(piece)
    score.cuts += max(0, len(starts) - 1)
    if markdown:
        headings, blocks = reading(text)
        firsts = [start + len(piece) - len(piece.lstrip()) for start, piece in zip(starts, pieces, strict=True)]
        score.at_heading += sum(first in headings for first in firsts[1:])
        for begin, end in blocks:
            inside = bisect_left(starts, end) - bisect_right(starts, begin)
            if inside and count_tokens(text[begin:end]) <= max_tokens:
                score.in_blocks += inside


def reading(text: str) -> tuple[set[int], list[tuple[int, int]]]:
    """Where headings begin, and where fences and tables stand, by a reader of Markdown that none of the three uses."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = list(itertools.accumulate((len(line) for line in split_lines(text)), initial=0))
    tokens = [each for each in MarkdownIt("commonmark").enable("table").parse(plain) if each.map]
    headings = {lines[each.map[0]] for each in tokens if each.map and each.type == "heading_open"}
    blocks = [
        (lines[each.map[0]], lines[min(each.map[1], len(lines) - 1)])
        for each in tokens
        if each.map and each.type in ("fence", "table_open")
    ]
    return headings, blocks


def split_lines(text: str) -> list[str]:
    """Lines with their ends, which are those of Markdown alone."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def changed_by_edits(text: str, split: Split) -> float:
    """How many pieces are new, on average, after one paragraph is put in somewhere."""
    choose, before, changed = random.Random(2), set(split(text)), 0
    gaps = [at for at in range(len(text)) if text.startswith("\n\n", at)] or [0]
    for number in range(EDITS):
        at = choose.choice(gaps)
        edited = f"{text[:at]}\n\nA paragraph {number} that was not there before. {'It goes on. ' * 20}{text[at:]}"
        changed += sum(piece not in before for piece in split(edited))
    return changed / EDITS


def row(name: str, corpus: Corpus, score: Score, max_tokens: int) -> str:
    markdown = corpus.mode == "markdown"
    cells = [
        name,
        f"{corpus.megabytes / score.seconds:.1f}",
        f"{score.pieces:,}",
        f"{score.tokens / score.pieces / max_tokens:.0%}",
        f"{score.at_heading / max(1, score.cuts):.0%}" if markdown else "–",
        f"{score.in_blocks}" if markdown else "–",
        f"{score.too_long}",
        "yes" if score.lossless else "**no**",
        f"{score.changed:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Runs all corpora through all splitters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=3.0, help="size of each corpus")
    parser.add_argument("--max-tokens", type=int, default=1000)
    options = parser.parse_args()
    count_tokens("the ranks are read before the clock starts")
    makers = {
        "orchestrate": ours,
        PEERS[1]: semantic,
        PEERS[0]: langchain,
    }
    print(f"{datetime.date.today()} · {platform.machine()}, {os.cpu_count()} cores, {platform.system()}", end=" · ")
    print(f"Python {platform.python_version()}", *(f"{each} {version(each)}" for each in PEERS), sep=", ")
    for corpus in corpora(options.megabytes):
        print(f"\n**{corpus.name}** ({corpus.mode}, {corpus.megabytes:.1f} MB, max_tokens {options.max_tokens})\n")
        print("| splitter | MB/s | pieces | full | cuts at a heading | cuts in fences, tables | too long", end=" | ")
        print("lossless | new pieces after an edit |\n|---" + "|---:" * 6 + "|---|---:|")
        for name, make in makers.items():
            split = make(corpus.mode, options.max_tokens)
            if split is not None:
                print(row(name, corpus, measure(corpus, split, options.max_tokens), options.max_tokens), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
