"""The store, opened for one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from accountsync import settings as configuration
from accountsync import wiring
from accountsync.domain.persons.account_request import SOURCE


def sources() -> list[str]:
    """Whose persons the configuration knows."""
    settings = configuration.load(configuration.config_path())
    return [SOURCE, *(source.name for source in settings.hr)]


def opened() -> Engine:
    return wiring.open_store(configuration.load(configuration.config_path()))


@contextmanager
def transaction() -> Iterator[Connection]:
    with opened().begin() as connection:
        yield connection
