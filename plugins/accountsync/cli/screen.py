"""What commands print is shown as text: nothing that HR or a target wrote steers the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import typer
from typer.core import TyperCommand

from accountsync.domain.shown import visible, visible_lines

_ENDS_OF_LINES = re.compile(r"(\r?\n)")


class Screen:
    """A stream of text that shows control, bidi and invisible characters as escapes. Only lines and
    tabs stay what they are."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        shown = [
            part if _ENDS_OF_LINES.fullmatch(part) else visible_lines(part)
            for part in _ENDS_OF_LINES.split(text)
        ]
        return self._stream.write("".join(shown))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Command(TyperCommand):
    """A command whose output is shown on a Screen. Its help is ours, and may have colours."""

    def invoke(self, ctx: Any) -> Any:
        with _screens():
            return super().invoke(ctx)


@contextmanager
def _screens() -> Iterator[None]:
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Screen(out), Screen(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def show_on_screens(app: typer.Typer) -> None:
    """Makes every command of the app, and of those below it, one of these."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            show_on_screens(group.typer_instance)


def say(*lines: str) -> None:
    """Prints lines that hold values of others: none of these begins a line of its own."""
    typer.echo("\n".join(visible(line, but="\t") for line in lines))


def say_error(said: str) -> None:
    typer.echo(visible_lines(said), err=True)
