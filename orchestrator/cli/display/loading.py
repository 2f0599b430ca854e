"""What is shown while long texts are split and counted: nothing for a second, then how far it has come. Pure."""

from __future__ import annotations

from orchestrator.cli.display.neutralise import one_line
from orchestrator.plan.loading import Loading

PATIENCE_S = 1.0
"""What is over sooner needs no words."""

LINE_EVERY_S = 5.0
"""In plain progress, where each line stays."""


class Patience:
    """Says when a word on progress is due: a second after the beginning, then every `again_s`. Times are seconds on any
    one clock.
    """

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._due_s: float | None = None

    def is_over(self, now_s: float) -> bool:
        """Whether a word is due now; the first call is the beginning."""
        if self._due_s is None:
            self._due_s = now_s + PATIENCE_S
        if now_s < self._due_s:
            return False
        self._due_s = now_s + self._again_s
        return True

    def begin_again(self) -> None:
        """What follows is something else."""
        self._due_s = None


def loading_line(loading: Loading) -> str:
    """`reading plan.yaml: splitting handbook, 4.1 of 10.2 MB`."""
    return f"{one_line(loading.doing)}, {loading.done_bytes / 1e6:.1f} of {loading.total_bytes / 1e6:.1f} MB"
