"""Carrying out account operations in target systems."""
