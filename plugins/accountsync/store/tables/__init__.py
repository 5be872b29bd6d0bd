"""All tables of schema `accountsync`, with every rule that the database can hold."""

from accountsync.store.tables import accounts, persons, requests, reviews, tasks
from accountsync.store.tables.base import SCHEMA, WAITING_SINCE, Table, listed, one_of
from accountsync.store.tables.tasks import JUDGED, NOT_FOLLOWED, REFUSED

__all__ = [
    "JUDGED",
    "NOT_FOLLOWED",
    "REFUSED",
    "SCHEMA",
    "WAITING_SINCE",
    "Table",
    "accounts",
    "listed",
    "one_of",
    "persons",
    "requests",
    "reviews",
    "tasks",
]
