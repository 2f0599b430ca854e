"""What stands before and after a piece, in whole words."""

from __future__ import annotations

import re

from orchestrator.plan.tokens import count_tokens, head_tokens, tail_tokens

_CHARS_PER_TOKEN = 8
"""Text is looked at in windows of so many characters a token: prose has four. Longer tokens give a shorter overlap."""

_FIRST_BREAK = re.compile(r"\s+")
_LAST_BREAK = re.compile(r"\S*\Z")


def tail_before(text: str, at: int, *, max_tokens: int) -> str:
    """The end of what stands before `at`: at most `max_tokens`, beginning with a whole word where there is one."""
    if max_tokens <= 0:
        return ""
    begin = max(0, at - max_tokens * _CHARS_PER_TOKEN)
    tail = tail_tokens(text[begin:at], max_tokens)
    start = at - len(tail)
    if tail and start > 0 and not text[start - 1].isspace() and not tail[0].isspace():
        found = _FIRST_BREAK.search(tail)
        tail = tail[found.end() :] if found and found.end() < len(tail) else tail
    while count_tokens(tail) > max_tokens:
        tail = tail[1:]
    return tail


def head_after(text: str, at: int, *, max_tokens: int) -> str:
    """The beginning of what stands after `at`: at most `max_tokens`, ending with a whole word where there is one."""
    if max_tokens <= 0:
        return ""
    head = head_tokens(text[at : at + max_tokens * _CHARS_PER_TOKEN], max_tokens)
    end = at + len(head)
    if head and end < len(text) and not text[end].isspace() and not head[-1].isspace():
        found = _LAST_BREAK.search(head)
        head = head[: found.start()] if found and found.start() else head
    while count_tokens(head) > max_tokens:
        head = head[:-1]
    return head
