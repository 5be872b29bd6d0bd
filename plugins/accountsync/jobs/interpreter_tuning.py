"""Settings of the Python interpreter for work on a million rows."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_AT_ONCE = 100_000
_TURN_S = 0.0005


@contextmanager
def rare_collections() -> Iterator[None]:
    """Lets Python look for cyclic garbage less often. It does so after every 700 new objects, and
    walks through all that a lot holds; lots have no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_AT_ONCE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def short_turns() -> Iterator[None]:
    """Lets threads take turns after 0.5 ms. A thread that talks with the database needs the
    interpreter for moments only, and would wait 5 ms for each while another thread computes; the
    database would be idle meanwhile."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
