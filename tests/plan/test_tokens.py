"""Token counts: cl100k_base, from ranks that are part of the installation, in linear time."""

from __future__ import annotations

import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.tokens import count_tokens, head_tokens, tail_tokens

KNOWN = {"": 0, "hello world": 2, "Hello, world!": 4, "antidisestablishmentarianism": 6, "1234567": 3, "\n\n\n": 1}


@pytest.mark.parametrize("text", KNOWN)
def test_known_counts(text: str) -> None:
    """The counts are those of cl100k_base."""
    assert count_tokens(text) == KNOWN[text]


def test_names_of_special_tokens_are_plain_text() -> None:
    """A text that quotes `<|endoftext|>` is counted, and neither refused nor taken as one token."""
    assert count_tokens("<|endoftext|>") > 1
    assert head_tokens("<|endoftext|> and more", 1) == "<"


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the ranks opens no connection."""
    from orchestrator.plan import tokens

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    tokens._encoding.cache_clear()
    assert count_tokens("hello world") == 2


def test_slices_do_not_change_the_count_of_prose() -> None:
    """Long text is counted in slices that begin where a token begins, so nothing is added."""
    sentence = "Some ordinary words, with numbers 12345 and don't.\n\n"
    whole = sentence * 3_000
    assert count_tokens(whole) == sum(count_tokens(sentence * 1_000) for _ in range(3))


@pytest.mark.parametrize("unit", ["a", " ", "\n", " \n", "1", "!", "é", "中", "😀", "\u0301", "' ", "_"])
def test_a_million_of_anything_takes_linear_time(unit: str) -> None:
    """Repetitive text without spaces is counted and cut within seconds, without a crash."""
    text = (unit * 1_000_000)[:1_000_000]
    start = time.perf_counter()
    count = count_tokens(text)
    head, tail = head_tokens(text, 1_000), tail_tokens(text, 1_000)
    assert time.perf_counter() - start < 10
    assert 1_000 < count <= 3_000_000
    assert text.startswith(head)
    assert text.endswith(tail)


@given(st.text(), st.integers(1, 40))
def test_cuts_are_whole_characters_and_short_enough(text: str, n: int) -> None:
    """Head and tail are a beginning and an end of the text, at most `n` tokens long, and all of it when it fits."""
    head, tail = head_tokens(text, n), tail_tokens(text, n)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert count_tokens(head) <= n + 1
    if count_tokens(text) <= n:
        assert head == tail == text


def test_a_character_of_several_tokens_is_never_cut() -> None:
    """An emoji of three tokens comes whole or not at all."""
    assert head_tokens("😀😀", 1) == ""
    assert tail_tokens("a😀", 1) == ""
    assert head_tokens("a😀b", 3) == "a😀"
    assert tail_tokens("a😀b", 4) == "a😀b"


def test_half_characters_are_counted() -> None:
    """A lone surrogate, which an answer can hold by mistake, is no reason to fail."""
    assert count_tokens("a\ud800b") > 0
    assert head_tokens("a\ud800b", 1) == "a"
