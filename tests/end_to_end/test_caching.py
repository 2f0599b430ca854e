"""A long context that all chunks share is paid for once, on the real CLI against an API that keeps prompts."""

from __future__ import annotations

from pathlib import Path

from orchestrator import run_plan
from orchestrator.events import Event, RunFinished
from orchestrator.runners.claude_cli.runner import ClaudeCliRunner
from tests.equipment.fixtures import cli_environment
from tests.equipment.prompt_cache import PromptCache
from tests.equipment.standin_api import StandInApi, answer

HANDBOOK = "A rule of the house: say what is meant.\n" * 500


def test_the_first_call_writes_and_the_others_read(claude_binary: Path, isolated_home: Path, tmp_path: Path) -> None:
    """Of six chunks at once five read the context back: they start when the first answer has begun."""
    plan = {
        "model": "sonnet",
        "context": HANDBOOK,
        "chunks": [{"id": "part", "for_each": list("abcdef"), "prompt": "Write part {{ item.text }}."}],
        "limits": {"max_concurrency": 6},
    }
    events: list[Event] = []
    with StandInApi(PromptCache(lambda request: answer("A part.", delay_s=1.0))) as api:
        runner = ClaudeCliRunner(claude=claude_binary, environment=cli_environment(api, isolated_home))
        store = tmp_path / "s.db"
        run_plan(plan, runner=runner, store=store, base_dir=tmp_path, on_event=events.append).raise_for_failure()
        starts = [request.at for request in api.requests]
    assert len(starts) == 6
    assert min(starts[1:]) - starts[0] >= 1.0, "the first answer begins a second after its request"
    finished = events[-1]
    assert isinstance(finished, RunFinished)
    context_tokens = len(HANDBOOK) // 4
    assert 5 * context_tokens <= finished.cache_read_tokens <= 5.5 * context_tokens
    assert context_tokens <= finished.cache_write_tokens <= 2 * context_tokens
    assert finished.cache_saved_usd > 0
