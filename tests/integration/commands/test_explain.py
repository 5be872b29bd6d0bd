"""One person explained: what an operator asks before calling anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accountsync.domain.reasons import Kind
from accountsync.errors import ConfigurationError
from tests.integration.plans.planned_people import People


def explained(people: People, number: str) -> dict[str, Any]:
    done = people.command("explain", number, "--json")
    assert done.exception is None, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def targets(people: People, number: str) -> dict[str, Any]:
    return {one["target"]: one for one in explained(people, number)["targets"]}


def test_a_rule_is_explained_by_what_it_reads(people: People) -> None:
    people.add("E1", "张伟")
    people.add("E2", "李娜", status="3")
    entitled, refused = targets(people, "E1")["idaas"], targets(people, "E2")["idaas"]
    assert (entitled["in_scope"], refused["in_scope"]) == (True, False)
    assert entitled["rule"] == "person.status in valid_statuses"
    assert entitled["because"] == {"person.status": "1", "valid_statuses": ["1"]}
    assert refused["because"]["person.status"] == "3"
    text = people.command("explain", "E2").output
    assert "idaas: no account is to be made (status_not_valid)\n" in text
    assert "  rule: person.status in valid_statuses: no\n" in text
    assert "    person.status = '3'\n" in text


def test_the_lifecycle_is_told_with_its_dates(people: People) -> None:
    """DESIGN §5."""
    people.add("E1", "张伟")
    people.add("E2", "李娜")
    people.execute(
        "UPDATE accountsync.person SET hire_date = '2999-01-05' WHERE employee_number = 'E2'"
    )
    people.add("E3", "王芳")
    people.execute(
        "UPDATE accountsync.person SET leave_date = '2026-02-01' WHERE employee_number = 'E3'"
    )
    assert people.command("explain", "E1").output.startswith("E1: active since 2026-01-05; ")
    future = explained(people, "E2")
    assert (future["lifecycle"], future["next_at"]) == ("prehire", "2999-01-04T16:00:00+00:00")
    assert people.command("explain", "E3").output.startswith("E3: left since 2026-02-01; ")
    assert {one["wanted"] for one in explained(people, "E3")["targets"]} == {"disabled"}


def test_whom_hr_lacks_is_said_to_be_absent(people: People) -> None:
    """I4: the account stays, and the operator sees why to ask HR."""
    people.add("E1", "张伟")
    assert "absent" not in people.command("explain", "E1").output
    people.execute(
        "WITH run AS (INSERT INTO accountsync.sync_run (source, mode) VALUES ('hieds', 'full')"
        "  RETURNING id),"
        " lacking AS (INSERT INTO accountsync.snapshot (source, run_id, rows, taken_at)"
        "  SELECT 'hieds', id, 0, '2026-03-01 08:00+08' FROM run RETURNING id)"
        " UPDATE accountsync.person SET absent_since_snapshot = lacking.id FROM lacking"
    )
    said = "  absent from HR's complete reads since 2026-03-01 00:00"
    assert said in people.command("explain", "E1").output
    assert explained(people, "E1")["absent_since"].startswith("2026-03-01T00:00")


@pytest.mark.parametrize("has_a_key", [True, False])
def test_of_whom_hrs_row_is_rejected_it_is_said_and_what_is_used_instead(
    people: People, has_a_key: bool
) -> None:
    """I3: nobody takes what is planned for how HR has it now."""
    people.add("E1", "张伟")
    people.add("E2", "李娜")
    people.plan()
    people.execute(
        "WITH run AS (INSERT INTO accountsync.sync_run (source, mode, started_at)"
        "  VALUES ('hieds', 'full', '2026-03-01 08:00+08') RETURNING id)"
        " INSERT INTO accountsync.rejected_record (source, record_key, raw, reasons, first_run_id,"
        "  last_run_id) SELECT 'hieds', :key, CAST(:raw AS json),"
        '  \'[{"kind": "is_no_date", "facts": {"field": "hire_date"}}]\', id, id FROM run',
        key="E1" if has_a_key else "5f0c",
        raw='{"personId": "E1", "employeeNumber": "E1"}'
        if has_a_key
        else '{"employeeNumber": "E1"}',
    )
    text = people.command("explain", "E1").output
    reason = "hire_date: is not a date of the calendar"
    assert f"\n  HR's newest row is rejected since 2026-03-01 00:00 UTC: {reason}\n" in text
    assert "\n  the one before it is used: planned\n" in text
    assert "as HR has it now" not in text
    assert explained(people, "E1")["rejected"]["reasons"] == [
        {"kind": Kind.IS_NO_DATE, "facts": {"field": "hire_date"}}
    ]
    people.execute("UPDATE accountsync.person SET source_updated_at = '2026-02-01 08:00+08'")
    people.change("E1", full_name="张三")
    text = people.command("explain", "E1").output
    assert "\n  the one before it is used, of 2026-02-01 00:00 UTC: changed: the next" in text
    assert "planned as HR has it now" in people.command("explain", "E2").output


def test_what_is_empty_is_shown_as_none(people: People) -> None:
    people.add("E1", "张伟", person_type=None)
    text = people.command("explain", "E1").output
    assert "\n    mobile: none\n" in text
    assert "None" not in text


def test_names_are_shown_as_they_would_be_and_then_as_they_are(people: People) -> None:
    people.add("E1", "张伟")
    people.add("E2", "张伟")
    people.plan(dry_run=True)
    text = people.command("explain", "E1").output
    assert "changed: the next plan decides" in text
    assert "email: would be zhangwei@example.com" in text
    people.plan()
    text = people.command("explain", "E2").output
    assert "planned as HR has it now" in text
    assert "email: zhangwei2@example.com (in use; from mapping, given " in text
    assert targets(people, "E2")["email"]["attributes"]["Alias"] == "zhangwei2"


def test_an_open_task_says_what_it_waits_for_and_why(people: People) -> None:
    people.add("E1", "张伟", person_type="77")
    people.add("E2", "李娜")
    people.plan()
    waiting = targets(people, "E1")["idaas"]
    said = "person type '77' has no active mapping; import one"
    assert (waiting["open_task"]["state"], waiting["open_task"]["cause"]) == (
        "needs_data",
        {"kind": Kind.NOT_MAPPED, "facts": {"what": "person type", "code": "77"}},
    )
    assert f"cannot be given: {said}" in people.command("explain", "E1").output
    dependant = targets(people, "E2")["welink"]
    assert dependant["open_task"]["waits_for"] == dependant["depends_on"] == ["idaas"]
    assert "waits for idaas" in people.command("explain", "E2").output


def test_a_task_that_comes_to_wait_says_why(people: People) -> None:
    """The plan that changes it writes the reason anew, in another statement than the first."""
    people.add("E1", "张伟")
    people.plan()
    people.change("E1", person_type="77")
    people.plan()
    task = targets(people, "E1")["idaas"]["open_task"]
    assert task["cause"] == {
        "kind": Kind.NOT_MAPPED,
        "facts": {"what": "person type", "code": "77"},
    }
    assert task["target"] == "idaas"
    assert '"system"' not in people.command("explain", "E1", "--json").output


def test_explaining_changes_nothing(people: People) -> None:
    people.add("E1", "张伟")
    people.command("explain", "E1")
    for table in ("name_registry", "account_task", "plan", "audit_event"):
        assert people.rows(f"SELECT FROM accountsync.{table}") == []


def test_phone_numbers_are_shown_by_their_last_digits(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: and nothing of it is logged."""
    people.add("E1", "张伟")
    people.execute("UPDATE accountsync.person SET phone = '13800138000'")
    output = (
        people.command("explain", "E1").output + people.command("explain", "E1", "--json").output
    )
    assert "…8000" in output
    assert "13800138000" not in output
    assert "张伟" not in caplog.text


def test_attempts_and_accounts_are_told(people: People) -> None:
    person = people.add("E1", "张伟")
    people.plan()
    people.execute(
        "INSERT INTO accountsync.task_attempt (task_id, number, kind, worker, started_at,"
        " finished_at, outcome, error_kind, code) SELECT id, 1, 'call', 'w', now(), now(),"
        " 'failed', 'RejectedByTargetError', '400' FROM accountsync.account_task"
        " WHERE system = 'idaas'"
    )
    people.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance, disabled_by, disabled_reason) VALUES (:person, 'welink', 'disabled', 'E1',"
        " '{}', 'adopted', 'security', 'stolen phone')",
        person=person,
    )
    waiting = "SAMAccountName: known once the account it reads is there"
    assert waiting in people.command("explain", "E1").output
    people.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance) VALUES (:person, 'idaas', 'active', 'zE1', '{}', 'created')",
        person=person,
    )
    text = people.command("explain", "E1").output
    assert "SAMAccountName: zE1" in text
    assert "idaas create call 1: failed RejectedByTargetError 400" in text
    assert "account: disabled, E1, adopted, disabled by security (stolen phone)\n" in text
    assert "  stays disabled: we did not disable it" in text


def test_somebody_unknown_is_said_to_be_unknown(people: People) -> None:
    error = people.command("explain", "E9").exception
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(
        "nobody has the employee number 'E9'; is it in a row of HR that is"
    )


def test_the_help_says_that_personal_data_is_printed(people: People) -> None:
    assert "personal data" in people.command("explain", "--help").output
