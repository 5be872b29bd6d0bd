"""Accounts, and the doubtful ones."""
