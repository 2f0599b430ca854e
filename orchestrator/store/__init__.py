"""What is remembered: answers by fingerprint, runs, events. The single memory of this program."""

from orchestrator.store.records import AnswerRecord, AttemptRecord, ChunkRecord, RunRecord
from orchestrator.store.store import Store, open_store
from orchestrator.store.thread import Connection
from orchestrator.store.writes import Writes

__all__ = ["AnswerRecord", "AttemptRecord", "ChunkRecord", "Connection", "RunRecord", "Store", "Writes", "open_store"]
