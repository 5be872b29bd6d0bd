"""Plans, and their tasks until they are let go."""
