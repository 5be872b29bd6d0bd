"""Persons as rules and mappings see them: HR's fields, operators' mapping tables and readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from accountsync.domain.persons.person import Unavailable
from accountsync.domain.reasons import Kind, Reason
from accountsync.jobs.reason_texts import english
from accountsync.store.names import name_readings
from accountsync.store.persons import mappings

Facts = Mapping[str, Any]
"""What `person` stands for in an expression. `type` and `department` are rows of the operators'
mapping tables."""


def unknown_person(number: str) -> str:
    """What an operator is told where no person has this employee number."""
    return (
        f"nobody has the employee number {number!r}; is it in a row of HR that is rejected?"
        " bin/accountsync reject list"
    )


def of(connection: Connection, rows: Sequence[Facts]) -> list[Facts]:
    readings = name_readings.load(connection)
    own = name_readings.of_persons(connection, [row["id"] for row in rows])
    types = mappings.read(connection, mappings.TABLES["person-types"])
    departments = mappings.read(connection, mappings.TABLES["departments"])
    return [
        {
            **row,
            "readings": name_readings.with_own(readings, own.get(row["id"])),
            "type": _mapped(types, "person type", row["person_type"]),
            "department": _mapped(departments, "department", row["department_code"]),
        }
        for row in rows
    ]


def _mapped(
    table: Mapping[str, Mapping[str, Any]], kind: str, code: str | None
) -> Mapping[str, Any]:
    if code is None:
        return _lacking(Reason.of(Kind.NOT_GIVEN_BY_HR, what=kind))
    row = table.get(code)
    if row is None or row.get("active") is False:
        return _lacking(Reason.of(Kind.NOT_MAPPED, what=kind, code=code))
    return row


def _lacking(reason: Reason) -> Unavailable:
    return Unavailable(english(reason), reason=reason)
