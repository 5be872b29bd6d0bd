"""The operator's commands about feeds and rejected rows, as they are typed (I3, I15)."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from accountsync.__main__ import app
from accountsync.errors import AccountSyncError, SafetyStopError
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import REPOSITORY


class Shell:
    def __init__(self) -> None:
        self._runner = CliRunner()

    def run(self, *words: str) -> Result:
        return self._runner.invoke(app, list(words))

    def __call__(self, *words: str) -> str:
        """What a command that succeeds prints."""
        done = self.run(*words)
        assert done.exception is None, done.output
        return done.output


@pytest.fixture
def shell(world: HrWorld, monkeypatch: pytest.MonkeyPatch) -> Shell:
    url = world.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(REPOSITORY / "config" / "accountsync.yaml"))
    return Shell()


def _held(world: HrWorld) -> str:
    world.sync()
    for row in world.hr.persons()[:25]:
        world.change(row, personDept=[], fullName="王五")
    world.change(world.hr.persons()[30], fullName="")
    world.hr.events(join=1)
    with pytest.raises(SafetyStopError):
        world.sync("full")
    return str(world.last_run["id"])


def test_a_held_feed_is_listed_shown_and_approved(world: HrWorld, shell: Shell) -> None:
    assert shell("feed", "list") == "no feed is held\n"
    feed = _held(world)
    world.execute(
        "UPDATE accountsync.sync_run SET started_at = '2026-01-31 08:00Z' WHERE state='held'"
    )
    assert world.sync("full").stopped_by
    listed = shell("feed", "list")
    assert listed.startswith(f"{feed}  hieds  full  read 2026-01-31 08:00 UTC")
    assert "department_code: 25 of 39 persons lose it, allowed are 10 %" in listed
    shown = shell("feed", "show", feed)
    assert f"feed {feed} of hieds: full, held" in shown
    assert "41 rows: 1 to insert, 25 to update, 14 unchanged, 1 rejected" in shown
    assert "department_code: 25 changed, 25 of them emptied; for example 00100001, " in shown
    assert " → nothing: " in shown
    assert "rejected, full_name: is missing: 1; for example 00100031" in shown
    assert "王五" not in shown
    done = shell("feed", "approve", feed, "--comment", "HR says so", "--actor", "oper")
    assert done == f"feed {feed} merged: 1 inserted, 25 updated, 14 unchanged, 1 rejected\n"
    assert world.scalar("SELECT actor FROM accountsync.audit_event") == "oper"
    shown = shell("feed", "show", feed)
    assert f"feed {feed} of hieds: full, approved" in shown
    assert "41 rows: 1 inserted, 25 updated, 14 unchanged, 1 rejected" in shown


def test_a_held_feed_is_rejected_with_a_reason(world: HrWorld, shell: Shell) -> None:
    feed = _held(world)
    assert shell.run("feed", "reject", feed).exit_code == 2
    assert "nothing of it was merged" in shell("feed", "reject", feed, "--comment", "a bug")
    again = shell.run("feed", "reject", feed, "--comment", "a bug")
    assert isinstance(again.exception, AccountSyncError)
    assert "held no more: it was rejected" in str(again.exception)


def test_who_is_missing_is_listed_once_a_human_has_to_say(world: HrWorld, shell: Shell) -> None:
    """I4."""
    world.sync()
    row = world.hr.persons()[7]
    world.hr.vanish(row["personId"])
    number = row["employeeNumber"]
    world.sync("full")
    asked = "nobody has to be asked about; 1 are missing (--all)\n"
    assert shell("feed", "absent") == asked
    assert f"{number}  hieds  since " in shell("feed", "absent", "--all")
    world.sync("full")
    world.sync("full")
    assert "3 complete reads" in shell("feed", "absent")
    assert shell("feed", "presume-left", number, "--comment", "x") == "1 taken for leavers\n"
    assert shell("feed", "absent") == asked
    assert "taken for a leaver on 20" in shell("feed", "absent", "--all")


def test_rejected_rows_are_listed_by_number_and_reason(world: HrWorld, shell: Shell) -> None:
    row = world.change(world.hr.persons()[3], originalHireDate="2025-13-45", fullName="王五")
    world.sync()
    listed = shell("reject", "list")
    assert re.match(rf"hieds  {row['personId']}  {row['employeeNumber']}  since 20", listed)
    assert "    hire_date: is not a date of the calendar\n1 rows are rejected\n" in listed
    assert "王五" not in listed
    close = ("reject", "close", "hieds", str(row["personId"]), "--comment", "HR knows")
    assert shell(*close) == f"row {row['personId']} of hieds closed\n"
    assert shell("reject", "list") == "0 rows are rejected\n"
    assert "no open rejected row" in str(shell.run(*close).exception)
    world.sync("full")
    assert "1 rows are rejected" in shell("reject", "list")


def test_rejected_rows_are_exported_without_personal_data_unless_asked_for(
    world: HrWorld, shell: Shell, tmp_path: Path
) -> None:
    """I15."""
    row = world.change(world.hr.persons()[3], originalHireDate="2025-13-45", fullName="王五")
    world.change(world.hr.persons()[4], employeeNumber="=1+1", originalHireDate="2025-13-45")
    world.sync()
    printed = shell("reject", "export")
    assert "王五" not in printed
    (first, second) = csv.DictReader(printed.splitlines())
    assert (first["record_key"], first["employee_number"]) == (
        str(row["personId"]),
        row["employeeNumber"],
    )
    assert second["employee_number"] == "'=1+1"
    refused = shell.run("reject", "export", "--raw")
    assert "personal data is never printed" in str(refused.exception)
    lost = shell.run("reject", "export", "--file", str(tmp_path / "no" / "rejects.csv"))
    assert "cannot be written: No such file or directory" in str(lost.exception)
    file = tmp_path / "rejects.csv"
    file.touch(0o644)
    assert shell("reject", "export", "--raw", "--file", str(file)) == f"{file}: 2 rows\n"
    assert file.stat().st_mode & 0o077 == 0
    with file.open(newline="") as lines:
        exported = next(csv.DictReader(lines))
    assert json.loads(exported["raw"]) == row
