"""Names: how they are read, cut and numbered."""
