"""The PostgreSQL store. Its functions take a connection and never commit."""
