"""Documents for the tests of splitting, made from a seed."""

from __future__ import annotations

import random

from orchestrator.plan.split import SplitMode

MODES: tuple[SplitMode, ...] = ("markdown", "headings", "text", "code", "lines", "regex")

_WORDS = [
    *("the", "service", "keeps", "record", "every", "call", "answers", "what", "knows", "about", "customers", "orders"),
    *("invoices", "queues", "timeouts", "retries", "budgets", "limits", "windows", "tokens", "prompts", "chunks"),
    *("pieces", "parts", "sections", "chapters", "books", "and", "pages", "with", "of", "a"),
]


def words(seed: int, count: int) -> str:
    """So many words, always the same for a seed."""
    return " ".join(random.Random(seed).choices(_WORDS, k=count))


def paragraph(seed: int) -> str:
    """A few sentences."""
    choose = random.Random(seed)
    return " ".join(
        words(choose.randrange(10**9), choose.randint(5, 20)).capitalize() + "." for _ in range(choose.randint(1, 5))
    )


def article(*, seed: int, sections: int) -> str:
    """Markdown with headings of two levels, paragraphs, and a list here and there."""
    choose = random.Random(seed)
    parts = ["# The whole story"]
    for number in range(sections):
        parts.append(f"{'##' if number % 4 == 0 else '###'} Section {number}: {words(choose.randrange(10**9), 3)}")
        parts += [paragraph(choose.randrange(10**9)) for _ in range(choose.randint(1, 6))]
        if number % 3 == 0:
            parts.append("\n".join(f"- {words(choose.randrange(10**9), 8)}" for _ in range(4)))
    return "\n\n".join(parts) + "\n"


def fence(lines: int, *, mark: str = "```") -> str:
    """A code fence with blank lines and headings that are none."""
    body = [f"value_{n} = compute({n})" if n % 5 else f"\n# step {n}" for n in range(lines)]
    return "\n".join([f"{mark}python", *body, mark])


def table(rows: int) -> str:
    """A table with a head."""
    return "\n".join(["| name | value |", "|---|---:|", *(f"| row {n} | {n * n} |" for n in range(rows))])


def mixed_text(*, seed: int) -> str:
    """All kinds of blocks, several scripts, accents and emoji."""
    choose = random.Random(seed)
    kinds = [
        lambda: paragraph(choose.randrange(10**9)),
        lambda: fence(choose.randint(1, 60)),
        lambda: table(choose.randint(1, 40)),
        lambda: "".join(choose.choices("中文字符串很长没有空格日本語の文章かなカナ。、", k=choose.randint(5, 400))),
        lambda: "สวัสดีชาวโลก" * choose.randint(1, 20),
        lambda: "👩‍👩‍👧‍👦 🇩🇪 e\u0301a\u0308 " * choose.randint(1, 20),
        lambda: "> " + "\n> ".join([words(7, 12), "", fence(6).replace("\n", "\n> "), "", words(9, 9)]),
        lambda: "1. one\n\n   " + fence(8, mark="~~~~").replace("\n", "\n   ") + "\n2. two\n   - deep\n",
        lambda: "<table>\n<tr><td>x</td></tr>\n</table>",
        lambda: f"{'#' * choose.randint(1, 4)} {words(choose.randrange(10**9), 4)}",
        lambda: words(choose.randrange(10**9), 300) + "   ",
    ]
    return "\n\n".join(choose.choice(kinds)() for _ in range(60)) + "\n"
