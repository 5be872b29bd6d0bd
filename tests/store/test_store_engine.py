"""What a database error says (I15), and how statements are planned."""

from __future__ import annotations

import traceback

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from accountsync.store.engine import copying, make_engine
from tests.store.people import add_persons

NAME, PHONE = "欧阳娜娜", "13912345678"


def _told(engine: Engine, statement: str, **bound: object) -> str:
    """The whole traceback, as it would stand in the log of a task."""
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(text(statement), bound)
    return "".join(traceback.format_exception(caught.value))


def test_an_error_about_a_person_does_not_quote_the_person(engine: Engine) -> None:
    with engine.begin() as connection:
        add_persons(connection, 1)
    told = [
        _told(
            engine,
            "INSERT INTO accountsync.person (source, full_name, phone) VALUES ('hieds', :n, :p)",
            n=NAME,
            p=PHONE,
        ),
        _told(
            engine,
            "UPDATE accountsync.person SET full_name = :n, phone = :p, origin = 'nowhere'",
            n=NAME,
            p=PHONE,
        ),
        _told(engine, "SELECT CAST(:n AS date)", n=NAME),
        _told(engine, "SELECT CAST(:p AS smallint)", p=PHONE),
    ]
    for text_of_one in told:
        assert NAME not in text_of_one
        assert PHONE not in text_of_one
    assert "ck_person_origin" in told[1]
    assert "SQLSTATE 22007" in told[2]


def test_an_error_of_a_copy_does_not_quote_the_person_either(engine: Engine) -> None:
    statement = b"COPY accountsync.person (full_name, hire_date) FROM STDIN"
    with (
        pytest.raises(psycopg.DataError, match="SQLSTATE 22008") as caught,
        engine.begin() as connection,
        copying(connection, statement) as copy,
    ):
        copy.write_row((NAME, "2026-02-31"))
    assert NAME not in "".join(traceback.format_exception(caught.value))


def test_an_error_still_says_what_it_is(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="null value in column"), engine.begin() as connection:
        connection.execute(text("INSERT INTO accountsync.person (source) VALUES ('hieds')"))
    with pytest.raises(DataError, match="22012"), engine.begin() as connection:
        connection.execute(text("SELECT 1 / 0"))


def test_a_statement_is_planned_for_the_tables_as_they_are_now(engine: Engine) -> None:
    """One plan for all times, made when the store was empty, would read the whole of every table
    that has grown since."""
    with engine.begin() as connection:
        for number in range(20):
            connection.execute(
                text("SELECT max(number) FROM accountsync.task_attempt WHERE task_id = :t"),
                {"t": number},
            )
        kept = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        mode = connection.scalar(text("SHOW plan_cache_mode"))
    assert kept == 0
    assert mode == "auto", "checks of foreign keys are statements, too: one plan for all their rows"


def test_what_airflows_sessions_are_told_does_not_end_ours(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/deployment.md: `PGOPTIONS` is for the metadata database; a plan may take its time."""
    monkeypatch.setenv("PGOPTIONS", "-c idle_in_transaction_session_timeout=1s")
    engine = make_engine(database_url)
    with engine.connect() as connection:
        shown = connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
    engine.dispose()
    assert shown == "0"
