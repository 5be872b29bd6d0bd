"""Rows that the store holds already: a complete read of HR brings hardly anything else."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol

PREFIX_BYTES = 8
"""Of a content hash. The merge compares whole ones: what shares no more than its beginning with a
known row is found out there."""
_SHIFT = 48
_GROUPS = 1 << 16


class Known(Protocol):
    """A set of content hashes, as far as it is asked."""

    def __contains__(self, content_hash: object, /) -> bool: ...
    def __len__(self) -> int: ...


class KnownContent:
    """Set of content hashes, by their first bytes: 8 MB for a million persons.

    `groups`: those beginnings one after the other, sorted through all of them.
    """

    def __init__(self, groups: Iterable[bytes]) -> None:
        found = array("Q")
        for group in groups:
            found.frombytes(group)
        if sys.byteorder == "little":
            found.byteswap()
        self._found = found
        self._begins = array("Q", (bisect_left(found, n << _SHIFT) for n in range(_GROUPS)))
        self._begins.append(len(found))

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, content_hash: object) -> bool:
        if not isinstance(content_hash, bytes):
            return False
        wanted = int.from_bytes(content_hash[:PREFIX_BYTES], "big")
        group = wanted >> _SHIFT
        end = self._begins[group + 1]
        at = bisect_left(self._found, wanted, self._begins[group], end)
        return at < end and self._found[at] == wanted
