"""The registry of names, and how they are read."""
