"""An HR source taken out of the configuration, or renamed: nobody can say what the statuses of its
persons mean, so nothing of theirs is touched."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.installation import example_settings
from tests.integration.plans.planned_people import People

CONFIG = Path(__file__).parents[3] / "config" / "accountsync.yaml"
_APPLY = (
    "WITH done AS (UPDATE accountsync.account_task SET state = 'succeeded', finished_at = now(),"
    "  waits_for = '{}' RETURNING *)"
    " INSERT INTO accountsync.account"
    "  (person_id, system, state, identifier, attributes, provenance)"
    " SELECT person_id, system, 'active', system || person_id, desired || CASE"
    "  WHEN late_bound = '{}' THEN '{}'"
    "  ELSE jsonb_build_object('SAMAccountName', 'idaas' || person_id) END, 'created' FROM done"
)


def document(**changes: Any) -> dict[str, Any]:
    """The example, its one HR source renamed."""
    read: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return read | {"hr": [{**read["hr"][0], "name": "people"}]} | changes


@pytest.fixture
def renamed(people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> People:
    """Two persons with all accounts, one of them to leave; then the source gets another name."""
    people.add("E1", "张伟")
    people.add("E2", "李娜")
    people.plan()
    people.execute(_APPLY)
    people.change("E2", status="9")
    people.plan()
    rename(people)
    file = tmp_path / "accountsync.yaml"
    file.write_text(yaml.safe_dump(document(), allow_unicode=True), encoding="utf-8")
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(file))
    return people


def rename(people: People, **changes: Any) -> None:
    made = document(**changes)
    people.settings = example_settings(**{name: made[name] for name in {"hr", *changes}})


def open_operations(people: People) -> list[str]:
    return [
        row["operation"]
        for row in people.rows(
            "SELECT operation FROM accountsync.account_task"
            " WHERE state NOT IN ('succeeded', 'superseded', 'cancelled')"
        )
    ]


def test_whose_source_is_gone_keeps_every_account_and_what_was_to_be_taken_away_is_not(
    renamed: People, caplog: pytest.LogCaptureFixture
) -> None:
    """I4, I6: the disables of the one who was to leave do not go on; nobody else gets one."""
    assert set(open_operations(renamed)) == {"disable"}
    with caplog.at_level(logging.WARNING, logger="accountsync"):
        done = renamed.plan()
    assert open_operations(renamed) == []
    assert done.unknown_sources == {"hieds": 2}
    said = [line for line in caplog.messages if "source_not_configured" in line]
    assert said == [
        f"event=source_not_configured plan={done.plan_id} source=hieds persons=2"
        " accounts=kept_as_they_are"
    ]


def test_a_leaver_whose_source_is_gone_is_never_deleted_and_no_date_brings_anybody_back(
    renamed: People,
) -> None:
    """I11."""
    renamed.execute(
        "UPDATE accountsync.person SET leave_date = '2026-02-01', revision = revision + 1,"
        " next_evaluation_at = '2026-03-01'"
    )
    renamed.execute(
        "UPDATE accountsync.account SET state = 'disabled', disabled_by = 'accountsync',"
        " disabled_reason = 'left', updated_at = '2026-02-02'"
    )
    target = document()["targets"]
    rename(renamed, targets={n: {**one, "delete_after": "1d"} for n, one in target.items()})
    renamed.plan()
    assert open_operations(renamed) == []
    dates = renamed.rows("SELECT next_evaluation_at AS at FROM accountsync.person")
    assert {row["at"] for row in dates} == {None}


def test_a_joiner_whose_source_is_gone_gets_nothing_and_names_stay_whose_they_are(
    renamed: People,
) -> None:
    """I8."""
    before = renamed.names("E1")
    renamed.add("E3", "王芳")
    renamed.change("E1", full_name="张三")
    renamed.plan()
    assert open_operations(renamed) == []
    assert (renamed.names("E1"), renamed.names("E3")) == (before, {})


def test_once_the_source_is_back_everybody_is_planned_again(renamed: People) -> None:
    renamed.plan()
    renamed.settings = example_settings()
    done = renamed.plan()
    assert (done.persons, done.unknown_sources) == (2, {})
    assert set(open_operations(renamed)) == {"disable"}


def test_persons_of_a_request_need_no_source(renamed: People) -> None:
    """Nobody of HR owns them: their request says what they have."""
    renamed.add("R1", "赵六")
    renamed.execute(
        "UPDATE accountsync.person SET source = 'request', origin = 'request',"
        " requested_systems = '{idaas}' WHERE employee_number = 'R1'"
    )
    done = renamed.plan()
    assert open_operations(renamed) == ["create"]
    assert done.unknown_sources == {"hieds": 2}


def test_explain_says_that_the_source_is_not_configured(renamed: People) -> None:
    text = renamed.command("explain", "E1").output
    assert text.startswith("E1: unknown; source hieds, ")
    assert "\n  its HR source 'hieds' is not configured: kept as it is\n" in text
    assert "\nidaas: stays as it is (source_not_configured)\n" in text
    assert "  rule: person.status in valid_statuses: cannot be answered\n" in text
    assert "    valid_statuses = \"the HR source 'hieds' is not configured\"\n" in text
    found = json.loads(renamed.command("explain", "E1", "--json").output)
    assert (found["unknown_source"], found["lifecycle"]) == ("hieds", "unknown")


def test_the_check_of_the_store_tells_whose_source_is_not_configured(renamed: People) -> None:
    done = renamed.command("db", "check")
    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        "look: 2 persons belong to the HR source 'hieds', which is not configured; their accounts"
        " are kept as they are (docs/hr-sources.md)",
    )
