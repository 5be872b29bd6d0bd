"""Run by Alembic. The connection is handed in by `store.schema`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from accountsync.store.schema import COMPARISON


def _run(connection: Connection) -> None:
    context.configure(connection=connection, **COMPARISON)
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
