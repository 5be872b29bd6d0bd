"""Account tasks: what an attempt means and what follows."""
