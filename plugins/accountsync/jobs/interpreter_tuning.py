"""What work on a million rows asks of the process."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_AT_ONCE = 100_000
_TURN_S = 0.0005


@contextmanager
def rare_collections() -> Iterator[None]:
    """Python looks for cyclic garbage after every 700 new objects, again and again through all that
    a lot holds. Lots have no cycles; once in a while is enough."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_AT_ONCE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def short_turns() -> Iterator[None]:
    """A thread that talks with the database needs the interpreter for moments, again and again, and
    would wait 5 ms for each while another one computes: the database would stand idle meanwhile."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
