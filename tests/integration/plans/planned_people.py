"""Persons straight in the store, planned by the real job and looked at through the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, text
from typer.testing import CliRunner, Result

from accountsync.__main__ import app
from accountsync.cli.mapping import read_csv
from accountsync.jobs.plans.create_account_tasks import PlanSummary, create_account_tasks
from accountsync.settings import Settings
from accountsync.store.persons import mappings
from tests.databases import as_superuser
from tests.installation import DATA, example_settings

_ADD = text(
    "INSERT INTO accountsync.person (source, source_key, employee_number, full_name, person_type,"
    " status, department_code, email, hire_date, attributes, content_hash) VALUES ('hieds',"
    " :number, :number, :full_name, :person_type, :status, :department_code, :email,"
    " '2026-01-05', '{}', '\\x00') RETURNING id"
)
_BLANK = {"person_type": "10", "status": "1", "department_code": "D1110", "email": None}


@dataclass(kw_only=True)
class People:
    engine: Engine = field(repr=False)
    settings: Settings = field(default_factory=example_settings, repr=False)

    def add(self, number: str, full_name: str, **fields: Any) -> int:
        bound = {**_BLANK, **fields, "number": number, "full_name": full_name}
        with self.engine.begin() as connection:
            return int(connection.scalar(_ADD, bound) or 0)

    def change(self, number: str, **fields: Any) -> None:
        """As HR would."""
        columns = ", ".join(f"{name} = :{name}" for name in fields)
        self.execute(
            f"UPDATE accountsync.person SET {columns}, revision = revision + 1"
            " WHERE employee_number = :number",
            number=number, **fields,
        )  # fmt: skip

    def plan(self, **options: Any) -> PlanSummary:
        return create_account_tasks(
            engine=self.engine, settings=self.settings, **{"now": datetime.now(UTC)} | options
        )

    def names(self, number: str) -> dict[str, str]:
        """Namespace → the name in use."""
        found = self.rows(
            "SELECT n.namespace, n.value FROM accountsync.name_registry n JOIN accountsync.person p"
            " ON p.id = n.person_id WHERE n.current AND p.employee_number = :number",
            number=number,
        )
        return {row["namespace"]: row["value"] for row in found}

    def with_names(self, names: dict[str, Any], **changes: Any) -> None:
        """The example's targets with these names."""
        self.settings = example_settings(names=_NAMES | names, **changes)

    def rows(self, query: str, **bound: Any) -> list[RowMapping]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), bound).mappings())

    def execute(self, statement: str, **bound: Any) -> None:
        with as_superuser(self.engine) as connection:
            connection.execute(text(statement), bound)

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)


_NAMES = {
    "username": "{{ person.full_name | pinyin_initial }}{{ person.employee_number }}",
    "mail_alias": "{{ person.full_name | pinyin }}",
    "email": "{{ person.full_name | pinyin }}@{{ person.type.email_domain }}",
}


def import_mappings(engine: Engine) -> None:
    with engine.begin() as connection:
        for kind in ("departments", "person-types"):
            table = mappings.TABLES[kind]
            file = DATA / f"{kind.replace('-', '_')}.csv"
            mappings.write(connection, table, read_csv(file, table))
