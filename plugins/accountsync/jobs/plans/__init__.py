"""Deriving plans of account tasks."""
