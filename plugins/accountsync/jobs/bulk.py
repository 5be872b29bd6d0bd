"""What work on a million rows asks of the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_AT_ONCE = 100_000


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
