"""Rows that the store holds already, which most rows of a complete read are."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol

PREFIX_BYTES = 8
"""How much of a content hash is compared here. The merge compares whole hashes, so a new row that
only begins like a known one is not lost."""
_SHIFT = 48
_GROUPS = 1 << 16


class Known(Protocol):
    """A set of content hashes, with as much of a set as is used."""

    def __contains__(self, content_hash: object, /) -> bool: ...
    def __len__(self) -> int: ...


class KnownContent:
    """A set of content hashes by their first bytes, which takes 8 MB for a million persons.

    `groups`: those beginnings one after the other, sorted through all of them.
    """

    def __init__(self, groups: Iterable[bytes]) -> None:
        beginnings = array("Q")
        for group in groups:
            beginnings.frombytes(group)
        if sys.byteorder == "little":
            beginnings.byteswap()
        self._beginnings = beginnings
        group_starts = (bisect_left(beginnings, n << _SHIFT) for n in range(_GROUPS))
        self._group_starts = array("Q", group_starts)
        self._group_starts.append(len(beginnings))

    def __len__(self) -> int:
        return len(self._beginnings)

    def __contains__(self, content_hash: object) -> bool:
        if not isinstance(content_hash, bytes):
            return False
        wanted = int.from_bytes(content_hash[:PREFIX_BYTES], "big")
        group = wanted >> _SHIFT
        start, end = self._group_starts[group], self._group_starts[group + 1]
        position = bisect_left(self._beginnings, wanted, start, end)
        return position < end and self._beginnings[position] == wanted
