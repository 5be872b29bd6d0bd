"""What a command prints is text: nothing of HR's steers the terminal."""

from __future__ import annotations

import csv
import io
import logging
import sys

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from accountsync import event_logs
from accountsync.__main__ import app
from accountsync.cli import screen

EVIL = "A\x1b]0;pwned\x07\x1b[2J\u202e\x9b31m"


def _commands(of: typer.Typer) -> list[typer.models.CommandInfo]:
    below = [group.typer_instance for group in of.registered_groups]
    return of.registered_commands + [c for one in below if one for c in _commands(one)]


def test_every_command_prints_on_a_screen() -> None:
    commands = _commands(app)
    assert len(commands) > 40
    assert {command.cls for command in commands} == {screen.Command}


def test_whatever_way_a_command_prints() -> None:
    shop = typer.Typer()

    @shop.command()
    def show() -> None:
        typer.echo(f"one {EVIL}\ttwo")
        typer.echo(f"error {EVIL}", err=True)
        csv.writer(sys.stdout).writerow([EVIL, "x"])

    screen.show_on_screens(shop)
    done = CliRunner().invoke(shop)
    assert done.exit_code == 0, done.output
    assert not set(done.output) & set("\x1b\x07\u202e\x9b")
    assert "one A\\u001b]0;pwned\\u0007" in done.output
    assert "\ttwo\n" in done.output


def test_a_value_is_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    screen.say("1  A\nplan 7: approved  x", "\t2")
    assert capsys.readouterr().out == "1  A\\u000aplan 7: approved  x\n\t2\n"


@given(st.text())
def test_a_screen_keeps_lines_and_shows_the_rest(text: str) -> None:
    stream = io.StringIO(newline="")
    screen.Screen(stream).write(text)
    shown = stream.getvalue()
    assert shown.count("\n") == text.count("\n")
    assert not set(shown.replace("\r\n", "\n")) & set("\x1b\r\x00\x7f\x85\u2028\u202e")


def test_a_value_begins_no_line_of_a_commands_log() -> None:
    """What follows a newline would pass for an event."""
    record = logging.LogRecord(
        "accountsync.jobs",
        logging.INFO,
        "",
        0,
        "event=x person=%s n=%s",
        (f"7\nevent=y {EVIL}", 3),
        None,
    )
    assert event_logs._show(record)
    said = record.getMessage()
    assert said.startswith("event=x person=7\\u000aevent=y A\\u001b")
    assert said.endswith("n=3")
