"""A person, as the rules see one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from accountsync.domain.reasons import Reason
from accountsync.errors import NeedsDataError, RecordError

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
"""The typed fields that a source can fill, by name. All other values of HR stay in `attributes`."""

REQUIRED_FIELDS = frozenset({"source_key", "employee_number", "full_name"})

RULE_FIELDS = (frozenset(PERSON_FIELDS) - {"source_key"}) | {
    "id", "source", "revision", "attributes", "type", "department",
    "requested_systems",
}  # fmt: skip
"""What `person` has in a mapping or a scope. `type` and `department` are rows of the mapping tables
that operators keep."""


def reason_of(error: RecordError) -> Reason | None:
    """The error's reason; None where it has only a message."""
    return error.reason if isinstance(error.reason, Reason) else None


class Unavailable(Mapping[str, Any]):
    """Stands in for missing data: a look-up of anything but what is `known` raises the
    NeedsDataError that says what to add. `reason`: the message as a value, where it is one."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message
        self._reason = reason
        self._known = dict(known or {})

    def __getitem__(self, key: str) -> Any:
        if key in self._known:
            return self._known[key]
        raise NeedsDataError(self.message, reason=self._reason)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
