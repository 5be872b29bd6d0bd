"""All tables of schema `accountsync`, with every rule that the database can hold."""

from accountsync.store.tables import accounts, persons, requests, tasks
from accountsync.store.tables.base import (
    FINAL_STATES,
    OPEN_STATES,
    OPERATIONS,
    SCHEMA,
    WAITING_SINCE,
    Table,
)

__all__ = [
    "FINAL_STATES",
    "OPEN_STATES",
    "OPERATIONS",
    "SCHEMA",
    "WAITING_SINCE",
    "Table",
    "accounts",
    "persons",
    "requests",
    "tasks",
]
