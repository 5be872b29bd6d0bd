"""Who did what. Append only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, text

_RECORD = text(
    "INSERT INTO accountsync.audit_event (actor, action, details)"
    " VALUES (:actor, :action, CAST(:details AS jsonb))"
)


def record(connection: Connection, *, actor: str, action: str, details: Mapping[str, Any]) -> None:
    """`details`: ids and what somebody said, never a person's data beyond employee numbers."""
    bound = {"actor": actor, "action": action, "details": orjson.dumps(details).decode()}
    connection.execute(_RECORD, bound)
