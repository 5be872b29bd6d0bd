"""Sync runs, watermarks and snapshots."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from accountsync.store.persons import MergeCounts


def start(connection: Connection, *, source: str, mode: str, airflow_run_id: str | None) -> int:
    """Under the source's lock no other run can be alive: what still says `running` died."""
    connection.execute(
        text(
            "UPDATE accountsync.sync_run SET state = 'failed', finished_at = now(),"
            " error = 'the worker died' WHERE source = :source AND state = 'running'"
        ),
        {"source": source},
    )
    return int(
        connection.execute(
            text(
                "INSERT INTO accountsync.sync_run (source, mode, airflow_run_id)"
                " VALUES (:source, :mode, :airflow_run_id) RETURNING id"
            ),
            {"source": source, "mode": mode, "airflow_run_id": airflow_run_id},
        ).scalar_one()
    )


def unfinished(connection: Connection, *, source: str) -> list[int]:
    """Runs of the source that ended without a merge and may have left a staged table."""
    return list(
        connection.scalars(
            text(
                "SELECT r.id FROM accountsync.sync_run r WHERE r.source = :source"
                " AND to_regclass('accountsync.staged_' || r.id) IS NOT NULL"
            ),
            {"source": source},
        )
    )


def succeed(
    connection: Connection,
    *,
    run_id: int,
    counts: MergeCounts,
    read_from: datetime | None,
    read_to: datetime | None,
) -> None:
    connection.execute(
        text(
            "UPDATE accountsync.sync_run SET state = 'succeeded', finished_at = now(),"
            " read_from = :read_from, read_to = :read_to, fetched = :fetched, retried = :retried,"
            " inserted = :inserted, updated = :updated, unchanged = :unchanged,"
            " rejected = :rejected WHERE id = :run_id"
        ),
        asdict(counts) | {"run_id": run_id, "read_from": read_from, "read_to": read_to},
    )


def fail(connection: Connection, *, run_id: int, error: str) -> None:
    connection.execute(
        text(
            "UPDATE accountsync.sync_run SET state = 'failed', finished_at = now(), error = :error"
            " WHERE id = :run_id"
        ),
        {"run_id": run_id, "error": error},
    )


def read_from(connection: Connection, *, source: str, overlap: timedelta) -> datetime | None:
    """Where the next read starts: `overlap` before the watermark, and as long again as the read
    that set it took. A row that changed after its page was read is older than the newest by at most
    that.
    """
    since: datetime | None = connection.scalar(
        text(
            "SELECT w.value - :overlap - greatest(r.finished_at - r.started_at, interval '0')"
            " FROM accountsync.watermark w JOIN accountsync.sync_run r ON r.id = w.run_id"
            " WHERE w.source = :source"
        ),
        {"source": source, "overlap": overlap},
    )
    return since


def advance_watermark(connection: Connection, *, source: str, value: datetime, run_id: int) -> None:
    """Only forward, and no write where it stands still (I1)."""
    connection.execute(
        text(
            "INSERT INTO accountsync.watermark AS w (source, value, run_id)"
            " VALUES (:source, :value, :run_id) ON CONFLICT (source)"
            " DO UPDATE SET value = excluded.value, run_id = excluded.run_id"
            " WHERE w.value < excluded.value"
        ),
        {"source": source, "value": value, "run_id": run_id},
    )


def last_snapshot_at(connection: Connection, *, source: str) -> datetime | None:
    taken: datetime | None = connection.scalar(
        text("SELECT max(taken_at) FROM accountsync.snapshot WHERE source = :source"),
        {"source": source},
    )
    return taken


def add_snapshot(connection: Connection, *, source: str, run_id: int, rows: int) -> int:
    return int(
        connection.execute(
            text(
                "INSERT INTO accountsync.snapshot (source, run_id, rows)"
                " VALUES (:source, :run_id, :rows) RETURNING id"
            ),
            {"source": source, "run_id": run_id, "rows": rows},
        ).scalar_one()
    )
