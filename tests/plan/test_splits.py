"""What is kept of a split makes the very pieces again, and nothing else than the same text split the same way does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.plan.load import load_plan
from orchestrator.plan.loading import LEAST_CHARS, Loading, Texts
from orchestrator.plan.split import SplitMode, split_text
from orchestrator.plan.splits import SplitTask, decode, encode, split_all
from orchestrator.plan.tally import Tally
from orchestrator.plan.tokens import count_tokens
from orchestrator.plan.workload import Workload
from orchestrator.store import StoredTexts
from tests.plan.split.documents import MODES, article, mixed_text
from tests.plan.split.test_split import MARKED_TEXT

LONG = mixed_text(seed=3)
PARAMETERS: dict[str, Any] = {
    "mode": "markdown",
    "max_tokens": 200,
    "overlap_tokens": 0,
    "level": None,
    "pattern": None,
    "language": None,
}


def parameters(mode: SplitMode, **more: Any) -> dict[str, Any]:
    return PARAMETERS | {"mode": mode, "pattern": "^[A-Z#]." if mode == "regex" else None} | more


def split_with(texts: Texts, *tasks: SplitTask) -> tuple[list[Any], list[Loading]]:
    """The pieces, and what was told meanwhile: nothing when nothing was split."""
    told: list[Loading] = []
    return split_all(tasks, what="handbook", texts=replace(texts, on_loading=told.append)), told


@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None)
@given(text=MARKED_TEXT, max_tokens=st.integers(1, 60), overlap_tokens=st.sampled_from([0, 3, 20]))
def test_what_is_kept_makes_the_same_pieces(mode: SplitMode, text: str, max_tokens: int, overlap_tokens: int) -> None:
    """Text, places, headings, overlap, notes and counts: all equal to those of a fresh split; counts are right."""
    fresh = split_text(text, **parameters(mode, max_tokens=max_tokens, overlap_tokens=overlap_tokens))
    if text:
        assert decode(encode(fresh, text), text) == fresh
    assert all(piece.tokens in (None, count_tokens(piece.text)) for piece in fresh)


@pytest.mark.parametrize("mode", MODES)
def test_a_text_is_split_once(mode: SplitMode, tmp_path: Path) -> None:
    """The second time no step of splitting is told, and the pieces are those of the first."""
    texts, task = Texts(cache=StoredTexts(tmp_path / "store.db")), SplitTask(LONG, parameters(mode, overlap_tokens=9))
    (first,), told = split_with(texts, task)
    assert told
    assert first == split_text(LONG, **task.parameters)
    assert split_with(texts, task) == ([first], [])


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "text"},
        {"max_tokens": 201},
        {"overlap_tokens": 1},
        {"mode": "headings", "level": 2},
        {"mode": "regex", "pattern": "^A"},
        {"mode": "regex", "pattern": "^B"},
        {"language": "python"},
    ],
)
def test_another_split_is_another(change: dict[str, Any], tmp_path: Path) -> None:
    """With another mode or parameter a text is split anew."""
    texts = Texts(cache=StoredTexts(tmp_path / "store.db"))
    split_with(texts, SplitTask(LONG, PARAMETERS))
    (pieces,), told = split_with(texts, SplitTask(LONG, PARAMETERS | change))
    assert told
    assert pieces == split_text(LONG, **PARAMETERS | change)


@given(at=st.integers(0, len(LONG)), put=st.sampled_from(["x", "\n", "é", "# "]))
def test_an_edit_is_another_text(at: int, put: str) -> None:
    """One character more, anywhere, and nothing that was kept is used."""
    assert SplitTask(LONG[:at] + put + LONG[at:], PARAMETERS).key() != SplitTask(LONG, PARAMETERS).key()


@given(st.data())
def test_damage_is_noticed(data: st.DataObject) -> None:
    """A value that was cut or changed in one place is none; one of another text neither."""
    text = article(seed=1, sections=3)
    value = encode(split_text(text, **PARAMETERS), text)
    at = data.draw(st.integers(0, len(value) - 1))
    assert decode(value[:at], text) is None
    other = data.draw(st.characters(exclude_characters=value[at], exclude_categories=["Cs"]))
    assert decode(value[:at] + other + value[at + 1 :], text) is None
    assert decode(value, text + "x") is None


def test_a_damaged_value_is_split_anew() -> None:
    """What the cache gives is checked, and what is wrong costs no more than the time to split."""

    class Damaged:
        def find(self, keys: Any) -> dict[str, str]:
            return dict.fromkeys(keys, "0123456789abcdef[[],[[1,1,0,0,0]]]")

        def keep(self, values: Any) -> None:
            assert values

    (pieces,), told = split_with(Texts(cache=Damaged()), SplitTask(LONG, PARAMETERS))
    assert told
    assert pieces == split_text(LONG, **PARAMETERS)
    tally = Tally(Texts(cache=Damaged()))
    tally.prepare([LONG])
    assert tally.count(LONG) == count_tokens(LONG)


@pytest.mark.parametrize("mode", MODES)
def test_progress_only_grows_and_comes_to_the_end(mode: SplitMode) -> None:
    """Over several texts, in bytes of all of them."""
    tasks = [SplitTask(LONG, parameters(mode)), SplitTask(article(seed=2, sections=40), parameters(mode))]
    _, told = split_with(Texts(doing="reading plan.yaml"), *tasks)
    total = sum(len(task.text.encode()) for task in tasks)
    assert {each.doing for each in told} == {"reading plan.yaml: splitting handbook"}
    assert {each.total_bytes for each in told} == {total}
    done = [each.done_bytes for each in told]
    assert done == sorted(done)
    assert total * 0.9 < done[-1] <= total


def test_what_is_told_can_stop_it() -> None:
    """What `on_loading` raises comes out, long before the end."""
    seen: list[Loading] = []

    def stop(loading: Loading) -> None:
        seen.append(loading)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        split_all([SplitTask(LONG, PARAMETERS)], what="it", texts=Texts(on_loading=stop))
    assert len(seen) == 1


def test_a_plan_is_the_same_from_the_cache(tmp_path: Path) -> None:
    """The chunks of a plan do not differ, for one text, for files and for rows; files are looked up together."""
    (tmp_path / "book.md").write_text(article(seed=4, sections=30))
    for name in ("a.py", "b.md", "c.py"):
        (tmp_path / name).write_text("def f():\n    return 1\n\n\n" * 200)
    plan = {
        "inputs": {"book": "book.md", "code": {"files": ["*.py", "b.md"]}},
        "chunks": [
            {"id": "part", "for_each": {"input": "book", "split": "headings"}, "prompt": "{{ item.text }}"},
            {
                "id": "code",
                "for_each": {"input": "code", "split": "code", "max_tokens": 90},
                "prompt": "{{ item.text }}",
            },
        ],
    }
    cache = StoredTexts(tmp_path / "store.db")

    def load(texts: Texts) -> Workload:
        return load_plan(plan, base_dir=tmp_path, texts=texts)

    told: list[Loading] = []
    fresh, first = load(Texts()), load(Texts(cache=cache))
    second = load(Texts(cache=cache, on_loading=told.append))
    items = [[(chunk.id, chunk.item) for chunk in work.chunks.values()] for work in (fresh, first, second)]
    assert items[0] == items[1] == items[2]
    assert len(items[0]) > 60
    assert told == []


def test_counts_are_kept_for_long_texts(tmp_path: Path) -> None:
    """A long text is counted once; a short one is not worth a look."""
    cache, short = StoredTexts(tmp_path / "store.db"), "word " * (LEAST_CHARS // 5 - 1)
    for expected in (1, 0):
        told: list[Loading] = []
        tally = Tally(Texts(cache=cache, on_loading=told.append))
        tally.prepare([LONG, LONG, short])
        assert bool(told) == bool(expected)
        assert {each.doing for each in told} <= {"counting tokens"}
        assert (tally.count(LONG), tally.count(short)) == (count_tokens(LONG), count_tokens(short))
