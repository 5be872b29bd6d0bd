"""AccountSync keeps accounts in step with people."""

__version__ = "0.4.1"
