"""The operator's commands: one noun a module, each a Typer application of its own."""
