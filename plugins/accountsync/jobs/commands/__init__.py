"""What people order: to look, to decide, to change something by hand."""
