"""For a process that others are forked from: with this imported, all that a run imports and reads is there."""

from tests.cli.forked import prepare

prepare()
