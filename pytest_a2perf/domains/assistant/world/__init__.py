"""A simulated world: its clock, its events, what happens in it and who is told."""
