"""Databases of the store's tests."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from accountsync.store import engine as store_engine


@pytest.fixture
def empty(engine: Engine) -> Iterator[Engine]:
    """A database without our schema."""
    name = f"empty_{uuid4().hex[:12]}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        url = engine.url.set(database=name).render_as_string(hide_password=False)
        other = store_engine.create(url)
        yield other
        other.dispose()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
