"""The rows of a feed, as COPY takes them."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import Engine, text

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import Kind, Reason, from_documents, from_text
from accountsync.store.persons import feeds

TEXTS = [
    "a", "单小明", "\\", "\\N", "\\.", "a\tb", "a\nb", "a\r\nb", "\\t", "a\\\tb", '"', "{}",
    "NULL", "'", "\x0b", "\u2028", "𠮷", "",
]  # fmt: skip

_RUN = (
    "INSERT INTO accountsync.sync_run (id, source, mode) OVERRIDING SYSTEM VALUE"
    " VALUES (1, 'hr', 'full')"
)


def _problems(value: str) -> list[Reason]:
    return [from_text(value), Reason.of(Kind.IS_MISSING, field="second")] if value else []


@pytest.mark.parametrize("at_once", [1, 1000])
def test_what_is_copied_is_what_was_there(engine: Engine, at_once: int) -> None:
    """I3: no text of HR stops a feed, or becomes another one; whatever rows it comes with."""
    rest = [""] * (len(PERSON_FIELDS) - 2)
    lines: list[bytes] = []
    for n in range(0, len(TEXTS), at_once):
        for is_bad in (False, True):
            records = [
                (
                    [str(at), value, *rest],
                    orjson.dumps({"value": value}),
                    value.encode(),
                    _problems(value) if is_bad else [],
                )
                for at, value in enumerate(TEXTS[n : n + at_once], start=n)
            ]
            lines += feeds.lines(records, retried=is_bad)
    with engine.begin() as connection:
        connection.execute(text(_RUN))
        feeds.create(connection, run_id=1)
        feeds.add(connection, run_id=1, lines=lines)
        rows = connection.execute(
            text(
                "SELECT employee_number, raw, attributes, content_hash, problems, retried,"
                " full_name FROM accountsync.staged_1 ORDER BY position"
            )
        ).all()
    good, bad = ([row for row in rows if row.retried == is_bad] for is_bad in (False, True))
    for found in (good, bad):
        assert [row.employee_number or "" for row in found] == TEXTS
        assert [bytes(row.content_hash).decode() for row in found] == TEXTS
    assert [row.attributes for row in good] == [{"value": value} for value in TEXTS]
    assert [row.raw or row.attributes for row in bad] == [{"value": value} for value in TEXTS]
    assert [from_documents(row.problems or ()) for row in bad] == [
        tuple(_problems(value)) for value in TEXTS
    ]
    assert {(row.raw, row.problems, row.retried, row.full_name) for row in good} == {
        (None, None, False, None)
    }
    assert {row.retried for row in bad} == {True}


def test_of_a_known_row_only_the_identity_is_staged(engine: Engine) -> None:
    values = ["1", "E1"] + [""] * (len(PERSON_FIELDS) - 2)
    lines = feeds.lines([(values, b"", b"hash", [])], retried=False)
    with engine.begin() as connection:
        connection.execute(text(_RUN))
        feeds.create(connection, run_id=1)
        feeds.add(connection, run_id=1, lines=lines)
        row = connection.execute(text("SELECT * FROM accountsync.staged_1")).one()
    assert (row.source_key, row.employee_number, bytes(row.content_hash)) == ("1", "E1", b"hash")
    assert (row.raw, row.attributes, row.problems) == (None, None, None)
