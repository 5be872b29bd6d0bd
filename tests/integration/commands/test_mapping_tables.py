"""Operators' mappings: what an import changes, who waits for it, how it is taken back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from accountsync.errors import ConfigurationError
from accountsync.store.persons import mappings
from tests.installation import DATA
from tests.integration.plans.planned_people import People

HEADER = "person_type,email_domain,idaas_user_type,welink_person_type,active,description\n"
TASKS = "SELECT system, state, cause FROM accountsync.account_task ORDER BY system"


def types(folder: Path, *lines: str) -> str:
    file = folder / "types.csv"
    file.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(file)


def said(people: People, *arguments: str) -> str:
    done = people.command("mapping", *arguments)
    assert done.exception is None, done.output
    return done.output


def test_a_missing_mapping_holds_its_people_until_it_is_imported(
    people: People, tmp_path: Path
) -> None:
    """NeedsData, PREDECESSOR fault 10: gaps are listed, and the tasks go on by themselves."""
    people.add("E1", "张伟", person_type="20")
    people.add("E2", "李娜")
    people.plan()
    assert said(people, "gaps") == "person-types 20: 1 people, 3 tasks wait; for example E1\n"
    file = types(tmp_path, "20,guest.example.com,guest,20,true,")
    output = said(people, "import", "person-types", file)
    assert "+ 20  email_domain: guest.example.com, idaas_user_type: guest" in output
    assert "1 new, 0 changed, 0 removed, 0 unchanged; 1 people are planned again" in output
    assert "not in the file, kept: 10, 11, 12, 13 (--delete removes them)" in output
    people.plan()
    assert {row["state"] for row in people.rows(TASKS)} == {"ready", "waiting"}
    assert people.names("E1")["email"] == "zhangwei@guest.example.com"
    assert said(people, "gaps") == "every code is mapped\n"


def test_what_equals_the_code_itself_is_shown_as_well(people: People, tmp_path: Path) -> None:
    file = types(tmp_path, "20,guest.example.com,guest,20,true,")
    assert "welink_person_type: 20" in said(people, "import", "person-types", file)
    file = types(tmp_path, "20,guest.example.com,guest,21,true,")
    changed = said(people, "import", "person-types", file)
    assert "~ 20  welink_person_type: 20 → 21\n" in changed


def test_a_file_that_cannot_be_written_is_named(people: People, tmp_path: Path) -> None:
    done = people.command("mapping", "export", "person-types", str(tmp_path / "none" / "x.csv"))
    assert isinstance(done.exception, ConfigurationError)
    assert "x.csv: cannot be written: No such file" in str(done.exception)


def test_a_dry_run_shows_the_same_and_changes_nothing(people: People, tmp_path: Path) -> None:
    people.add("E1", "张伟")
    file = types(tmp_path, "10,new.example.com,employee,10,true,employee")
    shown = said(people, "import", "person-types", file, "--dry-run", "--delete")
    assert "~ 10  email_domain: example.com → new.example.com" in shown
    assert "- 11  email_domain: partner.example.com" in shown
    assert "0 new, 1 changed, 3 removed, 0 unchanged; 1 people would be planned again" in shown
    assert said(people, "history", "person-types") == "nothing was changed yet\n"
    assert "new.example.com" not in said(people, "export", "person-types")
    done = said(people, "import", "person-types", file, "--delete")
    assert done == shown.replace("would be", "are")


def test_an_inactive_or_removed_mapping_is_a_gap(people: People, tmp_path: Path) -> None:
    people.add("E1", "张伟", person_type="12")
    people.add("E2", "李娜", person_type="13", department_code=None)
    file = types(tmp_path, "10,example.com,employee,10,yes,", "12,i.example.com,intern,12,no,")
    said(people, "import", "person-types", file, "--delete")
    people.plan()
    gaps = said(people, "gaps").splitlines()
    assert "departments (HR gives none): 1 people, 3 tasks wait; for example E2" in gaps
    assert "person-types 12: 1 people, 3 tasks wait; for example E1" in gaps
    assert "person-types 13: 1 people, 3 tasks wait; for example E2" in gaps


def test_only_people_whose_code_changed_are_planned_again(people: People, tmp_path: Path) -> None:
    people.add("E1", "张伟", person_type="10")
    people.add("E2", "李娜", person_type="12")
    people.plan()
    file = types(tmp_path, "10,example.com,staff,10,true,employee")
    said(people, "import", "person-types", file)
    assert people.plan().persons == 1
    said(people, "import", "person-types", file)
    assert people.plan().persons == 0


def test_every_change_is_on_record_and_can_be_taken_back(people: People, tmp_path: Path) -> None:
    original = said(people, "export", "person-types")
    first = types(tmp_path, "10,one.example.com,employee,10,true,employee", "20,x.cn,g,20,1,")
    said(people, "import", "person-types", first, "--actor", "ann")
    between = said(people, "export", "person-types")
    second = types(tmp_path, "10,two.example.com,employee,10,true,employee")
    said(people, "import", "person-types", second, "--delete", "--actor", "ben")
    history = said(people, "history", "person-types")
    assert history.index("ben") < history.index("ann")
    assert "~ 10  email_domain: one.example.com → two.example.com" in history
    numbers = [line.split()[0] for line in history.splitlines() if not line.startswith(" ")]
    assert said(people, "export", "person-types", "--before", numbers[0]) == between
    assert said(people, "export", "person-types", "--before", numbers[1]) == original
    older = tmp_path / "older.csv"
    said(people, "export", "person-types", str(older), "--before", numbers[1])
    said(people, "import", "person-types", str(older), "--delete")
    assert said(people, "export", "person-types") == original
    with pytest.raises(ConfigurationError, match="no change 999"):
        raise people.command("mapping", "export", "person-types", "--before", "999").exception or (
            AssertionError("accepted")
        )


def test_a_change_that_was_recorded_under_its_former_name_is_in_the_history(
    people: People, tmp_path: Path
) -> None:
    """What was audited stays as it was written."""
    original = said(people, "export", "person-types")
    file = types(tmp_path, "10,one.example.com,employee,10,true,employee")
    said(people, "import", "person-types", file, "--actor", "ann")
    people.execute(
        "INSERT INTO accountsync.audit_event (actor, action, details)"
        " SELECT 'ben', 'mapping.import', details FROM accountsync.audit_event"
    )
    history = said(people, "history", "person-types")
    assert history.index("ben") < history.index("ann")
    number = history.split()[0]
    assert said(people, "export", "person-types", "--before", number) == original


def test_the_history_is_found_by_its_index_among_all_that_is_audited(people: People) -> None:
    people.execute(
        "INSERT INTO accountsync.audit_event (actor, action, details) SELECT 'ann',"
        " CASE WHEN n % 500 = 0 THEN 'mapping.import' ELSE 'task_retry' END, '{}'"
        " FROM generate_series(1, 5000) n"
    )
    people.execute("ANALYZE accountsync.audit_event")
    explained = people.rows(f"EXPLAIN {mappings.HISTORY.text}", table="department_mapping")
    assert "ix_audit_event_action_id" in str(explained)


@pytest.mark.parametrize("kind", ["departments", "person-types"])
def test_what_is_exported_can_be_imported(people: People, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "exported.csv"
    said(people, "export", kind, str(file))
    assert "0 new, 0 changed, 0 removed" in said(people, "import", kind, str(file), "--delete")
    shipped = DATA / f"{kind.replace('-', '_')}.csv"
    rows = list(csv.DictReader(io.StringIO(shipped.read_text("utf-8-sig"))))
    assert len(list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))) == len(rows)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (HEADER + "10,,e,1,1,\n", "line 2: email_domain is empty"),
        (
            HEADER + "10,x.cn,e,1,1,\n10,y.cn,e,1,1,\n",
            "line 3: person_type 10 is already on line 2",
        ),
        (HEADER + "10,x.cn,e,1,maybe,\n", "line 2: active is neither true nor false"),
        (HEADER + "10,x.cn,e,1,1,d,more\n", "line 2: has more cells than the header"),
        (HEADER.replace("description", "remark") + "10,x.cn,e,1,1,\n", "column remark is unknown"),
        ("person_type\n10\n", "columns missing: email_domain, idaas_user_type"),
        ('a,b\n"x', "cannot be read as CSV"),
    ],
)
def test_a_wrong_file_changes_nothing(
    people: People, tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(content, encoding="utf-8")
    error = people.command("mapping", "import", "person-types", str(file)).exception
    assert isinstance(error, ConfigurationError)
    assert problem in str(error)
    assert said(people, "history", "person-types") == "nothing was changed yet\n"
