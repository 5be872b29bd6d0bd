"""Reading HR, and what becomes of its rows."""
