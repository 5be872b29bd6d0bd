"""First installation: what a target has already is adopted where it is sure, and only there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, RowMapping, text
from typer.testing import CliRunner

from accountsync.__main__ import app
from accountsync.domain.accounts.account import Account
from accountsync.domain.reasons import Kind, Reason
from accountsync.errors import AccountSyncError, SafetyStopError, TransientError
from accountsync.jobs.commands import account_cases, adopt_accounts
from accountsync.jobs.commands.account_cases import Case
from accountsync.jobs.commands.adopt_accounts import Adoption
from accountsync.jobs.plans.create_account_tasks import create_account_tasks
from accountsync.settings.target import Correlation
from accountsync.settings.targets import AnyTarget
from accountsync.store import locks
from accountsync.testing import Attributes, Subject, perform
from simulators.departments import IDAAS_DEPARTMENTS
from tests.connectors.subjects import CONFIG, NAME, PHONE, example
from tests.installation import http_connection
from tests.integration.crashing import dying

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADOPTABLE = ("scim", "idaas", "welink", "openldap")
"""Targets whose key is something that HR knows."""

_HIRED = {
    "full_name": NAME,
    "status": "1",
    "person_type": "10",
    "department_code": "D1",
    "phone": PHONE,
    "email": None,
}
_MAPPINGS = (
    "INSERT INTO accountsync.person_type_mapping (person_type, email_domain, idaas_user_type,"
    " welink_person_type) VALUES ('10', 'example.com', 'employee', '10') ON CONFLICT DO NOTHING",
    "INSERT INTO accountsync.department_mapping (hr_department_code, idaas_department_code,"
    f" ou_path) VALUES ('D1', '{IDAAS_DEPARTMENTS[0]}', '/集团/研发') ON CONFLICT DO NOTHING",
)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A store, and a target that was there before."""

    engine: Engine
    subject: Subject
    declared: AnyTarget

    @property
    def target(self) -> str:
        return self.subject.name

    def hires(self, *numbers: str, **columns: Any) -> None:
        values = _HIRED | columns
        for statement in _MAPPINGS:
            self.execute(statement)
        names = ", ".join(values)
        bound = ", ".join(f":{name}" for name in values)
        for number in numbers:
            self.execute(
                "INSERT INTO accountsync.person (source, source_key, employee_number, attributes,"
                f" content_hash, {names}) VALUES ('hieds', :n, :n, '{{}}', '', {bound})",
                n=number,
                **values,
            )

    def has(self, *numbers: str, **changes: Any) -> None:
        """Accounts in the target that nobody of us made."""
        for number in numbers:
            attributes: Attributes = {**self.subject.person(number), **changes}
            perform(self.subject, lambda connector, a=attributes: connector.create(a))

    def adopts(self, **options: Any) -> Adoption:
        return adopt_accounts.adopt_accounts(
            engine=self.engine,
            target=self.target,
            declared=self.declared,
            read=lambda: asyncio.run(
                adopt_accounts.list_accounts(self.subject.connector, target=self.target)
            ),
            actor="tester",
            now=NOW,
            **options,
        )

    def plans(self) -> list[str]:
        """Employee numbers of those for whom something is to be done in this target."""
        targets = example().targets | {self.target: self.declared}
        settings = example().model_copy(update={"targets": targets})
        create_account_tasks(engine=self.engine, settings=settings, now=NOW)
        return [
            row["employee_number"]
            for row in self.rows(
                "SELECT p.employee_number FROM accountsync.account_task t JOIN accountsync.person p"
                " ON p.id = t.person_id WHERE t.system = :target AND t.finished_at IS NULL"
                " ORDER BY 1",
                target=self.target,
            )
        ]

    def creates(self) -> list[str]:
        """Employee numbers of those for whom an account is still to be made."""
        rows = self.rows(
            "SELECT p.employee_number FROM accountsync.account_task t JOIN accountsync.person p"
            " ON p.id = t.person_id WHERE t.system = :target AND t.operation = 'create'"
            " AND t.finished_at IS NULL",
            target=self.target,
        )
        return [row["employee_number"] for row in rows]

    @property
    def cases(self) -> list[Case]:
        return account_cases.list_cases(engine=self.engine, target=self.target)

    def resolves(self, case: Case, number: str | None) -> None:
        said: dict[str, Any] = {"actor": "tester", "comment": "asked", "now": NOW}
        if number is None:
            account_cases.ignore_case(engine=self.engine, case=case.id, **said)
        else:
            account_cases.adopt_case(
                engine=self.engine,
                case=case.id,
                employee_number=number,
                targets={self.target: self.declared},
                **said,
            )

    def by_rules(self, *rules: Correlation) -> Site:
        changed = self.declared.model_copy(update={"correlate_by": list(rules)})
        return replace(self, declared=changed)

    def rows(self, query: str, **bound: Any) -> list[RowMapping]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), bound).mappings())

    def accounts(self) -> dict[str, RowMapping]:
        rows = self.rows(
            "SELECT p.employee_number, a.* FROM accountsync.account a"
            " JOIN accountsync.person p ON p.id = a.person_id"
        )
        return {row["employee_number"]: row for row in rows}

    def execute(self, statement: str, **bound: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), bound)


@pytest.fixture(params=ADOPTABLE)
def site(request: pytest.FixtureRequest, engine: Engine, _opened: Callable[[str], Any]) -> Site:
    subject = _opened(request.param)
    return Site(engine=engine, subject=subject, declared=subject.target)


@pytest.fixture
def idaas(engine: Engine, _opened: Callable[[str], Any]) -> Site:
    """Its list shows neither `ou` nor `workArea` nor `englishName`."""
    subject = _opened("idaas")
    return Site(engine=engine, subject=subject, declared=subject.target)


@pytest.fixture
def scim(engine: Engine, _opened: Callable[[str], Any]) -> Site:
    subject = _opened("scim")
    return Site(engine=engine, subject=subject, declared=subject.target)


def _counts(done: Adoption) -> tuple[int, ...]:
    assert done.listed == done.known + done.adopted + done.doubtful + done.ignored + done.foreign
    return (done.known, done.adopted, done.doubtful, done.foreign)


def test_existing_accounts_are_adopted_and_nothing_is_planned_for_them(site: Site) -> None:
    """I9, I11."""
    site.hires("E1", "E2", "E3")
    site.has("E1", "E2", "X9")
    done = site.adopts()
    assert (_counts(done), done.examples) == ((0, 2, 0, 1), ["E1", "E2"])
    account = site.accounts()["E1"]
    assert (account["provenance"], account["state"]) == ("adopted", "active")
    assert account["disabled_by"] is None
    assert account["attributes"][site.declared.key] == "E1"
    assert site.plans() == ["E3"]
    assert len(site.subject.accounts()) == 3


def _open_task(site: Site) -> RowMapping:
    (task,) = site.rows("SELECT * FROM accountsync.account_task WHERE system = 'idaas'")
    return task


def test_a_later_change_of_what_the_target_does_not_show_is_sent(idaas: Site) -> None:
    idaas.hires("E1")
    idaas.has("E1")
    idaas.adopts()
    assert "workArea" not in idaas.accounts()["E1"]["attributes"]
    assert idaas.plans() == []
    idaas.execute(
        "UPDATE accountsync.person SET revision = revision + 1,"
        " attributes = jsonb_build_object('baseLocation', '上海')"
    )
    assert idaas.plans() == ["E1"]
    task = _open_task(idaas)
    assert (task["operation"], task["desired"]["workArea"]) == ("update", "上海")


def test_what_the_target_shows_otherwise_than_wanted_is_updated(idaas: Site) -> None:
    idaas.hires("E1")
    idaas.has("E1", mobile="10098765000")
    idaas.adopts()
    assert idaas.plans() == ["E1"]
    task = _open_task(idaas)
    assert (task["operation"], task["desired"]["mobile"]) == ("update", PHONE)
    assert task["desired"]["ou"] == "/集团/研发"


def test_what_data_was_missing_for_is_settled_when_it_comes(idaas: Site) -> None:
    idaas.hires("E1", department_code="D2")
    idaas.has("E1")
    idaas.adopts()
    assert idaas.plans() == ["E1"]
    assert _open_task(idaas)["state"] == "needs_data"
    idaas.execute("UPDATE accountsync.person SET department_code = 'D1', revision = revision + 1")
    assert idaas.plans() == []


def test_missing_data_keeps_no_adopted_account_of_a_leaver_open(idaas: Site) -> None:
    """I11: the open task says what is missing; disabling needs none of it."""
    idaas.hires("E1", department_code="D2")
    idaas.has("E1")
    idaas.adopts()
    idaas.plans()
    assert _open_task(idaas)["cause_kind"] == Kind.NOT_MAPPED
    assert _open_task(idaas)["cause_facts"] == {"what": "department", "code": "D2"}
    idaas.execute("UPDATE accountsync.person SET status = '9', revision = revision + 1")
    assert idaas.plans() == ["E1"]
    (task,) = idaas.rows(
        "SELECT operation, state FROM accountsync.account_task WHERE finished_at IS NULL"
    )
    assert tuple(task.values()) == ("disable", "ready")


def test_adopting_again_changes_nothing(site: Site) -> None:
    site.hires("E1")
    site.has("E1", "X9")
    site.adopts()
    before = site.accounts()
    assert _counts(site.adopts()) == (1, 0, 0, 1)
    assert site.accounts() == before


def test_a_dry_run_finds_the_same_and_keeps_nothing(site: Site) -> None:
    site.hires("E1")
    site.has("E1", "X9")
    assert _counts(site.adopts(dry_run=True)) == (0, 1, 0, 1)
    for table in ("account", "correlation_case", "name_registry", "audit_event"):
        assert site.rows(f"SELECT * FROM accountsync.{table}") == []


def test_a_disabled_account_stays_disabled_and_its_disabling_is_not_ours(site: Site) -> None:
    """I11: a rehire does not undo what somebody else did."""
    site.hires("E1")
    site.has("E1")
    known = Account(
        state="active",
        identifier="",
        remote_id=None,
        attributes=site.subject.person("E1"),
    )
    found = perform(site.subject, lambda connector: connector.find(site.subject.person("E1")))
    known = replace(known, identifier=found.identifier, remote_id=found.remote_id)
    perform(site.subject, lambda connector: connector.disable(known, known.attributes))
    site.adopts()
    account = site.accounts()["E1"]
    assert (account["state"], account["disabled_by"]) == ("disabled", None)


def test_names_that_were_there_are_imported_also_those_of_foreigners(scim: Site) -> None:
    """I8."""
    scim.hires("E1")
    scim.has("E1", "X9")
    scim.adopts()
    rows = scim.rows("SELECT namespace, value, person_id, current FROM accountsync.name_registry")
    person_id = scim.rows("SELECT id FROM accountsync.person")[0]["id"]
    assert {tuple(row.values()) for row in rows} == {
        ("username", "oE1", person_id, True),
        ("email", "ouyangnanaE1@example.com", person_id, True),
        ("username", "oX9", None, False),
        ("email", "ouyangnanaX9@example.com", None, False),
    }


def test_a_name_that_is_another_persons_makes_a_case(scim: Site) -> None:
    """I8."""
    scim.hires("E1", "E2")
    scim.has("E1")
    scim.execute(
        "INSERT INTO accountsync.name_registry (namespace, folded, folded_base, value, number,"
        " person_id) SELECT 'username', 'oe1', 'oe1', 'oE1', 1, id FROM accountsync.person"
        " WHERE employee_number = 'E2'"
    )
    assert _counts(scim.adopts()) == (0, 0, 1, 0)
    (case,) = scim.cases
    assert list(case.reasons) == [Reason.of(Kind.NAME_IS_ANOTHERS, namespace="username")]
    with pytest.raises(SafetyStopError, match="another person's name"):
        scim.resolves(case, "E1")
    assert scim.accounts() == {}


_MAIL = {"scim": "emails", "openldap": "mail"}


def _doubtful(before: Site) -> Site:
    """An account without a number, with an address that HR has for E1."""
    before.hires("E1", email="OuyangnanaX9@example.com")
    before.hires("E2")
    before.has("X9")
    mail = Correlation(attribute=_MAIL[before.target], value="person.email")
    return before.by_rules(Correlation(attribute=before.declared.key, sure=True), mail)


@pytest.fixture(params=_MAIL)
def doubtful(request: pytest.FixtureRequest, engine: Engine, _opened: Callable[[str], Any]) -> Site:
    subject = _opened(request.param)
    return _doubtful(Site(engine=engine, subject=subject, declared=subject.target))


def test_a_doubtful_account_is_a_case_and_no_second_account_is_planned(doubtful: Site) -> None:
    """I9: one that is or may be theirs is there, and what was to be made is given up at once."""
    site = doubtful
    site.hires("E3")
    site.has("E3")
    assert site.plans() == ["E1", "E2", "E3"]
    assert _counts(site.adopts()) == (0, 1, 1, 0)
    assert site.creates() == ["E2"]
    (case,) = site.cases
    assert list(case.candidates) == ["E1"]
    unsure = Reason.of(Kind.MATCH_IS_NOT_SURE, attribute=_MAIL[site.target])
    assert unsure in case.reasons
    to_plan = "SELECT employee_number FROM accountsync.person WHERE revision > planned_revision"
    assert {row["employee_number"] for row in site.rows(to_plan)} == {"E1", "E3"}
    site.plans()
    assert site.creates() == ["E2"]
    site.adopts()
    assert site.rows(to_plan) == []


def test_a_human_says_whose_it_is(doubtful: Site) -> None:
    site = doubtful
    site.adopts()
    (case,) = site.cases
    site.resolves(case, "E1")
    assert site.cases == []
    assert site.accounts()["E1"]["provenance"] == "adopted"
    assert site.plans() == ["E1", "E2"]
    planned = site.rows("SELECT operation FROM accountsync.account_task WHERE system = :target"
                        " AND finished_at IS NULL ORDER BY person_id",
                        target=site.target)  # fmt: skip
    assert [row["operation"] for row in planned] == ["update", "create"]
    assert _counts(site.adopts()) == (1, 0, 0, 0)
    (event,) = site.rows("SELECT * FROM accountsync.audit_event WHERE action LIKE 'correlation%'")
    assert (event["actor"], event["details"]["employee_number"]) == ("tester", "E1")
    with pytest.raises(SafetyStopError, match="is not open: adopted"):
        site.resolves(case, "E1")


def test_what_a_human_ignores_is_left_alone_and_planning_goes_on(doubtful: Site) -> None:
    site = doubtful
    site.adopts()
    (case,) = site.cases
    assert site.plans() == ["E2"]
    site.resolves(case, None)
    assert site.plans() == ["E1", "E2"]
    done = site.adopts()
    assert (_counts(done), done.ignored) == ((0, 0, 0, 0), 1)


def _said(act: Callable[[], None]) -> str:
    with pytest.raises(AccountSyncError) as told:
        act()
    return str(told.value)


def test_a_case_goes_to_nobody_who_cannot_have_it(scim: Site) -> None:
    site = _doubtful(scim)
    site.has("E2")
    site.adopts()
    (case,) = site.cases
    assert "nobody has the employee number E7" in _said(lambda: site.resolves(case, "E7"))
    assert "E2 has an account in scim already" in _said(lambda: site.resolves(case, "E2"))
    assert [one.id for one in site.cases] == [case.id]


def test_a_case_that_is_no_longer_one_is_settled(scim: Site) -> None:
    site = _doubtful(scim)
    site.adopts()
    site.execute("UPDATE accountsync.person SET email = NULL")
    assert _counts(site.adopts()) == (0, 0, 0, 1)
    assert site.cases == []
    assert site.plans() == ["E1", "E2"]


def test_an_adoption_that_dies_anywhere_has_done_all_of_it_or_nothing(doubtful: Site) -> None:
    """I2: and running it again does what is left, once."""
    doubtful.has("E2")
    seen = []
    for after in count():
        with dying(doubtful.engine, after=after):
            doubtful.adopts()
        seen.append(_kept(doubtful))
        if seen[-1] != seen[0]:
            break
    assert len(seen) > 10
    assert (seen[0], seen[-1]) == ((0, 0, 0, 0), (1, 1, 4, 1))
    assert _counts(doubtful.adopts()) == (1, 0, 1, 0)
    assert _kept(doubtful)[:3] == seen[-1][:3]


def _kept(site: Site) -> tuple[int, ...]:
    tables = ("account", "correlation_case", "name_registry", "audit_event")
    return tuple(len(site.rows(f"SELECT FROM accountsync.{table}")) for table in tables)


def test_a_list_that_fails_changes_nothing(scim: Site) -> None:
    """I2."""
    scim.hires("E1")
    scim.has("E1")

    door: Any = scim.subject
    door.server.fault("html", path="/Users$")
    with pytest.raises(AccountSyncError):
        scim.adopts()
    assert scim.accounts() == {}


def test_no_adoption_while_tasks_of_the_target_are_carried_out(scim: Site) -> None:
    with (
        locks.held(scim.engine, "target/scim"),
        pytest.raises(TransientError, match="being carried out"),
    ):
        scim.adopts()


def test_the_commands_adopt_list_and_resolve(scim: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    door: Any = scim.subject
    connection = http_connection(door.server.url, "scim-secret", {})
    url = scim.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_SCIM", json.dumps(connection))
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(CONFIG / "demo-scim.yaml"))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["adopt", *words])
        assert done.exception is None, done.output
        return done.output

    _doubtful(scim).adopts()
    scim.has("E2")
    said = (
        "scim: 2 accounts: 0 known before, 1 adopted, 0 doubtful, 0 ignored, 1 nobody's of ours\n"
    )
    dry = run("run", "scim", "--dry-run")
    assert dry.endswith(f"{said}adopted, for example: E2\ndry run, nothing was kept\n")
    (case,) = scim.cases
    listed = run("cases", "scim")
    assert listed.startswith(
        f"{case.id}  scim  account {case.account}\n    may belong to E1: only "
    )
    assert "ouyangnana" not in listed
    resolved = run("resolve", str(case.id), "--person", "E1", "--comment", "asked")
    assert resolved == f"case {case.id}: the account is E1's\n"
    assert run("cases") == "no case is open\n"
    assert "1 known before, 1 adopted" in run("run", "scim")
