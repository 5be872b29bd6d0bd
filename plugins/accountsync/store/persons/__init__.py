"""Persons, the runs and feeds that brought them, and the tables of their mappings."""
