"""The chain from HR to the targets: what it creates, and what it never creates twice."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from accountsync.domain.reasons import Kind
from accountsync.errors import ConfigurationError, TargetDownError
from tests.installation import Installation

TARGETS = ("idaas", "welink", "exchange")


def _valid(installation: Installation) -> set[str]:
    return {
        row["employeeNumber"]
        for row in installation.sims.hr.persons()
        if row["employeeStatus"] == "1"
    }


def _active(installation: Installation, target: str) -> int:
    return int(
        installation.scalar(
            "SELECT count(*) FROM accountsync.account WHERE system = :s AND state = 'active'",
            s=target,
        )
    )


def _creates(installation: Installation) -> int:
    return sum(
        len(client.accounts())
        for client in (
            installation.sims.idaas,
            installation.sims.welink,
            installation.sims.exchange,
        )
    )


def test_every_valid_person_gets_one_account_per_target(installation: Installation) -> None:
    installation.sync()
    installation.plan()
    installation.drain()
    valid = _valid(installation)
    assert {a["employeeNumber"] for a in installation.sims.idaas.accounts()} == valid
    assert {a["corpUserId"] for a in installation.sims.welink.accounts()} == valid
    for target in ("idaas", "welink", "email"):
        assert _active(installation, target) == len(valid)
    assert _creates(installation) == 3 * len(valid)


def test_a_second_run_of_everything_changes_nothing(installation: Installation) -> None:
    """I5, I9: any run may be repeated. The first plan after all is there renames the mailboxes
    whose address the service made from another domain."""
    attempts = []
    for _ in range(3):
        installation.sync("full")
        installation.plan()
        installation.drain()
        attempts.append(installation.scalar("SELECT count(*) FROM accountsync.task_attempt"))
    assert _creates(installation) == 3 * len(_valid(installation))
    assert attempts[0] == _creates(installation) < attempts[1] == attempts[2]


def test_dependants_wait_and_say_for_what(installation: Installation) -> None:
    """I12."""
    installation.sync()
    installation.plan()
    waiting = installation.rows(
        "SELECT system, state, waits_for FROM accountsync.account_task WHERE system <> 'idaas'"
    )
    assert {(row["state"], tuple(row["waits_for"])) for row in waiting} == {("waiting", ("idaas",))}
    summary = installation.process("idaas")
    assert summary.released == 2 * len(_valid(installation))


def test_dependants_of_a_failed_task_fail_with_that_cause(installation: Installation) -> None:
    """I12."""
    installation.sims.idaas.fault("ok_with_error", path="/onboarding", times=1)
    installation.sync()
    installation.plan()
    installation.process("idaas")
    failed = installation.rows(
        "SELECT system, cause_kind, cause_facts FROM accountsync.account_task"
        " WHERE state = 'failed' ORDER BY system"
    )
    because_of_idaas = (Kind.DEPENDENCY_FAILED, {"system": "idaas"})
    assert [tuple(row.values()) for row in failed] == [
        ("email", *because_of_idaas), ("idaas", None, None), ("welink", *because_of_idaas),
    ]  # fmt: skip


def test_namesakes_get_different_names_with_one_number_for_all(installation: Installation) -> None:
    """I8: zhangwei2 is zhangwei2@… and nothing else; PREDECESSOR faults 8, 9, 18."""
    people = installation.sims.hr.persons()[:4]
    for person in people:
        person["fullName"], person["personType"], person["employeeStatus"] = "张伟", "10", "1"
    installation.sims.hr.put_persons(*people)
    installation.sync()
    installation.plan()
    names = installation.rows(
        "SELECT a.value AS alias, e.value AS email FROM accountsync.name_registry a"
        " JOIN accountsync.name_registry e USING (person_id)"
        " WHERE a.namespace = 'mail_alias' AND e.namespace = 'email'"
        " AND a.folded_base = 'zhangwei' ORDER BY a.number"
    )
    aliases = [row["alias"] for row in names]
    assert aliases[:4] == ["zhangwei", "zhangwei2", "zhangwei3", "zhangwei4"]
    assert all(row["email"].partition("@")[0] == row["alias"] for row in names)


def test_a_missing_mapping_holds_only_its_people_and_heals_by_itself(
    installation: Installation,
) -> None:
    """NeedsData: PREDECESSOR fault 10."""
    installation.execute("DELETE FROM accountsync.person_type_mapping WHERE person_type = '12'")
    installation.sync()
    installation.plan()
    causes = installation.rows(
        "SELECT DISTINCT cause_kind, cause_facts FROM accountsync.account_task"
        " WHERE state = 'needs_data'"
    )
    assert [tuple(row.values()) for row in causes] == [
        (Kind.NOT_MAPPED, {"what": "person type", "code": "12"})
    ]
    installation.drain()
    _import_interns(installation)
    installation.plan()
    installation.drain()
    assert _creates(installation) == 3 * len(_valid(installation))


def _import_interns(installation: Installation) -> None:
    from accountsync.store.persons import mappings

    row = {
        "person_type": "12",
        "email_domain": "intern.example.com",
        "idaas_user_type": "intern",
        "welink_person_type": "12",
        "active": True,
        "description": None,
    }
    with installation.engine.begin() as connection:
        mappings.write(connection, mappings.TABLES["person-types"], [row])


def test_who_is_no_longer_entitled_loses_the_open_task(installation: Installation) -> None:
    """I6: PREDECESSOR fault 7, as far as nothing was created yet."""
    installation.sync()
    installation.plan()
    person = next(p for p in installation.sims.hr.persons() if p["employeeStatus"] == "1")
    stamp = "2026-01-31 12:00:00"
    installation.sims.hr.put_persons(person | {"employeeStatus": "3", "lastUpdateDate": stamp})
    installation.sync()
    installation.plan()
    states = installation.rows(
        "SELECT DISTINCT t.state FROM accountsync.account_task t JOIN accountsync.person p"
        " ON p.id = t.person_id WHERE p.employee_number = :n",
        n=person["employeeNumber"],
    )
    assert [row["state"] for row in states] == ["superseded"]


def test_a_dry_run_leaves_nothing_but_what_it_would_do(installation: Installation) -> None:
    installation.sync()
    summary = installation.plan(dry_run=True)
    assert summary.released == len(_valid(installation))
    for table in ("account_task", "name_registry", "planned_rules"):
        assert installation.scalar(f"SELECT count(*) FROM accountsync.{table}") == 0
    assert installation.scalar("SELECT state FROM accountsync.plan") == "dry_run"


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_a_call_without_an_answer_is_looked_up_before_it_is_repeated(
    installation: Installation, kind: str
) -> None:
    """I9: whether or not the target had applied it, exactly one account."""
    installation.sims.idaas.fault(kind, path="/onboarding", times=5)
    installation.sync()
    installation.plan()
    first = installation.process("idaas")
    assert first.outcomes["unknown"] == 5
    installation.drain()
    assert len(installation.sims.idaas.accounts()) == len(_valid(installation))
    probes = installation.rows(
        "SELECT outcome, count(*) AS n FROM accountsync.task_attempt WHERE kind = 'probe'"
        " GROUP BY 1"
    )
    expected = {"adopted": 5} if kind == "drop_after" else {"absent": 10}
    assert {row["outcome"]: row["n"] for row in probes} == expected


def test_an_account_that_is_already_there_is_adopted(installation: Installation) -> None:
    """I10."""
    installation.sync()
    installation.plan()
    installation.process("idaas", max_tasks=1)
    installation.execute(
        "DELETE FROM accountsync.task_attempt; DELETE FROM accountsync.account;"
        " UPDATE accountsync.account_task SET state = 'ready', finished_at = NULL,"
        " waits_for = '{}' WHERE system = 'idaas'"
    )
    summary = installation.process("idaas")
    assert summary.outcomes["adopted"] == 1
    assert (
        installation.scalar("SELECT count(*) FROM accountsync.account WHERE provenance = 'adopted'")
        == 1
    )


def test_somebody_elses_account_in_the_way_needs_a_human(installation: Installation) -> None:
    """I10."""
    installation.sync()
    installation.plan()
    user_name = installation.scalar(
        "SELECT desired->>'userName' FROM accountsync.account_task"
        " WHERE system = 'idaas' ORDER BY id LIMIT 1"
    )
    installation.sims.idaas.call(
        "POST",
        "/_sim/accounts",
        {"employeeNumber": "X1", "userName": user_name, "email": "x1@example.com"},
    )
    installation.process("idaas")
    states = installation.rows(
        "SELECT state FROM accountsync.account_task WHERE system = 'idaas'"
        " AND desired->>'userName' = :u",
        u=user_name,
    )
    assert [row["state"] for row in states] == ["needs_human"]


def test_a_target_that_is_busy_is_asked_again_without_losing_anything(
    installation: Installation,
) -> None:
    """I13."""
    installation.sims.idaas.fault("too_many_requests", path="/onboarding", times=7, retry_after=0)
    installation.sync()
    installation.plan()
    installation.drain()
    assert _creates(installation) == 3 * len(_valid(installation))


def test_a_target_that_is_down_keeps_its_queue_and_burns_no_attempt(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I13."""
    installation.sync()
    installation.plan()
    _change_connection(monkeypatch, port=9)
    with pytest.raises(TargetDownError, match="cannot connect"):
        installation.process("idaas")
    tasks = installation.rows(
        "SELECT DISTINCT state, attempts FROM accountsync.account_task WHERE system = 'idaas'"
    )
    assert [dict(row) for row in tasks] == [{"state": "ready", "attempts": 0}]


def test_a_wrong_connection_fails_the_run_and_no_task(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.sync()
    installation.plan()
    for change, said in (
        ({"extra": {}}, "enterprise_id"),
        ({"extra": {"enterprise_id": "E1"}, "password": "no"}, "no token"),
    ):
        _change_connection(monkeypatch, **change)
        with pytest.raises(ConfigurationError, match=said):
            installation.process("idaas", at_once=True)
        states = "SELECT DISTINCT state FROM accountsync.account_task WHERE system = 'idaas'"
        assert installation.scalar(states) == "ready"


def _change_connection(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_IDAAS"]) | changes
    monkeypatch.setenv("AIRFLOW_CONN_IDAAS", json.dumps(connection))


def test_two_processors_on_one_target_do_not_work_at_once(installation: Installation) -> None:
    from accountsync.store import locks

    with locks.held(installation.engine, "target/idaas"):
        assert installation.process("idaas").busy
