"""A person, as the rules see one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from accountsync.errors import NeedsDataError

PERSON_FIELDS: Mapping[str, type] = {
    "source_key": str,
    "employee_number": str,
    "full_name": str,
    "english_name": str,
    "person_type": str,
    "status": str,
    "department_code": str,
    "email": str,
    "phone": str,
    "hire_date": date,
    "effective_date": date,
    "leave_date": date,
    "time_zone": str,
    "source_updated_at": datetime,
}
"""The typed fields a source can fill, by name. Everything else HR says stays in `attributes`."""

REQUIRED_FIELDS = frozenset({"source_key", "employee_number", "full_name"})

RULE_FIELDS = (frozenset(PERSON_FIELDS) - {"source_key"}) | {
    "id", "source", "revision", "attributes", "type", "department"
}  # fmt: skip
"""What `person` has in a mapping or a scope: `type` and `department` are the operators' rows."""


class Unavailable(Mapping[str, Any]):
    """Stands in for missing data: every look-up raises the NeedsDataError that says what to add."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __getitem__(self, key: str) -> Any:
        raise NeedsDataError(self.message)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
