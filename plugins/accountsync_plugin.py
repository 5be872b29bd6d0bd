"""The only file Airflow's plugin loader sees (docs/adr/0001): it imports the class by its name."""

from accountsync.plugin import AccountSyncPlugin

__all__ = ["AccountSyncPlugin"]
