"""Splitting: texts into pieces, folders into files, tables into rows, answers into elements."""

from orchestrator.plan.split.answers import AnswerPiece, pieces_of_answer
from orchestrator.plan.split.outline import headings_of
from orchestrator.plan.split.pieces import OnShare, Piece, SplitError, SplitMode
from orchestrator.plan.split.rows import Row, read_rows
from orchestrator.plan.split.sources import FoundFile, find_files, would_find
from orchestrator.plan.split.splitter import RULES_VERSION, split_text

__all__ = [
    "RULES_VERSION",
    "AnswerPiece",
    "FoundFile",
    "OnShare",
    "Piece",
    "Row",
    "SplitError",
    "SplitMode",
    "find_files",
    "headings_of",
    "pieces_of_answer",
    "read_rows",
    "split_text",
    "would_find",
]
