"""Reading persons out of HR systems."""
