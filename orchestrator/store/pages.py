"""The rows that stand in the pages of a SQLite file, read one page at a time and with no need of any other. Pure.

SQLite itself finds a row by way of the pages above it, and gives up a table when one of those is damaged. Here each
page is read for what it is, as <https://sqlite.org/fileformat2.html> describes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

Value = int | float | str | bytes | None

PAGE_BYTES = 4096
"""The size that SQLite gives to a file when nobody says otherwise, as we do not."""

MAGIC = b"SQLite format 3\0"
LEAF_TABLE, LEAF_INDEX, INTERIOR_INDEX = 0x0D, 0x0A, 0x02

_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
"""What an integer of each serial type takes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `rowid` is None in a table without one (and in an index), whose rows look alike here."""

    rowid: int | None
    values: tuple[Value, ...]


class PageFile:
    """The content of a file that is, or was, a SQLite database.

    `unread` counts the rows that cannot be read, as far as their page tells of them.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._size = _page_size(content)
        self.unread = 0

    def rows(self) -> Iterator[Row]:
        """Every row that is whole, page by page. Pages that SQLite has let go of are left out, where that is known."""
        free = self._free_pages()
        for number in range(1, -(-len(self._content) // self._size) + 1):
            if number not in free:
                yield from self._rows_of(number)

    def _page(self, number: int) -> bytes:
        return self._content[(number - 1) * self._size : number * self._size]

    def _rows_of(self, number: int) -> Iterator[Row]:
        page = self._page(number)
        begin = 100 if number == 1 else 0
        if len(page) < begin + 8 or page[begin] not in (LEAF_TABLE, LEAF_INDEX, INTERIOR_INDEX):
            return
        kind = page[begin]
        pointers = begin + (12 if kind == INTERIOR_INDEX else 8)
        count = int.from_bytes(page[begin + 3 : begin + 5], "big")
        for place in range(pointers, min(pointers + 2 * count, self._size), 2):
            try:
                yield self._row(page, int.from_bytes(page[place : place + 2], "big"), kind)
            except (ValueError, IndexError, struct.error):
                self.unread += 1

    def _row(self, page: bytes, at: int, kind: int) -> Row:
        if kind == INTERIOR_INDEX:
            at += 4
        length, at = _varint(page, at)
        rowid = None
        if kind == LEAF_TABLE:
            rowid, at = _varint(page, at)
        return Row(rowid, _record(self._payload(page, at, length, is_table=kind == LEAF_TABLE)))

    def _payload(self, page: bytes, at: int, length: int, *, is_table: bool) -> bytes:
        """What a cell holds: its first part in its own page, the rest in a chain of others."""
        if length > len(self._content):
            raise ValueError("longer than the file")
        size = self._size
        most = size - 35 if is_table else (size - 12) * 64 // 255 - 23
        local = length
        if length > most:
            least = (size - 12) * 32 // 255 - 23
            local = least + (length - least) % (size - 4)
            local = local if local <= most else least
        content = page[at : at + local]
        next_page = int.from_bytes(page[at + local : at + local + 4], "big") if local < length else 0
        parts, left = [content], length - len(content)
        while next_page and left > 0:
            rest = self._page(next_page)
            part = rest[4 : 4 + left]
            if not part:
                break
            parts.append(part)
            left -= len(part)
            next_page = int.from_bytes(rest[:4], "big")
        if left:
            raise ValueError("cut off")
        return b"".join(parts)

    def _free_pages(self) -> frozenset[int]:
        if self._content[:16] != MAGIC:
            return frozenset()
        free: set[int] = set()
        trunk = int.from_bytes(self._content[32:36], "big")
        while trunk and trunk not in free:
            page = self._page(trunk)
            if len(page) < 8:
                break
            free.add(trunk)
            count = min(int.from_bytes(page[4:8], "big"), self._size // 4 - 2)
            free |= {int.from_bytes(page[place : place + 4], "big") for place in range(8, 8 + 4 * count, 4)}
            trunk = int.from_bytes(page[:4], "big")
        return frozenset(free)


def _page_size(content: bytes) -> int:
    size = int.from_bytes(content[16:18], "big") if content[:16] == MAGIC else 0
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else PAGE_BYTES


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, signed, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | content[place] & 0x7F
        if content[place] < 0x80:
            return value, place + 1
    value = value << 8 | content[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    """Raises `ValueError`, `IndexError` or `struct.error` for what is no record, or has text that is not UTF-8."""
    end, at = _varint(payload, 0)
    if not 0 < end <= len(payload):
        raise ValueError("no record")
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise ValueError("a record that is too long or too short")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), at
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    if 0 < kind < len(_INTEGER_BYTES):
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind < 12:
        raise ValueError("no kind of value")
    end = at + (kind - 12) // 2
    content = payload[at:end]
    return (content.decode() if kind % 2 else content), end
