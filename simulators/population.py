"""The persons of the simulated HR system, ordered by personId and kept as ready-made JSON.

A row is generated and serialised when it is first read, then kept as bytes, so a page is one join
of slices. A million persons need about 1.1 GB once all were read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from pathlib import Path

import orjson

from .journal import Journal
from .persons import (
    FIRST_PERSON_ID,
    Row,
    generated_row,
    now_stamp,
    seconds_of,
    stamp_seconds,
)

_VIEWS_KEPT = 8


class Population:
    """Persons in memory. `put` and `vanish` are the only ways to change them; both are journalled.

    `born` counts every index ever used, so no number is given twice; `sequence` counts changes.
    """

    def __init__(self, *, persons: int, seed: int, state: Path | None = None) -> None:
        self.seed = seed
        self._initial = persons
        header = {"journal": "hr", "persons": persons, "seed": seed}
        self._journal = Journal(state and state / "hr.jsonl", header)
        self._fill()
        for entry in self._journal.replay():
            self._apply(entry["put"], entry["vanish"], entry["born"])

    def __len__(self) -> int:
        return len(self._ids)

    def reset(self) -> None:
        """Go back to the generated persons, on disk too."""
        self._journal.clear()
        self._fill()

    def close(self) -> None:
        self._journal.close()

    def change(self, *, put: list[Row] | None = None, vanish: list[int] | None = None) -> None:
        """Insert or replace rows by personId, remove others, and remember it."""
        put, vanish = put or [], vanish or []
        self._apply(put, vanish, self.born)
        self._journal.write({"put": put, "vanish": vanish, "born": self.born})

    def next_index(self) -> int:
        """Give an index that nobody had before."""
        while self._position(FIRST_PERSON_ID + self.born) is not None:
            self.born += 1
        self.born += 1
        return self.born - 1

    def person_ids(self) -> array[int]:
        return self._ids

    def row(self, position: int) -> Row:
        """Give the row at a position of the personId order; a copy, safe to edit."""
        person_id = self._ids[position]
        known = self._edited.get(person_id)
        if known is None:
            return generated_row(self.seed, person_id - FIRST_PERSON_ID)
        return {**known}

    def find(self, person_id: int) -> Row | None:
        position = self._position(person_id)
        return None if position is None else self.row(position)

    def since(self, start: int | None) -> range | list[int]:
        """List the positions of persons changed at `start` (seconds) or later, by personId."""
        if start is None:
            return range(len(self._ids))
        if start not in self._views:
            if len(self._views) >= _VIEWS_KEPT:
                self._views.clear()
            self._views[start] = [n for n, at in enumerate(self._stamps) if at >= start]
        return self._views[start]

    def json_rows(self, positions: range | list[int]) -> bytes:
        """Join the rows at these positions as the inside of a JSON list."""
        kept = self._json
        return b",".join([kept[n] or self._serialise(n) for n in positions])

    def warm(self) -> None:
        """Serialise every row now instead of when it is first read."""
        for position in range(len(self._ids)):
            self._serialise(position)

    def _serialise(self, position: int) -> bytes:
        # Copied: what orjson returns sits in a larger block, which costs three times the time.
        data = bytes(memoryview(orjson.dumps(self.row(position))))
        self._json[position] = data
        return data

    def _fill(self) -> None:
        self.born, self.sequence = self._initial, 0
        self._ids = array("q", range(FIRST_PERSON_ID, FIRST_PERSON_ID + self._initial))
        self._stamps = array("q", (stamp_seconds(self.seed, n) for n in range(self._initial)))
        self._json: list[bytes | None] = [None] * self._initial
        self._edited: dict[int, Row] = {}
        self._views: dict[int, list[int]] = {}

    def _apply(self, put: list[Row], vanish: list[int], born: int) -> None:
        for row in put:
            self._put(row)
        for person_id in vanish:
            self._vanish(person_id)
        self.born = born
        self.sequence += 1
        self._views.clear()

    def _put(self, row: Row) -> None:
        person_id = row["personId"]
        position = bisect_left(self._ids, person_id)
        if self._position(person_id) is None:
            self._ids.insert(position, person_id)
            self._stamps.insert(position, 0)
            self._json.insert(position, None)
        seconds = seconds_of(row["lastUpdateDate"])
        self._stamps[position] = seconds_of(now_stamp()) or 0 if seconds is None else seconds
        self._json[position] = None
        self._edited[person_id] = row

    def _vanish(self, person_id: int) -> None:
        position = self._position(person_id)
        if position is not None:
            del self._ids[position], self._stamps[position], self._json[position]
            self._edited.pop(person_id, None)

    def _position(self, person_id: int) -> int | None:
        position = bisect_left(self._ids, person_id)
        found = position < len(self._ids) and self._ids[position] == person_id
        return position if found else None
