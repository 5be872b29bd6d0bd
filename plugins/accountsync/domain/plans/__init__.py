"""Plans: what a person should have, and what a human has to look at first."""
