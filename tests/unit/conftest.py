"""Unit tests need nothing but the library and end in seconds."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile(
    "unit", deadline=None, max_examples=60, database=None, derandomize=True, print_blob=False
)
settings.load_profile("unit")
