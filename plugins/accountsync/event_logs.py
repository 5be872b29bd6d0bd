"""Keeps a value in a line of our log (`event=… key=value`) from being a line, or a command."""

from __future__ import annotations

import logging

from accountsync.domain.shown import visible


def show_values() -> None:
    """From now on, the handlers of this process show control, bidi and invisible characters of our
    values as escapes. Only processes of our own call it: commands, and our tasks."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_show)


def _show(record: logging.LogRecord) -> bool:
    if record.name.startswith("accountsync") and isinstance(record.args, tuple):
        record.args = tuple(
            visible(value) if isinstance(value, str) else value for value in record.args
        )
    return True
