"""Why a task is in its state, in three columns that are always written together.

`cause` holds the words of others, such as a target; `cause_kind` and `cause_facts` hold our own
reason (domain.reasons).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from accountsync.domain.reasons import Kind, Reason, from_text

_STORED = {"target": "system"}
"""Facts → what the store calls them, as it calls its columns."""
_READ = {stored: fact for fact, stored in _STORED.items()}

BOUND = "cause = :cause, cause_kind = :cause_kind, cause_facts = CAST(:cause_facts AS jsonb)"
"""Assignments of the parameters that `bound` gives."""


def because(kind: Kind, *, facts: str = "'{}'") -> str:
    """Assignments of a reason of this kind. `facts`: an expression of SQL."""
    return f"cause = NULL, cause_kind = '{kind}', cause_facts = {facts}"


def bound(cause: Reason | None) -> dict[str, str | None]:
    if cause is None or cause.kind is Kind.TEXT:
        text = cause.text if cause else None
        return {"cause": text, "cause_kind": None, "cause_facts": None}
    facts = orjson.dumps({_STORED.get(name, name): fact for name, fact in cause.facts.items()})
    return {"cause": None, "cause_kind": cause.kind.value, "cause_facts": facts.decode()}


def read(row: Mapping[Any, Any]) -> Reason | None:
    """The reason of a row with all three columns."""
    if row["cause_kind"] is not None:
        facts = {_READ.get(name, name): fact for name, fact in row["cause_facts"].items()}
        return Reason(kind=Kind(row["cause_kind"]), facts=facts)
    return from_text(row["cause"]) if row["cause"] else None
