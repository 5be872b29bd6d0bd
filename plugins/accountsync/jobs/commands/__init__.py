"""What people ask for by hand: to look, to decide, to change something."""
