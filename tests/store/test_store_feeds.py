"""The rows of a feed, as COPY takes them."""

from __future__ import annotations

import orjson
from sqlalchemy import Engine, text

from accountsync.domain.person import PERSON_FIELDS
from accountsync.store import feeds

TEXTS = [
    "a", "单小明", "\\", "\\N", "\\.", "a\tb", "a\nb", "a\r\nb", "\\t", "a\\\tb", '"', "{}",
    "NULL", "'", "\x0b", "\u2028", "𠮷", None,
]  # fmt: skip


def test_what_is_copied_is_what_was_there(engine: Engine) -> None:
    """I3: no text of HR stops a feed, or becomes another one."""
    rest = [None] * (len(PERSON_FIELDS) - 2)
    lines = [
        feeds.line(
            [str(n), value, *rest],
            orjson.dumps({"value": value}),
            value.encode() if value else b"",
            [value, "second"] if value else [],
            retried=n % 2 == 0,
        )
        for n, value in enumerate(TEXTS)
    ]
    with engine.begin() as connection:
        feeds.create(connection, run_id=1)
        feeds.add(connection, run_id=1, lines=lines)
        rows = connection.execute(
            text(
                "SELECT employee_number, raw, content_hash, problems, retried, full_name"
                " FROM accountsync.staged_1 ORDER BY position"
            )
        ).all()
    assert [row.employee_number for row in rows] == TEXTS
    assert [row.raw for row in rows] == [{"value": value} for value in TEXTS]
    assert [bytes(row.content_hash).decode() for row in rows] == [value or "" for value in TEXTS]
    assert [row.problems for row in rows] == [[v, "second"] if v else None for v in TEXTS]
    assert [row.retried for row in rows] == [n % 2 == 0 for n in range(len(TEXTS))]
    assert {row.full_name for row in rows} == {None}
