"""HR on one side, the store on the other, and the ways to compare them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from accountsync.clock import utc_now
from simulators.client import HrClient
from tests.integration.world import HrRow, World, stamp

# What a run that failed must not have changed. xmin: not even rewritten with the same values.
_CONTENT = {
    "persons": "SELECT xmin::text, * FROM accountsync.person ORDER BY id",
    "changes": "SELECT * FROM accountsync.person_change ORDER BY id",
    "rejects": "SELECT xmin::text, id, closed_at FROM accountsync.rejected_record ORDER BY id",
    "watermark": "SELECT xmin::text, * FROM accountsync.watermark",
    "snapshots": "SELECT * FROM accountsync.snapshot ORDER BY id",
}


class HrWorld(World):
    @property
    def hr(self) -> HrClient:
        return self.sims.hr

    @property
    def watermark(self) -> datetime | None:
        value: datetime | None = self.scalar("SELECT value FROM accountsync.watermark")
        return value

    @property
    def last_run(self) -> RowMapping:
        return self.rows("SELECT * FROM accountsync.sync_run ORDER BY id DESC LIMIT 1")[0]

    def everything(self) -> dict[str, list[RowMapping]]:
        return {name: self.rows(query) for name, query in _CONTENT.items()}

    def person(self, row: HrRow) -> RowMapping:
        query = "SELECT * FROM accountsync.person WHERE source_key = :key"
        return self.rows(query, key=str(row["personId"]))[0]

    def open_rejects(self) -> dict[str, RowMapping]:
        """Key → the rejected row; its reasons are documents."""
        rows = self.rows(
            "SELECT record_key, raw, reasons, first_run_id, last_run_id"
            " FROM accountsync.rejected_record WHERE closed_at IS NULL"
        )
        return {row["record_key"]: row for row in rows}

    def closed_rejects(self) -> dict[str, str]:
        """Key → why it was closed."""
        rows = self.rows(
            "SELECT record_key, closed_because FROM accountsync.rejected_record"
            " WHERE closed_at IS NOT NULL"
        )
        return {row["record_key"]: row["closed_because"] for row in rows}

    def absent(self) -> dict[str, int]:
        """Key → the first snapshot without the person."""
        rows = self.rows(
            "SELECT source_key, absent_since_snapshot AS since FROM accountsync.person"
            " WHERE absent_since_snapshot IS NOT NULL"
        )
        return {row["source_key"]: row["since"] for row in rows}

    def staged_tables(self) -> list[str]:
        rows = self.rows(
            "SELECT relname FROM pg_class WHERE relname LIKE 'staged\\_%' AND relkind = 'r'"
        )
        return [row["relname"] for row in rows]

    def differences(self) -> dict[str, str]:
        """Key of everybody whom HR and the store do not agree on → what is wrong.

        Who is marked absent counts as not in the store.
        """
        hr = {str(row["personId"]): row for row in self.hr.persons()}
        rows = self.rows(
            "SELECT source_key AS key, attributes, (employee_number, full_name, person_type,"
            " status, department_code, hire_date::text) IS NOT DISTINCT FROM"
            " (attributes->>'employeeNumber', attributes->>'fullName', attributes->>'personType',"
            " attributes->>'employeeStatus', attributes->'personDept'->0->>'department_code',"
            " attributes->>'originalHireDate') AS consistent"
            " FROM accountsync.person WHERE absent_since_snapshot IS NULL"
        )
        store = {row["key"]: row["attributes"] for row in rows}
        wrong = dict.fromkeys(hr.keys() - store.keys(), "not in the store")
        wrong |= dict.fromkeys(store.keys() - hr.keys(), "not in HR")
        wrong |= {key: "is old" for key in store.keys() & hr.keys() if store[key] != hr[key]}
        wrong |= {row["key"]: "inconsistent" for row in rows if not row["consistent"]}
        return wrong

    def change(self, row: HrRow, *, ago: timedelta = timedelta(0), **fields: Any) -> HrRow:
        """HR edits a person: answers the row as it is now."""
        changed = row | {"lastUpdateDate": stamp(utc_now() - ago)} | fields
        self.hr.put_persons(changed)
        return changed
