"""Plans written as YAML: what is read back is what was written, and people can read it too."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.plan.yaml_source import plan_to_yaml, read_yaml

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60) | st.text(
    alphabet="a \n\t{}:#-'\"|>&*!%@`[],?0o1xe.~\r\x85\u2028\x1b", max_size=30
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, width=32) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(plan=st.dictionaries(texts, values, min_size=1, max_size=5), comment=st.text("ab \n#:", max_size=40))
@example(plan={"a": "0o17", "b": "1e3", "c": "no", "d": "010", "e": "", "f": "~", "g": "- x", "h": "1_000"}, comment="")
@example(plan={"a": " x\n\n  y \n", "b": "x\n", "c": "\n\nx\ny", "d": "x\ny\n\n\n", "e": "#\n- a\n"}, comment="")
def test_what_is_written_is_read(plan: dict[str, Any], comment: str) -> None:
    """Any plain values come back exactly as they were, whatever their texts look like, below any comment."""
    written = plan_to_yaml(plan, comment=comment)
    assert read_yaml(written.encode(), file="p.yaml").value == plan


def test_it_reads_well() -> None:
    """Keys keep their order, long texts stand as blocks, lists are indented, and the comment is on top."""
    plan = {
        "name": "lease",
        "chunks": [{"id": "a", "prompt": "First line.\n\nSecond: {{ inputs.lease }}"}],
        "stitch": {"chunks": ["a"]},
    }
    assert plan_to_yaml(plan, comment="Planned.\n\nOnce.") == (
        "# Planned.\n#\n# Once.\n"
        "name: lease\n"
        "chunks:\n"
        "  - id: a\n"
        "    prompt: |-\n"
        "      First line.\n"
        "\n"
        "      Second: {{ inputs.lease }}\n"
        "stitch:\n"
        "  chunks:\n"
        "    - a\n"
    )
