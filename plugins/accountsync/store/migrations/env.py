"""Run by Alembic. The connection is handed in by `store.schema`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from accountsync.store.tables import SCHEMA, Table


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
