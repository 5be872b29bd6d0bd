"""Append-only JSON lines on disk, so that a simulator remembers across restarts and kill -9.

Every entry is one line, written with one system call. A last line without its line feed was torn
by a kill: it is dropped, and cut off before the next entry is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Entry = dict[str, Any]


class JournalMismatchError(Exception):
    """The journal on disk was begun by a simulator with other options."""


class Journal:
    """Without a path, a journal that forgets. `header` names what must not change in between."""

    def __init__(self, path: Path | None, header: Entry) -> None:
        self._path = path
        self._header = header
        self._file = -1
        self._entries: list[Entry] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._entries = self._load(path)

    def replay(self) -> Iterator[Entry]:
        """Yield what was written before this start, oldest first, once."""
        entries, self._entries = self._entries, []
        yield from entries

    def write(self, entry: Entry) -> None:
        """Put one entry at the end."""
        if self._file >= 0:
            os.write(self._file, orjson.dumps(entry) + b"\n")

    def clear(self) -> None:
        """Forget everything but the header."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            self.write(self._header)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _load(self, path: Path) -> list[Entry]:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        lines = [orjson.loads(line) for line in data[:whole].splitlines()]
        if not lines:
            self.write(self._header)
            return []
        if lines[0] != self._header:
            raise JournalMismatchError(f"{path} was begun with {lines[0]}, not {self._header}")
        return lines[1:]
