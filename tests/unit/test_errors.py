"""One tree of errors, drawn on top of its module."""

from __future__ import annotations

import re
from itertools import pairwise

from accountsync import errors
from accountsync.errors import AccountSyncError


def drawn() -> list[tuple[str, int]]:
    """(name, depth) of each line of the drawing."""
    found = re.finditer(r"^(?P<branch>[│├└─ ]*)(?P<name>\w+Error)\b", errors.__doc__ or "", re.M)
    return [(line["name"], len(line["branch"]) // 4) for line in found]


def test_the_drawing_is_the_tree() -> None:
    parents: list[str] = []
    for name, depth in drawn():
        kind = getattr(errors, name)
        parents = [*parents[:depth], name]
        if depth:
            assert kind.__mro__[1].__name__ == parents[depth - 1]
        else:
            assert kind is AccountSyncError
    defined = [name for name, kind in vars(errors).items() if isinstance(kind, type)]
    assert [name for name, _ in drawn()] == defined


def test_the_drawing_leaves_no_level_out() -> None:
    assert all(depth <= above + 1 for (_, above), (_, depth) in pairwise(drawn()))
