"""Numbers of plans, tasks, feeds and requests on the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from accountsync.__main__ import app


@pytest.mark.parametrize("number", ["0", str(2**63), str(10**30)])
@pytest.mark.parametrize(
    "command",
    [
        ("plan", "show", "{}"),
        ("task", "show", "{}"),
        ("task", "list", "--request", "{}"),
        ("task", "done", "--comment", "c", "--task", "{}"),
        ("feed", "show", "{}"),
        ("request", "status", "{}"),
    ],
    ids=" ".join,
)
def test_a_number_that_no_row_has_is_refused_before_the_store_is_asked(
    command: tuple[str, ...], number: str
) -> None:
    """Also where the store could not even hold it."""
    asked = CliRunner().invoke(app, [part.format(number) for part in command])
    assert asked.exit_code == 2
    assert "Invalid value for" in asked.output
