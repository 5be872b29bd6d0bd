"""Measurements, as ratios against references of the same run. `make bench`."""

NAMES = ("hr_sync", "planning", "names", "processing", "ldap", "migration")
