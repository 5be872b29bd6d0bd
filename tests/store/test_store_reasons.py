"""What earlier stores said in English is said by kinds and facts, and is still the same (0003)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from accountsync.domain.reasons import Kind, Reason, from_document, from_documents, from_text
from accountsync.jobs.reason_texts import all_english, english
from accountsync.store import causes, schema
from accountsync.store.persons import held_feeds, rejects
from accountsync.store.plans import guarded_tasks
from tests.store.people import add_persons
from tests.store.stores import restore

NOW = datetime(2026, 11, 30, tzinfo=UTC)
HELD = {
    "10 of 40 active accounts, more than 20 %": [
        Reason.of(Kind.MORE_THAN_SHARE, asked=10, active=40, allowed=20)
    ],
    "250 of 9000 active accounts, more than 180 at once; 41 within 24 hours, more than 40;"
    " 101 within 7 days, more than 100": [
        Reason.of(Kind.MORE_AT_ONCE, asked=250, active=9000, allowed=180),
        Reason.of(Kind.MORE_IN_24_HOURS, asked=41, allowed=40),
        Reason.of(Kind.MORE_IN_7_DAYS, asked=101, allowed=100),
    ],
    "too many": [from_text("too many")],
}
STOPPED = {
    "not one row, where 80 persons are known": Reason.of(Kind.NOT_ONE_ROW, known=80),
    "101 of 1000 rows are newly rejected, allowed are 2.5 %": Reason.of(
        Kind.NEWLY_REJECTED, affected=101, of=1000, allowed=2.5
    ),
    "leave_date: 20 of 38 persons lose it, allowed are 10 %": Reason.of(
        Kind.FIELD_EMPTIED, field="leave_date", affected=20, of=38, allowed=10
    ),
    "status: 20 of 38 persons who had left are back, allowed are 10 %": Reason.of(
        Kind.LEAVERS_BACK, field="status", affected=20, of=38, allowed=10
    ),
    "email: changes for 301 of 1000 persons, allowed are 30 %": Reason.of(
        Kind.FIELD_CHANGED, field="email", affected=301, of=1000, allowed=30
    ),
    "it's odd": from_text("it's odd"),
}
REJECTED = {
    "full_name: is missing": Reason.of(Kind.IS_MISSING, field="full_name"),
    "status: is longer than 500 characters": Reason.of(
        Kind.IS_TOO_LONG, field="status", allowed=500
    ),
    "row: line 3 of the file is no JSON": Reason.of(Kind.IS_NO_JSON_LINE, field="row", line=3),
    "row: holds half a character, or bytes that are none, or a number that cannot be kept": (
        Reason.of(Kind.IS_NO_JSON_VALUE, field="row")
    ),
    "employee_number: belongs to another person": Reason.of(
        Kind.IS_ANOTHER_PERSONS, field="employee_number"
    ),
    "employee_number: belongs to another person, made by a request": Reason.of(
        Kind.IS_A_REQUESTED_PERSONS, field="employee_number"
    ),
    "employee_number: belongs to a person of HR, East": Reason.of(
        Kind.IS_OF_ANOTHER_SOURCE, field="employee_number", source="HR, East"
    ),
    "hire_date: date value out of range": from_text("hire_date: date value out of range"),
}
# state, error kind, what stood in `cause` → what stands there for it
CAUSES: dict[tuple[str, str | None, str], Reason] = {
    ("failed", "DependencyFailed", "idaas failed for good"): Reason.of(
        Kind.DEPENDENCY_FAILED, target="idaas"
    ),
    ("failed", "RejectedByTargetError", "idaas failed for good"): from_text(
        "idaas failed for good"
    ),
    ("superseded", None, "its reason has gone"): Reason.of(Kind.REASON_GONE),
    ("cancelled", None, "cancel by ann: he said: {no}"): Reason.of(
        Kind.COMMANDED, command="cancel", actor="ann", comment="he said: {no}"
    ),
    ("superseded", None, "reconsidered by bob: a mistake"): Reason.of(
        Kind.COMMANDED, command="reconsider", actor="bob", comment="a mistake"
    ),
    ("needs_data", None, "department 'D2' has no active mapping; import one"): Reason.of(
        Kind.NOT_MAPPED, what="department", code="D2"
    ),
    ("needs_data", None, "HR gives no person type"): Reason.of(
        Kind.NOT_GIVEN_BY_HR, what="person type"
    ),
    ("unknown", "LeaseExpired", "the worker died while the call was under way"): Reason.of(
        Kind.WORKER_DIED
    ),
    ("failed", "RejectedByTargetError", "code 4711, 'x'"): from_text("code 4711, 'x'"),
}


@pytest.fixture
def before(empty: Engine) -> Engine:
    """A store as 0002 left it."""
    schema.upgrade(empty, "0002")
    return empty


def run(connection: Connection, statement: str, **bound: Any) -> Any:
    return connection.execute(text(statement), bound)


def _fill(connection: Connection) -> None:
    people = add_persons(connection, len(CAUSES) + len(HELD))
    (plan,) = run(
        connection,
        "INSERT INTO accountsync.plan (state, persons, counts, lines, content_hash) VALUES"
        " ('held', 3, '{}', CAST(:lines AS jsonb), 'x') RETURNING id",
        lines='{"idaas": {"disable": {"tasks": 3, "held": 3, "reasons": {"left": 3}, "examples":'
        ' ["1"], "held_because": "10 of 40 active accounts, more than 20 %"}, "create": {"tasks":'
        ' 1, "held": 0, "reasons": {"": 1}, "examples": [], "held_because": null}}}',
    ).one()
    task = (
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " state, cause, error_kind, held_because, finished_at) VALUES (:plan, :person, 'welink',"
        " 'disable', '{}', :state, :cause, :error_kind, :held, :finished_at)"
    )
    for person, (state, error_kind, cause) in zip(people, CAUSES, strict=False):
        is_over = state in ("failed", "superseded", "cancelled")
        run(
            connection, task, plan=plan, person=person, state=state, cause=cause, held=None,
            error_kind=error_kind, finished_at=NOW if is_over else None,
        )  # fmt: skip
    for person, held in zip(people[len(CAUSES) :], HELD, strict=True):
        run(
            connection, task, plan=plan, person=person, state="held", cause=None, held=held,
            error_kind=None, finished_at=None,
        )  # fmt: skip
    _fill_runs(connection)


def _fill_runs(connection: Connection) -> None:
    (feed,) = run(
        connection,
        "INSERT INTO accountsync.sync_run (source, mode, state, stopped_by, fingerprint,"
        " differences) VALUES ('hieds', 'full', 'held', :reasons, 'f', jsonb_build_object("
        " 'rejected', jsonb_build_array(jsonb_build_object('reason', 'full_name: is missing',"
        " 'rows', 2, 'examples', jsonb_build_array('E1'))))) RETURNING id",
        reasons=list(STOPPED),
    ).one()
    run(
        connection,
        "INSERT INTO accountsync.sync_run (source, mode, state, silent_since, error) VALUES"
        " ('hieds', 'full', 'succeeded', now(), 'hieds: nothing came')",
    )
    run(
        connection,
        f"CREATE TABLE accountsync.staged_{feed} (position int, problems text[])",
    )
    run(
        connection,
        f"INSERT INTO accountsync.staged_{feed} VALUES (1, NULL), (2, :problems)",
        problems=list(REJECTED),
    )
    run(
        connection,
        "INSERT INTO accountsync.rejected_record (source, record_key, raw, reasons, first_run_id,"
        " last_run_id) VALUES ('hieds', '7', '{}', :reasons, :run, :run)",
        reasons=list(REJECTED),
        run=feed,
    )
    run(
        connection,
        "INSERT INTO accountsync.correlation_case (system, account_key, account, candidates,"
        " reasons, found_at) VALUES ('idaas', 'x', '{}', '{1}', :reasons, now())",
        reasons=["2 persons match", "its user's name is another person's name"],
    )


def _assert_carried_over(connection: Connection) -> None:
    tasks = run(
        connection,
        "SELECT state, error_kind, cause, cause_kind, cause_facts, held_because"
        " FROM accountsync.account_task ORDER BY id",
    ).mappings()
    found = list(tasks)
    assert [causes.read(row) for row in found] == [*CAUSES.values(), *([None] * len(HELD))]
    assert [list(from_documents(row["held_because"] or ())) for row in found] == [
        *([[]] * len(CAUSES)), *HELD.values(),
    ]  # fmt: skip
    (plan,) = guarded_tasks.recent_plans(connection, limit=9)
    assert [(line.target, line.operation, line.held) for line in plan.lines] == [
        ("idaas", "create", 0), ("idaas", "disable", 3),
    ]  # fmt: skip
    assert [list(line.held_because) for line in plan.lines] == [[], next(iter(HELD.values()))]
    assert plan.lines[1].reasons == {"left": 3}


def _assert_runs_carried_over(connection: Connection) -> None:
    (feed,) = held_feeds.open_ones(connection)
    assert list(feed.stopped_by) == list(STOPPED.values())
    (rejected,) = feed.differences["rejected"]
    assert from_document(rejected.pop("reason")) == Reason.of(Kind.IS_MISSING, field="full_name")
    assert rejected == {"rows": 2, "examples": ["E1"]}
    staged = run(connection, f"SELECT problems FROM accountsync.staged_{feed.id} ORDER BY position")
    good, bad = staged.scalars()
    assert (good, list(from_documents(bad))) == (None, list(REJECTED.values()))
    (reject,) = rejects.open_ones(connection)
    assert list(reject.reasons) == list(REJECTED.values())
    silence = "SELECT silence, error FROM accountsync.sync_run WHERE silent_since IS NOT NULL"
    ((document, error),) = run(connection, silence)
    assert (from_document(document), error) == (from_text("hieds: nothing came"), None)
    (doubts,) = run(connection, "SELECT reasons FROM accountsync.correlation_case").scalars()
    assert from_documents(doubts) == (
        Reason.of(Kind.MATCHES_SEVERAL_PERSONS, persons=2),
        Reason.of(Kind.NAME_IS_ANOTHERS, namespace="user's name"),
    )


def test_sentences_become_kinds_and_facts_and_others_words_stay(before: Engine) -> None:
    with before.begin() as connection:
        _fill(connection)
    for _ in range(2):  # once more, as after an interruption
        schema.upgrade(before)
        with before.begin() as connection:
            _assert_carried_over(connection)
            _assert_runs_carried_over(connection)
            schema.require_our_tables(connection)
            run(connection, "UPDATE accountsync.alembic_version SET version_num = '0002'")


def test_what_they_say_is_what_was_said(before: Engine) -> None:
    assert [all_english(reasons) for reasons in HELD.values()] == list(HELD)
    assert [english(reason) for reason in STOPPED.values()] == list(STOPPED)
    assert [english(reason) for reason in REJECTED.values()] == list(REJECTED)


def test_a_view_on_what_changes_its_type_is_told(before: Engine) -> None:
    with before.begin() as connection:
        run(connection, "CREATE VIEW mine AS SELECT stopped_by FROM accountsync.sync_run")
    with pytest.raises(schema.ConfigurationError, match="a view or another object.*stopped_by"):
        schema.upgrade(before)
    with before.begin() as connection:
        run(connection, "DROP VIEW mine")
    schema.upgrade(before)


@pytest.mark.parametrize("number", [6, 21])
def test_earlier_stores_say_the_same_as_before(empty: Engine, number: int) -> None:
    restore(empty, number)
    query = "SELECT cause FROM accountsync.account_task WHERE cause IS NOT NULL ORDER BY id"
    with empty.connect() as connection:
        sentences = run(connection, query).scalars().all()
    schema.upgrade(empty)
    query = (
        "SELECT cause, cause_kind, cause_facts FROM accountsync.account_task"
        " WHERE cause IS NOT NULL OR cause_kind IS NOT NULL ORDER BY id"
    )
    with empty.connect() as connection:
        found = [causes.read(row) for row in run(connection, query).mappings()]
    assert [english(cause) for cause in found if cause] == sentences


def test_what_is_taken_back_is_not_lost(before: Engine) -> None:
    with before.begin() as connection:
        _fill(connection)
    schema.upgrade(before)
    schema.downgrade(before, "0002")
    with before.connect() as connection:
        left = run(connection, "SELECT cause FROM accountsync.account_task ORDER BY id").scalars()
        assert [cause for cause in left if cause][:2] == ["idaas failed for good"] * 2
    schema.upgrade(before)
    with before.connect() as connection:
        assert guarded_tasks.recent_plans(connection, limit=1)[0].lines[1].held == 3
