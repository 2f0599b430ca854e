"""Watching over work in a thread that comes before a run's first call: its progress goes out, a stop comes in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.engine.control import RunControl
from orchestrator.errors import LoadingStoppedError
from orchestrator.plan.loading import Loading, OnLoading

T = TypeVar("T")

TOLD_EVERY_S = 0.1
"""Nobody reads faster."""

_log = logging.getLogger(__name__)


class Watch:
    """Called from the working thread with how far it has come (an `OnLoading`); raises there once a stop was asked for.

    `on_loading` is called in the event loop's thread, at most ten times a second; dropped when it raises.
    """

    def __init__(self, *, on_loading: OnLoading | None = None, control: RunControl | None = None) -> None:
        self._on_loading = on_loading
        self._control = control
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelled = False
        self._told_s = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns, done in a thread. Raises `LoadingStoppedError` when it was stopped.

        When this is cancelled the work ends too, as soon as it has something to tell.
        """
        self._loop = asyncio.get_running_loop()
        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            self._cancelled = True
            raise

    def __call__(self, loading: Loading) -> None:
        """Take in how far the work has come. Raises `LoadingStoppedError`."""
        if self._cancelled or (self._control is not None and self._control.level):
            raise LoadingStoppedError
        now_s = time.monotonic()
        if self._on_loading is None or self._loop is None or now_s - self._told_s < TOLD_EVERY_S:
            return
        self._told_s = now_s
        # A loop that is closed has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, loading)

    def _tell(self, loading: Loading) -> None:
        try:
            if self._on_loading is not None:
                self._on_loading(loading)
        except Exception:
            self._on_loading = None
            _log.exception("on_loading raised and is told no more")
