"""AccountSync keeps accounts in step with people."""
