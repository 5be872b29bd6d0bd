"""Run by Alembic. The connection and whom to tell are handed in by `store.schema`."""

from __future__ import annotations

from collections.abc import Callable

from alembic import context
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import Connection

from accountsync.store.schema import COMPARISON


def _run(connection: Connection, say: Callable[[str], object]) -> None:
    """Each migration in a transaction of its own, so that one may leave it for steps beside those
    who use the store, and those before it are kept when it fails."""

    def tell(*, step: MigrationInfo, **_: object) -> None:
        say(f"store is at {', '.join(step.destination_revision_ids) or 'nothing'}")

    context.configure(
        connection=connection,
        transaction_per_migration=True,
        on_version_apply=tell,  # type: ignore[arg-type]  # which calls it by keywords
        say=say,
        **COMPARISON,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"], context.config.attributes["say"])
