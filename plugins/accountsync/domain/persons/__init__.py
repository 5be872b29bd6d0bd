"""Persons: their fields, their lifecycle, and the feeds that bring them."""
