"""All tables of schema `accountsync`, with every rule that the database can hold."""

from accountsync.store import account_tables, person_tables, request_tables, task_tables
from accountsync.store.base import (
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
    "account_tables",
    "person_tables",
    "request_tables",
    "task_tables",
]
