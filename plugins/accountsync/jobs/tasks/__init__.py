"""Carrying out account tasks."""
