"""What is remembered: answers by fingerprint, runs, events. The single memory of this program."""

from orchestrator.store.records import (
    AnswerOrigin,
    AnswerRecord,
    AttemptRecord,
    BeginningRecord,
    CallRecord,
    ChunkRecord,
    PastRun,
    RunRecord,
)
from orchestrator.store.store import Store, look_into, open_store
from orchestrator.store.texts import StoredTexts
from orchestrator.store.thread import Connection
from orchestrator.store.writes import Writes

__all__ = [
    "AnswerOrigin",
    "AnswerRecord",
    "AttemptRecord",
    "BeginningRecord",
    "CallRecord",
    "ChunkRecord",
    "Connection",
    "PastRun",
    "RunRecord",
    "Store",
    "StoredTexts",
    "Writes",
    "look_into",
    "open_store",
]
