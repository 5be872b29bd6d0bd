"""Why a task is as it is, in three columns: `cause` holds what others said, such as a target;
`cause_kind` and `cause_facts` what we say (domain.reasons). Who writes one writes all three."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from accountsync.domain.reasons import Kind, Reason, from_text

NONE = "cause = NULL, cause_kind = NULL, cause_facts = NULL"
BOUND = "cause = :cause, cause_kind = :cause_kind, cause_facts = CAST(:cause_facts AS jsonb)"
"""With `bound`."""


def because(kind: Kind, *, facts: str = "'{}'") -> str:
    """`facts`: an expression of SQL."""
    return f"cause = NULL, cause_kind = '{kind}', cause_facts = {facts}"


def bound(cause: Reason | None) -> dict[str, str | None]:
    if cause is None or cause.kind is Kind.TEXT:
        text = cause.text if cause else None
        return {"cause": text, "cause_kind": None, "cause_facts": None}
    facts = orjson.dumps(cause.facts).decode()
    return {"cause": None, "cause_kind": cause.kind.value, "cause_facts": facts}


def read(row: Mapping[Any, Any]) -> Reason | None:
    """Of a row with all three columns."""
    if row["cause_kind"] is not None:
        return Reason(kind=Kind(row["cause_kind"]), facts=row["cause_facts"])
    return from_text(row["cause"]) if row["cause"] else None
