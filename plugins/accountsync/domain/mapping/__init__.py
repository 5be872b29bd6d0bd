"""Mapping values: paths, constants and expressions over a person."""
