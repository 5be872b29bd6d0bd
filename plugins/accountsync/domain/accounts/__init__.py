"""Accounts: as we know them, as targets show them, and whose they are."""
