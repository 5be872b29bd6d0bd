"""The queue of account tasks."""
